//! `all`: every measurement that compares, one after another, in one table; and whether anything was lost of what had been
//! reached. `--quick` takes fewer of everything, for a run that asks only that.

use clap::Args;

use crate::cores::Cores;
use crate::figures::Figures;
use crate::rounds::{self, Progress};
use crate::{kept, logins, notices, open, scans, table};

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// A minute, or a minute and a half, with fewer pages, notices, scans and logins in three rounds.
    #[arg(long)]
    quick: bool,

    /// Without Redis, for machines that have none.
    #[arg(long)]
    no_redis: bool,

    /// Rounds, of which the medians are shown [default: 5, and 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: Option<u8>,

    #[command(flatten)]
    files: rounds::Files,
}

/// Measures, reports, and returns whether nothing was lost.
///
/// # Errors
/// As each measurement.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let (cores, progress) = (Cores::here()?, Progress::begin());
    let (quick, no_redis) = (options.quick, options.no_redis);
    let rounds = rounds::Options {
        rounds: options.rounds.unwrap_or(if quick { 3 } else { 5 }),
        files: options.files.clone(),
    };
    let of = |all, few| if quick { few } else { all };
    let mut figures = Figures::default();
    let open = open::Options { pages: of(15_000, 1500), burst: of(1024, 300), rounds: rounds.clone() };
    figures.extend(open::measure(&open, &cores, &progress)?);
    let notices = notices::Options { pages: of(15_000, 4000), clients: 1, rounds: rounds.clone() };
    figures.extend(notices::measure(&notices, &cores, &progress)?);
    let scans =
        scans::Options { scans: of(10_000, 1500), no_redis, safe_alone: quick, rounds: rounds.clone() };
    figures.extend(scans::measure(&scans, &cores, &progress)?);
    let logins = logins::Options { logins: of(2000, 400), no_redis, rounds: rounds.clone() };
    figures.extend(logins::measure(&logins, &cores, &progress)?);
    rounds.report("all", &cores, &figures)?;
    let lost = kept::lost(&figures);
    table::lost(&lost);
    Ok(lost.is_empty())
}
