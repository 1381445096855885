//! `pages`: pages that show a code and do nothing, to find out what each one costs the gateway in memory, and what a scrape
//! of its metrics costs beside them.
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

/// Scrapes that are measured together, because processor time is told in hundredths of a second.
const SCRAPES: u32 = 300;

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
    /// What a scrape beside the pages takes of the gateway's processor, and its bytes.
    pub(crate) scrape: (Duration, usize),
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
    let before_hold = system.sample()?.gateway.busy;
    tokio::select! {
        () = sleep(options.hold) => {}
        Some(ended) = idle.join_next() => bail!(ended?.context("an idle page was let go of")),
    }
    let during = system.sample()?.gateway;
    let scrape = scrapes(&system, options.hold, before_hold, during.busy).await?;
    idle.shutdown().await;
    system.has_no_pages().await?;
    let after = system.sample()?.gateway;
    report::pages(&Found { pages, opened_in, before, during, scrape, after });
    system.end()?;
    Ok(true)
}

/// What one scrape takes of the gateway's processor, and its bytes. While the pages were held without any, for `hold`, the
/// gateway was busy from `idle_from` to `idle_until`; as much of that is taken off as belongs to the time of the scrapes.
async fn scrapes(
    system: &System,
    hold: Duration,
    idle_from: Duration,
    idle_until: Duration,
) -> anyhow::Result<(Duration, usize)> {
    let (began, mut bytes) = (Instant::now(), 0);
    for _ in 0..SCRAPES {
        bytes = system.scrape().await?.len();
    }
    let took = system.sample()?.gateway.busy.saturating_sub(idle_until);
    let share = began.elapsed().as_secs_f64() / hold.as_secs_f64();
    let idle = idle_until.saturating_sub(idle_from).mul_f64(share);
    Ok((took.saturating_sub(idle) / SCRAPES, bytes))
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
