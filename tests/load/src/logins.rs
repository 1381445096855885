//! `logins`: whole journeys through both services, from the page that opens to the end of its connection, with the stores in
//! one process (memory and SQLite, one gateway) and in Redis (two gateways, which share their logins).
//!
//! Scans come one after another for what one takes, and 64 at once for how many there can be. Both services share the server's
//! core; Redis is with the load.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use e2e::programs::Program;
use simulator::{Mode, Settings};
use tempfile::TempDir;
use test_redis::Redis;
use tokio::runtime::Handle;

use crate::cores::{self, Cores};
use crate::crowd::Crowd;
use crate::crowd::course::Pace;
use crate::crowd::pushes::{Pushes, scans};
use crate::figures::{Figures, Measure, Unit, percentile};
use crate::open::{micros, millis};
use crate::phone::Phones;
use crate::rounds::{self, Progress};
use crate::spent;
use crate::system;
use crate::target::Server;

/// The life of a code. None expires meanwhile.
const LOGIN_TTL: Duration = Duration::from_secs(600);

/// Logins before anything is measured.
const FIRST: usize = 50;

/// Scans in flight, and pages that are being opened, at most.
const AT_ONCE: usize = 64;

/// For this long the services are left alone, to see what they ask of Redis by themselves.
const ALONE: Duration = Duration::from_secs(1);

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Logins with each kind of store, a quarter of them one after another.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(8..=15_000))]
    pub(crate) logins: u32,

    /// Without Redis, for machines that have none.
    #[arg(long)]
    pub(crate) no_redis: bool,

    #[command(flatten)]
    pub(crate) rounds: rounds::Options,
}

/// The running services.
struct Stack {
    gateways: Vec<Program>,
    callback: Program,
    redis: Option<Redis>,
    _wechat: Program,
    _folder: TempDir,
}

/// Measures, reports, and returns true.
///
/// # Errors
/// When a program does not start, or a login fails.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let cores = Cores::here()?;
    let figures = measure(options, &cores, &Progress::begin())?;
    options.rounds.report("logins", &cores, &figures)?;
    Ok(true)
}

/// All rounds.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure(options: &Options, cores: &Cores, progress: &Progress) -> anyhow::Result<Figures> {
    // Built before anything is kept to a core.
    let _ = e2e::programs::program("callback-service");
    let _ = server::descriptors::raise();
    cores::go_first();
    cores.keep_off()?;
    let mut figures = Figures::default();
    for round in 1..=options.rounds.rounds {
        for redis in [false, true].into_iter().filter(|redis| !(*redis && options.no_redis)) {
            let store = if redis { "Redis" } else { "in one process" };
            progress.say(&format!("logins: round {round} of {}, {store}", options.rounds.rounds));
            let stack = Stack::start(redis, options, cores)?;
            let measured = of_stack(&stack, options, &mut figures);
            measured.with_context(|| stack.log())?;
        }
    }
    cores.let_go()?;
    Ok(figures)
}

