//! `pages`: pages that show a code and do nothing, to find out what each one costs the gateway in memory.
//!
//! The cost of a page includes its login: the connection's task and buffers, and the record in the store. It
//! does not include the kernel's memory for the sockets. Each page has had a heartbeat before the measurement,
//! so the memory for writing is included.

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

/// The longest life of a code, so that none expires while pages are held.
const LOGIN_TTL: Duration = Duration::from_secs(1680);

/// Pages that are opened and closed first, so that memory which the gateway takes only once is not counted.
const FIRST: u64 = 200;

/// Pages that are being opened at the same time.
const AT_ONCE: usize = 64;

/// Open files that this program needs in addition to its pages.
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

/// The findings.
pub(crate) struct Found {
    /// Pages that were held open.
    pub(crate) pages: u64,
    /// How long it took to open them.
    pub(crate) opened_in: Duration,
    /// The gateway before.
    pub(crate) before: Sample,
    /// The gateway with the pages.
    pub(crate) during: Sample,
    /// The gateway after the pages have left. It still keeps their logins.
    pub(crate) after: Sample,
}

/// Holds the pages open, reports, and returns true.
///
/// # Errors
/// When a program does not start, or the gateway refuses or closes a page.
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

/// Opens `count` pages, a few at a time, and waits until each one shows its code.
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
