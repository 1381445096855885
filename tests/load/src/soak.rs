//! `soak`: visitors without a pause, to find out whether the services' memory stays flat.
//!
//! The warm-up lasts until as many logins are forgotten as are made: a code's life, the three minutes for which
//! an end is kept, and a sweep. After it only two things should grow: SQLite's file, which is on disk, and the
//! offline WeChat, which keeps every code for half an hour and is shown but not judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use server::settings;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval, sleep};

use crate::page::Trouble;
use crate::report;
use crate::system::{Samples, System};
use crate::tally::Tally;
use crate::verdict::{Verdict, first_part, last_part};
use crate::visit::Visitors;

/// How long the gateway keeps an end, plus two of its sweeps; see its module `logins`.
const KEPT: Duration = Duration::from_secs(180 + 2 * 10);

/// Time between two samples of the programs.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Time between two rows of the table.
const ROW_EVERY: Duration = Duration::from_secs(15);

/// The longest rest of a worker that was told to come back. A longer rest would only mean fewer workers.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// How long idle connections are kept, with a margin.
const IDLE: Duration = Duration::from_secs(8);

/// The rest of a worker after a fault. Without it a quick fault could repeat without a pause.
const AFTER_FAULT: Duration = Duration::from_millis(100);

/// What may be chosen.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Minutes that are judged, after the warm-up.
    #[arg(long, default_value = "5", value_parser = minutes)]
    minutes: Duration,

    /// Visitors at once.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,

    /// Visits begun a second at most. Unset: as many as the workers can.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,

    /// How long a QR code is shown (GATEWAY_LOGIN_TTL), in whole seconds.
    #[arg(long, default_value = "10s", value_parser = settings::duration)]
    login_ttl: Duration,

    /// How long the load runs before anything is judged. Unset: until as many logins are forgotten as are made,
    /// which is the TTL and 200 s; with less than that, growth is no fault.
    #[arg(long, value_parser = settings::duration)]
    warm_up: Option<Duration>,
}

/// Reads minutes; fractions are allowed.
fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(minutes @ 0.1..=120.0) => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err("write minutes from 0.1 to 120".to_owned()),
    }
}

/// Soaks, reports, and returns whether memory is flat and no login failed.
///
/// # Errors
/// When a program does not start, or ends.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let warm_up = options.warm_up.unwrap_or(options.login_ttl + KEPT);
    report::soak_begins(options.workers, options.rate, options.login_ttl, warm_up, options.minutes);
    let system = System::start(options.login_ttl, usize::from(options.workers) + 100).await?;
    let before = system.sample()?;
    let tally = Arc::new(Tally::new());
    let mut workers = employ(options, &system.visitors, &tally);
    let mut watch = Watch::new(&system, &tally);
    watch.until(warm_up, true).await?;
    tally.take_whole();
    watch.seen.clear();
    watch.until(warm_up + options.minutes, false).await?;
    let (whole, Watch { seen, mut warnings, .. }) = (tally.take_whole(), watch);
    workers.shutdown().await;

    system.has_no_pages().await?;
    sleep(IDLE).await;
    let after = system.sample()?;
    let judge = |of: fn(&Samples) -> u64| {
        let samples: Vec<_> = seen.iter().map(|seen| (seen.at, of(&seen.samples))).collect();
        Verdict::of(&samples).context("too few samples for a verdict; let it run for longer")
    };
    let gateway = judge(|samples| samples.gateway.resident)?;
    let callback = judge(|samples| samples.callback.resident)?;
    system.collect_warnings(&mut warnings);
    let counts = tally.counts();
    report::soak_ends(&whole, options.minutes, &counts, &warnings);
    report::verdicts(&[("ws-gateway", gateway), ("callback-service", callback)], whole.visits);
    report::steadiness(rate(first_part(&seen)), rate(last_part(&seen)));
    report::files(&before, &after);
    system.end()?;
    Ok(gateway.is_flat() && callback.is_flat() && counts.faults == 0)
}

/// Starts the workers.
fn employ(options: &Options, visitors: &Arc<Visitors>, tally: &Arc<Tally>) -> JoinSet<()> {
    // A visit that a busy machine has delayed is made up for, so that the store always holds as many logins.
    let pace = options.rate.map(|rate| interval(Duration::from_secs(1) / rate));
    let (pace, numbers) = (Arc::new(Mutex::new(pace)), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..options.workers {
        let (visitors, tally) = (Arc::clone(visitors), Arc::clone(tally));
        let (pace, numbers) = (Arc::clone(&pace), Arc::clone(&numbers));
        workers.spawn(async move {
            loop {
                turn(&pace).await;
                let visit = visitors.visit(numbers.fetch_add(1, Ordering::Relaxed)).await;
                tally.count(&visit);
                match visit {
                    Ok(_) => {}
                    Err(Trouble::Refused(wait)) => sleep(wait.min(LONGEST_REST)).await,
                    Err(Trouble::Fault(_)) => sleep(AFTER_FAULT).await,
                }
            }
        });
    }
    workers
}

/// Waits until the next visit may begin.
async fn turn(pace: &Mutex<Option<Interval>>) {
    if let Some(pace) = pace.lock().await.as_mut() {
        pace.tick().await;
    }
}

/// The visits a second over a part of the time.
#[expect(clippy::cast_precision_loss, reason = "nobody reads that many digits")]
fn rate(part: &[Seen]) -> f64 {
    let (Some(first), Some(last)) = (part.first(), part.last()) else { return 0.0 };
    (last.visits - first.visits) as f64 / (last.at - first.at).as_secs_f64().max(0.001)
}

/// The samples of one moment.
struct Seen {
    at: Duration,
    samples: Samples,
    /// Visits since the warm-up.
    visits: u64,
}

/// Samples the programs over time, and prints rows of the table.
struct Watch<'s> {
    system: &'s System,
    tally: &'s Tally,
    began: Instant,
    pace: Interval,
    row_at: Instant,
    seen: Vec<Seen>,
    warnings: BTreeMap<String, u64>,
}

impl<'s> Watch<'s> {
    fn new(system: &'s System, tally: &'s Tally) -> Self {
        let began = Instant::now();
        Self {
            system,
            tally,
            began,
            pace: interval(SAMPLE_EVERY),
            row_at: began,
            seen: Vec::new(),
            warnings: BTreeMap::new(),
        }
    }

    /// Watches until `end`, counted from the beginning.
    async fn until(&mut self, end: Duration, is_warm_up: bool) -> anyhow::Result<()> {
        while self.began.elapsed() < end {
            self.pace.tick().await;
            let (now, samples) = (Instant::now(), self.system.sample()?);
            self.seen.push(Seen { at: now - self.began, samples, visits: self.tally.visits() });
            self.system.collect_warnings(&mut self.warnings);
            let since = now - self.row_at;
            if since >= ROW_EVERY {
                self.row_at = now;
                report::row(now - self.began, is_warm_up, since, &self.tally.take_row(), &samples);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_read_in_parts_and_within_bounds() {
        assert_eq!(minutes("5"), Ok(Duration::from_secs(300)));
        assert_eq!(minutes("0.2"), Ok(Duration::from_secs(12)));
        for wrong in ["0", "-1", "121", "NaN", "inf", "five", ""] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
