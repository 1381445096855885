//! `open`: what a page costs that opens, shows its code and waits, at the gateway and at the references in the same rounds.
//!
//! The gateway and the tuned server ask the offline WeChat for each page's code; the floor asks nobody. What a page costs
//! without that is measured, too: the gateway's page then shows a code to type.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use server::descriptors;

use crate::cores::{self, Cores};
use crate::crowd::Crowd;
use crate::figures::{Figures, Measure, Unit, percentile};
use crate::rounds::{self, Progress};
use crate::spent;
use crate::target::{Server, Shows, Target};

/// Pages that are opened and closed first, so that what a server takes only once is not counted.
const FIRST: usize = 50;

/// Pages that are being opened at the same time.
const AT_ONCE: usize = 64;

/// The most pages with a code to type: the gateway makes ten thousand at once, and then few.
const TYPED: usize = 9000;

/// From the last page's code until memory is looked at.
const SETTLED: Duration = Duration::from_millis(1500);

/// Open files that this program needs beside its pages.
const FILES_BESIDE_PAGES: usize = 200;

const CPU: Measure = Measure::named("open.cpu", "server CPU to open a page with its code", Unit::Micros);
const CPU_ALONE: Measure =
    Measure::named("open.cpu_alone", "server CPU to open a page without WeChat's code", Unit::Micros);
const RATE: Measure = Measure::named("open.rate", "pages opened", Unit::ASecond);
const MEMORY: Measure = Measure::named("open.memory", "memory of a waiting page (PSS)", Unit::Bytes);
const BURST: Measure = Measure::named("open.burst", "a burst: until all show their code", Unit::Millis);
const BURST_P50: Measure = Measure::named("open.burst_p50", "a burst: p50", Unit::Millis);
const BURST_P99: Measure = Measure::named("open.burst_p99", "a burst: p99", Unit::Millis);
const LOAD: Measure = Measure::named("open.load", "the load's own core while pages open", Unit::Percent);

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Pages that are opened and wait.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(10..=60_000))]
    pub(crate) pages: u32,

    /// Pages of the burst, all opened at once.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub(crate) burst: u32,

    #[command(flatten)]
    pub(crate) rounds: rounds::Options,
}

/// Measures, reports, and returns true.
///
/// # Errors
/// When a server does not start, or lets go of a page.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let cores = Cores::here()?;
    let figures = measure(options, &cores, &Progress::begin())?;
    options.rounds.report("open", &cores, &figures)?;
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
    let (mut figures, mut code_bytes) = (Figures::default(), 1500);
    for round in 1..=options.rounds.rounds {
        for server in Server::ALL {
            progress.say(&format!("open: round {round} of {}, {}", options.rounds.rounds, server.name()));
            code_bytes = of_server(server, options, code_bytes, cores, &mut figures)?;
        }
    }
    cores.let_go()?;
    Ok(figures)
}

/// One server's turn. Returns the length of its message with a code, which the references' are to have.
fn of_server(
    server: Server,
    options: &Options,
    code_bytes: usize,
    cores: &Cores,
    figures: &mut Figures,
) -> anyhow::Result<usize> {
    let (pages, burst) = (usize::try_from(options.pages)?, usize::try_from(options.burst)?);
    let limit = pages.max(burst).max(FIRST) + AT_ONCE;
    let target = Target::start(server, Shows::Code, limit, code_bytes, cores)?;
    let mut crowd = Crowd::new(&[target.pages()])?;
    crowd.open(FIRST, AT_ONCE)?;
    leave(&mut crowd)?;

    let (memory, busy, own) =
        (spent::memory(target.id())?, spent::busy(target.id())?, spent::busy(std::process::id())?);
    let opened = crowd.open(pages, AT_ONCE).with_context(|| target.log())?;
    let (busy, own) = (spent::busy(target.id())? - busy, spent::busy(std::process::id())? - own);
    std::thread::sleep(SETTLED);
    let memory = spent::memory(target.id())?.saturating_sub(memory);
    let each = f64::from(options.pages);
    figures.add(server, CPU, micros(busy) / each);
    figures.add(server, RATE, each / opened.took.as_secs_f64());
    figures.add(server, MEMORY, memory as f64 / each);
    figures.add(server, LOAD, 100.0 * own.as_secs_f64() / opened.took.as_secs_f64());
    let longest = opened.code_bytes;
    leave(&mut crowd)?;

    let mut opened = crowd.open(burst, burst)?;
    opened.each.sort_unstable();
    figures.add(server, BURST, millis(opened.took));
    figures.add(server, BURST_P50, millis(percentile(&opened.each, 0.5)));
    figures.add(server, BURST_P99, millis(percentile(&opened.each, 0.99)));
    drop((crowd, target));

    let target = Target::start(server, Shows::Typed, limit, code_bytes, cores)?;
    let mut crowd = Crowd::new(&[target.pages()])?;
    crowd.open(FIRST, AT_ONCE)?;
    leave(&mut crowd)?;
    let (busy, few) = (spent::busy(target.id())?, pages.min(TYPED));
    crowd.open(few, AT_ONCE)?;
    figures.add(server, CPU_ALONE, micros(spent::busy(target.id())? - busy) / few as f64);
    Ok(longest)
}

/// All pages leave, and the server has a moment to notice.
fn leave(crowd: &mut Crowd) -> anyhow::Result<()> {
    crowd.leave()?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}

/// In millionths of a second.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// In thousandths of a second.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