fn of_stack(stack: &Stack, options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let count = usize::try_from(options.logins)?;
    let gateways: Vec<_> = stack.gateways.iter().map(|gateway| gateway.address("browsers")).collect();
    let to = stack.callback.address("pushes");
    let mut crowd = Crowd::new(&gateways)?;
    let mut pushes = Pushes::connect(&crowd, to, AT_ONCE, Mode::Safe)?;
    let mut log_in = |crowd: &mut Crowd, count, pace| {
        let (pages, scenes) = crowd.choose(count)?;
        crowd.send(&mut pushes, &scans(&scenes, to, Mode::Safe)?, Some(&pages), pace)
    };
    crowd.open(FIRST, AT_ONCE)?;
    log_in(&mut crowd, FIRST, Pace::InFlight(AT_ONCE))?;
    crowd.leave()?;

    let by_themselves = stack.commands()?;
    std::thread::sleep(ALONE);
    let began = std::time::Instant::now();
    let before = stack.commands()?;
    let by_themselves =
        before.zip(by_themselves).map(|(after, before)| (after - before) / ALONE.as_secs_f64());
    let busy = stack.busy()?;

    crowd.open(count, AT_ONCE)?;
    let mut alone = log_in(&mut crowd, count / 4, Pace::InFlight(1))?;
    let rest = count - count / 4;
    let together = log_in(&mut crowd, rest, Pace::InFlight(AT_ONCE))?;
    crowd.leave()?;

    let [gateway, callback] = stack.busy()?;
    let store = if stack.redis.is_some() { "redis" } else { "memory" };
    let place = if stack.redis.is_some() { "Redis, two gateways" } else { "in one process" };
    let mut add = |id: &str, name: &str, unit, figure| {
        let measure = Measure::of(format!("logins.{store}.{id}"), format!("logins, {place}: {name}"), unit);
        figures.add(Server::Ours, measure, figure);
    };
    alone.each.sort_unstable();
    add("p50", "from push to page, p50", Unit::Millis, millis(percentile(&alone.each, 0.5)));
    add("p99", "from push to page, p99", Unit::Millis, millis(percentile(&alone.each, 0.99)));
    add("rate", "ended, 64 at once", Unit::ASecond, rest as f64 / together.took.as_secs_f64());
    add(
        "gateway_cpu",
        "CPU of the gateways for a login",
        Unit::Micros,
        micros(gateway - busy[0]) / count as f64,
    );
    add(
        "callback_cpu",
        "CPU of the callback service for a login",
        Unit::Micros,
        micros(callback - busy[1]) / count as f64,
    );
    if let (Some(before), Some(by_themselves), Some(after)) = (before, by_themselves, stack.commands()?) {
        let theirs = after - before - by_themselves * began.elapsed().as_secs_f64();
        add("commands", "Redis's commands for a login", Unit::Count, theirs / count as f64);
    }
    Ok(())
}

impl Stack {
    fn start(redis: bool, options: &Options, cores: &Cores) -> anyhow::Result<Self> {
        let (account, folder) = (Settings::default(), tempfile::tempdir()?);
        let wechat = system::wechat();
        let api = wechat.address("wechat");
        Handle::current().block_on(Phones::new(api))?;
        let redis = redis.then(|| Handle::current().block_on(Redis::start()));
        let pages = usize::try_from(options.logins)? + FIRST + AT_ONCE;
        let mut settings = system::unlimited_gateway(api, &account, LOGIN_TTL, pages);
        if let Some(redis) = &redis {
            settings.insert("GATEWAY_STORE", redis.url());
        }
        let count = if redis.is_some() { 2 } else { 1 };
        let start = |_| cores.for_server(|| Program::start("ws-gateway", &settings));
        let gateways = (0..count).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let ports: Vec<_> = gateways.iter().map(|gateway| gateway.address("notices").to_string()).collect();
        let mut settings = system::callback(api, &account, ports.join(","));
        let store = redis.as_ref().map_or_else(|| system::sqlite(folder.path()), Redis::url);
        settings.insert("CALLBACK_STORE", store);
        let callback = cores.for_server(|| Program::start("callback-service", &settings))?;
        Ok(Self { gateways, callback, redis, _wechat: wechat, _folder: folder })
    }

    /// Processor time of the gateways and of the callback service.
    fn busy(&self) -> anyhow::Result<[Duration; 2]> {
        let gateways =
            self.gateways.iter().map(|gateway| spent::busy(gateway.id())).sum::<anyhow::Result<_>>()?;
        Ok([gateways, spent::busy(self.callback.id())?])
    }

    /// Commands that Redis has taken so far, if there is one.
    fn commands(&self) -> anyhow::Result<Option<f64>> {
        let Some(redis) = &self.redis else { return Ok(None) };
        let info = Handle::current().block_on(redis.cli(&["info", "stats"]));
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        let count = line.and_then(|count| count.trim().parse().ok());
        Ok(Some(count.context("Redis does not say how many commands it has taken")?))
    }

    fn log(&self) -> String {
        self.gateways.iter().map(Program::log).chain([self.callback.log()]).collect()
    }
}
