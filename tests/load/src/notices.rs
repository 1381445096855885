//! `notices`: what it costs to end the logins of pages that wait, and how soon the pages know, at the gateway and at the
//! references in the same rounds.
//!
//! Each notice ends the login of one open page. A page is sent the message and the close, and answers the close only when
//! all of them have been told: so the rate and the latency are those of the message, and what the end of the connection
//! costs is told apart.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use server::descriptors;

use crate::cores::{self, Cores};
use crate::crowd::Crowd;
use crate::crowd::back_end::BackEnds;
use crate::crowd::course::{Pace, Told};
use crate::figures::{Figures, Measure, Unit, percentile};
use crate::open::{micros, millis};
use crate::rounds::{self, Progress};
use crate::spent;
use crate::system::NOTIFY_KEY;
use crate::target::{Server, Shows, Target};

/// Pages that are being opened at the same time.
const AT_ONCE: usize = 64;

/// Notices before anything is measured.
const FIRST: usize = 200;

/// Open files that this program needs beside its pages.
const FILES_BESIDE_PAGES: usize = 400;

/// From the first notices until the others: a page that does not answer its close is let go after a second.
const SETTLED: Duration = Duration::from_millis(300);

/// One way to send them, its share of the pages, and what is measured.
struct Part {
    pace: Pace,
    share: f64,
    rate: Option<Measure>,
    cpu: Measure,
    with_end: Option<Measure>,
    load: Option<Measure>,
    p50: Measure,
    p99: Measure,
    p999: Measure,
}

const PARTS: [Part; 4] = [
    Part {
        pace: Pace::InFlight(64),
        share: 0.3,
        rate: Some(Measure::named("notices.rate", "notices, 64 in flight", Unit::ASecond)),
        cpu: Measure::named("notices.cpu", "server CPU of a notice, 64 in flight", Unit::Micros),
        with_end: Some(Measure::named(
            "notices.cpu_with_end",
            "the same with the end of the page's connection",
            Unit::Micros,
        )),
        load: Some(Measure::named("notices.load", "the load's own core, 64 in flight", Unit::Percent)),
        p50: Measure::named("notices.p50", "64 in flight: p50", Unit::Millis),
        p99: Measure::named("notices.p99", "64 in flight: p99", Unit::Millis),
        p999: Measure::named("notices.p999", "64 in flight: p99.9", Unit::Millis),
    },
    Part {
        pace: Pace::InFlight(1024),
        share: 0.3,
        rate: Some(Measure::named("notices.rate_1024", "notices, 1,024 in flight", Unit::ASecond)),
        cpu: Measure::named("notices.cpu_1024", "server CPU of a notice, 1,024 in flight", Unit::Micros),
        with_end: None,
        load: None,
        p50: Measure::named("notices.p50_1024", "1,024 in flight: p50", Unit::Millis),
        p99: Measure::named("notices.p99_1024", "1,024 in flight: p99", Unit::Millis),
        p999: Measure::named("notices.p999_1024", "1,024 in flight: p99.9", Unit::Millis),
    },
    Part {
        pace: Pace::Rate(2000.0),
        share: 0.1,
        rate: None,
        cpu: Measure::named("notices.cpu_at_2000", "server CPU of a notice at 2,000/s", Unit::Micros),
        with_end: None,
        load: None,
        p50: Measure::named("notices.p50_at_2000", "at 2,000/s: p50", Unit::Millis),
        p99: Measure::named("notices.p99_at_2000", "at 2,000/s: p99", Unit::Millis),
        p999: Measure::named("notices.p999_at_2000", "at 2,000/s: p99.9", Unit::Millis),
    },
    Part {
        pace: Pace::Rate(20_000.0),
        share: 0.3,
        rate: None,
        cpu: Measure::named("notices.cpu_at_20000", "server CPU of a notice at 20,000/s", Unit::Micros),
        with_end: None,
        load: None,
        p50: Measure::named("notices.p50_at_20000", "at 20,000/s: p50", Unit::Millis),
        p99: Measure::named("notices.p99_at_20000", "at 20,000/s: p99", Unit::Millis),
        p999: Measure::named("notices.p999_at_20000", "at 20,000/s: p99.9", Unit::Millis),
    },
];

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Pages, each of which is told once: three tenths with 64 notices in flight, as many with 1,024 and at 20,000 a
    /// second, and one tenth at 2,000.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    pub(crate) pages: u32,

    /// Connections of back ends, over which notices are spread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=128))]
    pub(crate) clients: u8,

    #[command(flatten)]
    pub(crate) rounds: rounds::Options,
}

