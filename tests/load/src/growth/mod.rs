//! `growth`: whether anything grows faster than the work. The same page and the same notice are measured beside more and more
//! pages, logins that are kept, and back ends; and what a service takes before it has any work at all.
//!
//! Each [`curve`] has what one page or one notice costs, over how many there are. Where nothing grows faster than the work, it
//! is flat. More pages than a process has open files for are spread over several gateways, and [`hold`] by several processes.

mod curve;
pub(crate) mod hold;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use e2e::programs::{Program, program};
use server::descriptors;

use self::curve::Curve;
use self::hold::Holder;
use crate::cores::{self, Cores};
use crate::crowd::Crowd;
use crate::crowd::back_end::BackEnds;
use crate::crowd::course::Pace;
use crate::figures::{Spread, Unit};
use crate::open::micros;
use crate::rounds::Progress;
use crate::system::{self, NOTIFY_KEY};
use crate::target::{Shows, settings};
use crate::{spent, table};

/// Pages of one gateway, and how many there are in all.
const PAGES: [(u32, u32); 4] = [(1000, 1), (5000, 1), (15_000, 1), (15_000, 4)];

/// Logins that are kept. A gateway takes a million at most, and some more come while it is measured.
const LOGINS: [u32; 3] = [10_000, 100_000, 900_000];
const MOST: u32 = 1_000_000;

/// Connections of back ends.
const CLIENTS: [usize; 3] = [1, 10, 100];

/// Pages whose logins are ended over those connections, and notices in flight on all of them together.
const TOLD: usize = 3000;
const IN_FLIGHT: usize = 256;

/// Pages that come and go at once, so that their logins stay.
const COME_AND_GO: usize = 5000;

/// Pages that are being opened at the same time, and those before anything is measured.
const AT_ONCE: usize = 64;
const FIRST: usize = 50;

/// From the last page's code until memory is looked at.
const SETTLED: Duration = Duration::from_millis(1500);

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// The most logins that are kept; 900,000 take some minutes, and less than 10,000 are left out.
    #[arg(long, default_value_t = 900_000, value_parser = clap::value_parser!(u32).range(0..=900_000))]
    logins: u32,

    /// The most pages in all; more than 15,000 are spread over several gateways.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1000..=60_000))]
    pages: u32,

    /// Rounds, of which the medians are shown; logins are kept once.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,

    /// Also writes all figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Also draws the curves into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What is found for one number of something, one figure a round.
type Rounds = Vec<f64>;

/// Measures, reports, and returns true.
///
/// # Errors
/// When a program does not start, or lets go of a page.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let (cores, progress) = (Cores::here()?, Progress::begin());
    // Built before anything is kept to a core.
    let _ = program("ws-gateway");
    let _ = descriptors::raise();
    cores::go_first();
    cores.keep_off()?;
    let services = services(&cores)?;
    let mut curves = Vec::new();
    pages(options, &cores, &progress, &mut curves)?;
    clients(options, &cores, &progress, &mut curves)?;
    logins(options, &cores, &progress, &mut curves)?;
    cores.let_go()?;
    curve::print(options.rounds, &cores, &services, &curves);
    let write = |file: &Option<PathBuf>, text: String| match file {
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
        }
        None => Ok(()),
    };
    write(&options.json, curve::json(&table::machine(&cores), options.rounds, &services, &curves)?)?;
    write(&options.plot, curve::svg(&curves))?;
    Ok(true)
}

/// A service that has no work.
struct Service {
    name: &'static str,
    /// From its start until it listens, in milliseconds.
    starts_in: Spread,
    /// Its own memory then, in bytes.
    memory: u64,
    /// The program's size, in bytes.
    size: u64,
}

