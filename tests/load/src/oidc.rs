//! `oidc`: whole logins at a site by redirect, to find out what each step takes and what a login costs the services. Plain
//! logins are measured beside them, with and without a file of sites: the provider must not slow them down.
//!
//! The kinds take turns, a few logins at a time, so that what else the machine does favours none of them. Services without
//! sites and services with one run side by side for that, and are started anew for each round.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use e2e::sites::Site;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use crate::page::Trouble;
use crate::report;
use crate::site_login::{STEPS, SiteVisitors, Took};
use crate::system::System;

/// The life of a code. None expires meanwhile.
const LOGIN_TTL: Duration = Duration::from_secs(120);

/// Logins of each kind before anything is measured: what a process does only once does not count.
const FIRST: u64 = 20;

/// Logins of one kind until it is the next one's turn.
const TURN: u64 = 50;

/// The longest time of a round.
const LONGEST_ROUND: Duration = Duration::from_secs(30 * 60);

/// What may be chosen.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Logins of each kind in a round. The services' processor time is seen in steps of 10 ms, so a few are too few.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    logins: u32,

    /// Logins at once, where they are not one after another.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=256))]
    workers: u16,

    /// Rounds, of which the medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
}

/// The kinds of logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Plain ones of services that have no sites.
    Plain,
    /// Plain ones of services that have a site.
    PlainBeside,
    /// At a site, one after another.
    Alone,
    /// At a site, several at once.
    Together,
    /// At a site, one after another, each confirmed by the number of the page.
    Confirmed,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Plain, Self::PlainBeside, Self::Alone, Self::Together, Self::Confirmed];
}

/// The processor time of the services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// ws-gateway.
    pub(crate) gateway: Duration,
    /// callback-service.
    pub(crate) callback: Duration,
}

/// The findings.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What a login of each kind costs, in the order of [`Kind::ALL`], for each round.
    pub(crate) costs: Vec<[Cost; Kind::ALL.len()]>,
    /// What each step of those one after another took, for every login.
    pub(crate) steps_alone: Vec<Took>,
    /// What each step of those at once took.
    pub(crate) steps_together: Vec<Took>,
}

/// Measures, reports, and returns true.
///
/// # Errors
/// When a program does not start, or a login fails.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    report::oidc_begins(options.rounds, options.logins, options.workers);
    let mut found = Found::default();
    for _ in 0..options.rounds {
        let measured = timeout(LONGEST_ROUND, measure(options, &mut found)).await;
        measured.with_context(|| format!("a round takes longer than {LONGEST_ROUND:?}"))??;
    }
    report::oidc(&found, options.workers);
    Ok(true)
}

/// A round.
async fn measure(options: &Options, found: &mut Found) -> anyhow::Result<()> {
    let (logins, at_once) = (u64::from(options.logins), usize::from(options.workers));
    let site = Site::new("shop");
    let bare = System::start_for(LOGIN_TTL, at_once + 100, None).await?;
    let sited = System::start_for(LOGIN_TTL, at_once + 100, Some(&site)).await?;
    let visitors = SiteVisitors::new(&sited, &site)?;
    let plain = async |system: &System, number| system.visitors.log_in(number).await.map(drop).map_err(told);
    let at_site = async |number| visitors.log_in(number, false).await;
    let confirmed = async |number| visitors.log_in(number, true).await;
    for number in 0..FIRST {
        plain(&bare, number).await?;
        plain(&sited, number).await?;
        at_site(number).await?;
        confirmed(number).await?;
    }
    let mut costs = [Cost::default(); Kind::ALL.len()];
    for (turn, from) in (0..logins).step_by(usize::try_from(TURN)?).enumerate() {
        let numbers = from..(from + TURN).min(logins);
        for at in 0..Kind::ALL.len() {
            // Each is the first in its turn.
            let kind = Kind::ALL[(at + turn) % Kind::ALL.len()];
            let cost = &mut costs[kind as usize];
            match kind {
                Kind::Plain => {
                    cost.add(&bare, many(numbers.clone(), 1, async |number| plain(&bare, number).await))
                        .await?;
                }
                Kind::PlainBeside => {
                    cost.add(&sited, many(numbers.clone(), 1, async |number| plain(&sited, number).await))
                        .await?;
                }
                Kind::Alone => {
                    let steps = cost.add(&sited, many(numbers.clone(), 1, at_site)).await?;
                    found.steps_alone.extend(steps);
                }
                Kind::Together => {
                    let steps = cost.add(&sited, many(numbers.clone(), at_once, at_site)).await?;
                    found.steps_together.extend(steps);
                }
                Kind::Confirmed => {
                    cost.add(&sited, many(numbers.clone(), 1, confirmed)).await?;
                }
            }
        }
    }
    found.costs.push(costs.map(|cost| cost.each(logins)));
    bare.end()?;
    sited.end()
}

fn told(trouble: Trouble) -> anyhow::Error {
    match trouble {
        Trouble::Fault(error) => error,
        Trouble::Refused(wait) => anyhow!("a page was told to come back in {wait:?}"),
    }
}

/// Logs these visitors in, some at once.
async fn many<T>(
    numbers: Range<u64>,
    at_once: usize,
    log_in: impl AsyncFn(u64) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    stream::iter(numbers).map(|number| log_in(number)).buffer_unordered(at_once).try_collect().await
}

impl Cost {
    /// Adds what some work costs the services of a system, and gives what the work gives.
    async fn add<T>(
        &mut self,
        system: &System,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let before = system.sample()?;
        let given = work.await?;
        // What is done after a page is told belongs to its login.
        system.has_no_pages().await?;
        let after = system.sample()?;
        self.gateway += after.gateway.busy - before.gateway.busy;
        self.callback += after.callback.busy - before.callback.busy;
        Ok(given)
    }

    /// The cost of one login of so many.
    fn each(self, logins: u64) -> Self {
        let each = |whole: Duration| {
            Duration::from_nanos(u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX) / logins)
        };
        Self { gateway: each(self.gateway), callback: each(self.callback) }
    }
}

impl Found {
    /// The median of what a step took, in the order of [`STEPS`].
    pub(crate) fn step(steps: &[Took], step: usize) -> Duration {
        debug_assert!(step < STEPS.len());
        median(steps.iter().map(|took| took.0[step]))
    }

    /// The median of what a whole login took.
    pub(crate) fn whole(steps: &[Took]) -> Duration {
        median(steps.iter().map(|took| took.0.iter().sum()))
    }
}

/// The one in the middle; zero if there is none.
pub(crate) fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_each_step_and_of_the_whole() {
        let took = |first, last| {
            let mut took = [Duration::ZERO; STEPS.len()];
            (took[0], took[STEPS.len() - 1]) = (Duration::from_millis(first), Duration::from_millis(last));
            Took(took)
        };
        let steps = [took(1, 9), took(2, 1), took(30, 2)];
        let millis = |time: Duration| time.as_millis();
        assert_eq!(millis(Found::step(&steps, 0)), 2);
        assert_eq!(millis(Found::step(&steps, STEPS.len() - 1)), 2);
        assert_eq!(millis(Found::whole(&steps)), 10, "it is no sum of medians");
        assert_eq!(Found::whole(&[]), Duration::ZERO);
    }
}