/// Measures, reports, and returns true.
///
/// # Errors
/// When a server does not start, or a notice does not reach its page.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let cores = Cores::here()?;
    let figures = measure(options, &cores, &Progress::begin())?;
    options.rounds.report("notices", &cores, &figures)?;
    Ok(true)
}

/// All rounds.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure(options: &Options, cores: &Cores, progress: &Progress) -> anyhow::Result<Figures> {
    let possible = descriptors::raise().saturating_sub(FILES_BESIDE_PAGES);
    let pages = usize::try_from(options.pages)?;
    ensure!(pages <= possible, "--pages: the limit on open files allows {possible}; raise it (ulimit -n)");
    // Built before anything is kept to a core.
    let _ = e2e::programs::program("ws-gateway");
    cores::go_first();
    cores.keep_off()?;
    let mut figures = Figures::default();
    for round in 1..=options.rounds.rounds {
        for server in Server::ALL {
            progress.say(&format!("notices: round {round} of {}, {}", options.rounds.rounds, server.name()));
            of_server(server, options, cores, &mut figures)?;
        }
    }
    cores.let_go()?;
    Ok(figures)
}

/// One server's turn.
fn of_server(server: Server, options: &Options, cores: &Cores, figures: &mut Figures) -> anyhow::Result<()> {
    let pages = usize::try_from(options.pages)?;
    let target = Target::start(server, Shows::Code, pages + FIRST + AT_ONCE, 1500, cores)?;
    let mut crowd = Crowd::new(&[target.pages()])?;
    let connect =
        |crowd: &Crowd| BackEnds::connect(crowd, target.notices(), options.clients.into(), NOTIFY_KEY);
    crowd.open(FIRST, AT_ONCE)?;
    crowd.tell(&mut connect(&crowd)?, FIRST, Pace::InFlight(64))?;
    crowd.leave()?;
    crowd.open(pages, AT_ONCE).with_context(|| target.log())?;
    // Only now, because one that sends nothing while pages open would be let go.
    let mut back_ends = connect(&crowd)?;
    std::thread::sleep(SETTLED);
    for part in &PARTS {
        let count = ((pages as f64 * part.share) as usize).min(crowd.waiting());
        let (busy, own) = (spent::busy(target.id())?, spent::busy(std::process::id())?);
        let told = crowd.tell(&mut back_ends, count, part.pace)?;
        let cpu = spent::busy(target.id())? - busy;
        let own = spent::busy(std::process::id())? - own;
        crowd.leave_told()?;
        let with_end = spent::busy(target.id())? - busy;
        add(figures, server, part, told, [cpu, with_end, own]);
    }
    Ok(())
}

fn add(
    figures: &mut Figures,
    server: Server,
    part: &Part,
    mut told: Told,
    [cpu, with_end, own]: [Duration; 3],
) {
    let count = told.each.len() as f64;
    let mut add = |measure: Option<&Measure>, figure: f64| {
        if let Some(measure) = measure {
            figures.add(server, measure.clone(), figure);
        }
    };
    add(part.rate.as_ref(), count / told.took.as_secs_f64());
    add(Some(&part.cpu), micros(cpu) / count);
    add(part.with_end.as_ref(), micros(with_end) / count);
    told.each.sort_unstable();
    for (measure, share) in [(&part.p50, 0.5), (&part.p99, 0.99), (&part.p999, 0.999)] {
        add(Some(measure), millis(percentile(&told.each, share)));
    }
    add(part.load.as_ref(), 100.0 * own.as_secs_f64() / told.took.as_secs_f64());
}