/// Both services, as they are before anybody comes.
fn services(cores: &Cores) -> anyhow::Result<Vec<Service>> {
    let folder = tempfile::tempdir()?;
    let wechat = system::wechat();
    let account = simulator::Settings::default();
    let gateway = settings(wechat.address("wechat"), Shows::Code, 1000);
    let mut callback = system::callback(wechat.address("wechat"), &account, "127.0.0.1:9".to_owned());
    callback.insert("CALLBACK_STORE", system::sqlite(folder.path()));
    let of = |name: &'static str, settings| {
        let (mut took, mut memory) = (Vec::new(), 0);
        for _ in 0..5 {
            let began = Instant::now();
            let service = cores.for_server(|| Program::start(name, settings))?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(300));
            memory = spent::memory(service.id())?;
        }
        let starts_in = Spread::of(&took).context("no start")?;
        Ok(Service { name, starts_in, memory, size: std::fs::metadata(program(name))?.len() })
    };
    [("ws-gateway", &gateway), ("callback-service", &callback)]
        .map(|(name, settings)| of(name, settings))
        .into_iter()
        .collect()
}

fn pages(
    options: &Options,
    cores: &Cores,
    progress: &Progress,
    curves: &mut Vec<Curve>,
) -> anyhow::Result<()> {
    let mut cpu = Curve::of("pages.cpu", "CPU to open one page, by pages that are open", Unit::Micros);
    let mut memory = Curve::of("pages.memory", "memory of one page, by pages that are open", Unit::Bytes);
    for (pages, gateways) in PAGES.into_iter().filter(|(pages, gateways)| pages * gateways <= options.pages) {
        let all = pages * gateways;
        let (mut of_cpu, mut of_memory) = (Rounds::new(), Rounds::new());
        for round in 1..=options.rounds {
            progress.say(&format!(
                "growth: round {round} of {}, {all} pages at {gateways} gateways",
                options.rounds
            ));
            let (cpu, memory) = of_pages(pages, gateways, cores)?;
            of_cpu.push(micros(cpu) / f64::from(all));
            of_memory.push(memory as f64 / f64::from(all));
        }
        cpu.add(all, &of_cpu)?;
        memory.add(all, &of_memory)?;
    }
    curves.extend([cpu, memory]);
    Ok(())
}

/// What so many pages take of each of so many gateways together.
fn of_pages(pages: u32, gateways: u32, cores: &Cores) -> anyhow::Result<(Duration, u64)> {
    let wechat = system::wechat();
    let settings = settings(wechat.address("wechat"), Shows::Code, usize::try_from(pages)? + AT_ONCE);
    let start = |_| cores.for_server(|| Program::start("ws-gateway", &settings));
    let gateways = (0..gateways).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let spent = |gateways: &[Program]| {
        gateways.iter().try_fold((Duration::ZERO, 0), |(busy, memory), gateway| {
            anyhow::Ok((busy + spent::busy(gateway.id())?, memory + spent::memory(gateway.id())?))
        })
    };
    for gateway in &gateways {
        drop(Holder::open(gateway.address("browsers"), u32::try_from(FIRST)?)?);
    }
    std::thread::sleep(Duration::from_millis(500));
    let before = spent(&gateways)?;
    let held: Vec<_> = gateways
        .iter()
        .map(|gateway| Holder::open(gateway.address("browsers"), pages))
        .collect::<anyhow::Result<_>>()?;
    std::thread::sleep(SETTLED);
    let after = spent(&gateways)?;
    drop(held);
    Ok((after.0 - before.0, after.1.saturating_sub(before.1)))
}

fn clients(
    options: &Options,
    cores: &Cores,
    progress: &Progress,
    curves: &mut Vec<Curve>,
) -> anyhow::Result<()> {
    let mut cpu = Curve::of("clients.cpu", "CPU of one notice, by back ends that send", Unit::Micros);
    let mut rate = Curve::of("clients.rate", "notices, by back ends that send", Unit::ASecond);
    let wechat = system::wechat();
    for count in CLIENTS {
        let (mut of_cpu, mut of_rate) = (Rounds::new(), Rounds::new());
        for round in 1..=options.rounds {
            progress.say(&format!("growth: round {round} of {}, {count} back ends", options.rounds));
            let gateway = gateway(&wechat, TOLD + AT_ONCE, cores)?;
            let mut crowd = Crowd::new(&[gateway.address("browsers")])?;
            let mut back_ends = BackEnds::connect(&crowd, gateway.address("notices"), count, NOTIFY_KEY)?;
            let (busy, took) = tell(&gateway, &mut crowd, &mut back_ends)?;
            of_cpu.push(micros(busy) / TOLD as f64);
            of_rate.push(TOLD as f64 / took.as_secs_f64());
        }
        cpu.add(u32::try_from(count)?, &of_cpu)?;
        rate.add(u32::try_from(count)?, &of_rate)?;
    }
    curves.extend([cpu, rate]);
    Ok(())
}

