//! `pages`: pages that show a code and do nothing, and what each costs the gateway in memory.
//!
//! What is measured is a page with its login: the connection's task and buffers, and the record in the store.
//! The kernel's own memory for the sockets comes on top and is not the gateway's. Each page has had a heartbeat by
//! then, so that what a page needs to write is in the figure.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use server::{descriptors, settings};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::page::{Page, Trouble};
use crate::report;
use crate::sample::Sample;
use crate::system::System;

/// The longest that a code may be shown, so that none expires while pages are held.
const LOGIN_TTL: Duration = Duration::from_secs(1680);

/// Pages that come and go first, so that what the gateway takes once is not counted for the pages.
const FIRST: u64 = 200;

/// Pages that are opened at once.
const AT_ONCE: usize = 64;

/// Open files that this program needs beside its pages.
const FILES_BESIDE_PAGES: usize = 256;

/// What may be chosen.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pages to hold open. Each is an open file here and in the gateway.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pages: u32,

    /// How long they are held before the gateway is looked at; a heartbeat comes each 25 s.
    #[arg(long, default_value = "30s", value_parser = settings::duration)]
    hold: Duration,
}

/// What was found.
pub(crate) struct Found {
    /// Pages that were held.
    pub(crate) pages: u64,
    /// How long it took to open them.
    pub(crate) opened_in: Duration,
    /// The gateway before.
    pub(crate) before: Sample,
    /// The gateway with the pages.
    pub(crate) during: Sample,
    /// The gateway after they had left; it still keeps their logins.
    pub(crate) after: Sample,
}

/// Holds the pages, reports, and says that all is well.
///
/// # Errors
/// When a program does not start, or a page is not taken or is let go of.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let possible = descriptors::raise().saturating_sub(FILES_BESIDE_PAGES);
    let wanted = usize::try_from(options.pages)?;
    ensure!(wanted <= possible, "--pages: the limit on open files allows {possible}; raise it (ulimit -n)");
    let system = System::start(LOGIN_TTL, wanted + AT_ONCE).await?;
    for page in open(&system, FIRST).await? {
        page.leave().await;
    }
    system.has_no_pages().await?;
    let before = system.sample()?.gateway;

    let (began, pages) = (Instant::now(), u64::from(options.pages));
    let opened = open(&system, pages).await?;
    let opened_in = began.elapsed();
    let mut idle: JoinSet<_> = opened.into_iter().map(Page::idle).collect();
    tokio::select! {
        () = sleep(options.hold) => {}
        Some(ended) = idle.join_next() => bail!(ended?.context("an idle page was let go of")),
    }
    let during = system.sample()?.gateway;
    idle.shutdown().await;
    system.has_no_pages().await?;
    let after = system.sample()?.gateway;
    report::pages(&Found { pages, opened_in, before, during, after });
    system.end()?;
    Ok(true)
}

/// Opens so many pages, a few at a time, each until it shows its code.
async fn open(system: &System, count: u64) -> anyhow::Result<Vec<Page>> {
    let opening = stream::iter(0..count).map(|number| async move {
        let mut page = Page::open(system.visitors.gateway, number, None).await?;
        match page.code().await {
            Ok(_) => Ok(page),
            Err(Trouble::Refused(wait)) => bail!("page {number} was told to come back in {wait:?}"),
            Err(Trouble::Fault(error)) => Err(error),
        }
    });
    opening
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .context("not all pages can be opened; does the limit on open files (ulimit -n) leave room for them?")
}