fn logins(
    options: &Options,
    cores: &Cores,
    progress: &Progress,
    curves: &mut Vec<Curve>,
) -> anyhow::Result<()> {
    let mut memory = Curve::of("logins.memory", "memory of one login that is kept, by logins", Unit::Bytes);
    let mut open = Curve::of("logins.open", "CPU to open one page, by logins that are kept", Unit::Micros);
    let mut notice = Curve::of("logins.notice", "CPU of one notice, by logins that are kept", Unit::Micros);
    // Pages that have left may not have been noticed when the next ones come.
    let wechat = system::wechat();
    let gateway = gateway(&wechat, 3 * COME_AND_GO, cores)?;
    let mut crowd = Crowd::new(&[gateway.address("browsers")])?;
    crowd.open(COME_AND_GO, AT_ONCE)?;
    crowd.leave()?;
    let (before, mut kept) = (spent::memory(gateway.id())?, 0);
    for count in LOGINS.into_iter().filter(|count| *count <= options.logins) {
        progress.say(&format!("growth: {count} logins are kept"));
        while kept < count {
            crowd.open(COME_AND_GO, AT_ONCE).with_context(|| gateway.log())?;
            crowd.leave()?;
            kept += u32::try_from(COME_AND_GO)?;
        }
        std::thread::sleep(SETTLED);
        let now = spent::memory(gateway.id())?;
        memory.add(count, &[now.saturating_sub(before) as f64 / f64::from(kept)])?;
        let busy = spent::busy(gateway.id())?;
        crowd.open(COME_AND_GO, AT_ONCE)?;
        open.add(count, &[micros(spent::busy(gateway.id())? - busy) / COME_AND_GO as f64])?;
        crowd.leave()?;
        // Only now, because one that sends nothing while logins are made would be let go.
        let mut back_ends = BackEnds::connect(&crowd, gateway.address("notices"), 1, NOTIFY_KEY)?;
        let (busy, _) = tell(&gateway, &mut crowd, &mut back_ends)?;
        notice.add(count, &[micros(busy) / TOLD as f64])?;
        kept += u32::try_from(COME_AND_GO)?;
    }
    curves.extend([memory, open, notice].into_iter().filter(|curve| !curve.is_empty()));
    Ok(())
}

/// A gateway that keeps as many logins as any may.
fn gateway(wechat: &Program, pages: usize, cores: &Cores) -> anyhow::Result<Program> {
    let mut settings = settings(wechat.address("wechat"), Shows::Code, pages);
    settings.insert("GATEWAY_MAX_LOGINS", MOST.to_string());
    cores.for_server(|| Program::start("ws-gateway", &settings))
}

/// Ends the logins of new pages, and gives what that took of the gateway, and how long.
fn tell(
    gateway: &Program,
    crowd: &mut Crowd,
    back_ends: &mut BackEnds,
) -> anyhow::Result<(Duration, Duration)> {
    crowd.open(TOLD, AT_ONCE)?;
    let busy = spent::busy(gateway.id())?;
    let told = crowd.tell(back_ends, TOLD, Pace::InFlight(IN_FLIGHT))?;
    let busy = spent::busy(gateway.id())? - busy;
    ensure!(told.each.len() == TOLD, "not all were told");
    crowd.leave()?;
    Ok((busy, told.took))
}
