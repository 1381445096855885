//! `scans`: what a scan costs the callback service, and how fast it answers WeChat: in plaintext and in safe mode, with its
//! store in SQLite and in Redis. The gateway is played and answers at once, and nobody is asked for a nickname; everything else
//! is on. Pushes are sealed and signed before they are sent.
//!
//! What is beside it is the floor of an HTTP server, which answers the same requests and does nothing.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use clap::Args;
use e2e::programs::Program;
use protocol::Scene;
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
use crate::played::Played;
use crate::reference::{Kind, Reference};
use crate::rounds::{self, Progress};
use crate::spent;
use crate::system;
use crate::target::Server;

/// Connections of WeChat, of which each has one push in flight.
const CONNECTIONS: usize = 64;

/// Pushes before anything is measured.
const FIRST: usize = 300;

/// What may be chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Scans of each kind, as fast as they are answered; then half as many at half the rate.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) scans: u32,

    /// Without Redis, for machines that have none.
    #[arg(long)]
    pub(crate) no_redis: bool,

    /// In safe mode alone.
    #[arg(skip)]
    pub(crate) safe_alone: bool,

    #[command(flatten)]
    pub(crate) rounds: rounds::Options,
}

/// How pushes travel, and where counts are kept.
#[derive(Clone, Copy)]
struct Variant {
    mode: Mode,
    redis: bool,
}

const VARIANTS: [Variant; 4] = [
    Variant { mode: Mode::Safe, redis: false },
    Variant { mode: Mode::Plaintext, redis: false },
    Variant { mode: Mode::Safe, redis: true },
    Variant { mode: Mode::Plaintext, redis: true },
];

impl Variant {
    fn measure(self, id: &str, name: &str, unit: Unit) -> Measure {
        let (mode, store) = (self.mode(), if self.redis { "redis" } else { "sqlite" });
        let place = if self.redis { "Redis" } else { "SQLite" };
        Measure::of(format!("scans.{mode}_{store}.{id}"), format!("scans, {mode}, {place}: {name}"), unit)
    }

    fn mode(self) -> &'static str {
        match self.mode {
            Mode::Safe => "safe",
            Mode::Compatible => "compatible",
            Mode::Plaintext => "plain",
        }
    }
}

/// Measures, reports, and returns true.
///
/// # Errors
/// When a program does not start, or a push is not answered as a login.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let cores = Cores::here()?;
    let figures = measure(options, &cores, &Progress::begin())?;
    options.rounds.report("scans", &cores, &figures)?;
    Ok(true)
}

/// All rounds.
///
/// # Errors
/// As [`run`].
pub(crate) fn measure(options: &Options, cores: &Cores, progress: &Progress) -> anyhow::Result<Figures> {
    // Built before anything is kept to a core.
    let _ = e2e::programs::program("callback-service");
    cores::go_first();
    cores.keep_off()?;
    let mut figures = Figures::default();
    let is_left_out = |variant: &Variant| {
        variant.redis && options.no_redis || variant.mode != Mode::Safe && options.safe_alone
    };
    for round in 1..=options.rounds.rounds {
        for variant in VARIANTS.into_iter().filter(|variant| !is_left_out(variant)) {
            let store = if variant.redis { "Redis" } else { "SQLite" };
            progress.say(&format!(
                "scans: round {round} of {}, {}, {store}",
                options.rounds.rounds,
                variant.mode()
            ));
            of_service(variant, options, cores, &mut figures)?;
            of_floor(variant, options, cores, &mut figures)?;
        }
    }
    cores.let_go()?;
    Ok(figures)
}

fn of_service(
    variant: Variant,
    options: &Options,
    cores: &Cores,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (played, folder) = (Played::start()?, tempfile::tempdir()?);
    let redis = variant.redis.then(|| Handle::current().block_on(Redis::start()));
    let settings = settings(variant, played.address, &folder, redis.as_ref());
    let callback = cores.for_server(|| Program::start("callback-service", &settings))?;
    let (id, to) = (callback.id(), callback.address("pushes"));
    let sent = of(Server::Ours, id, to, variant, options, figures).with_context(|| callback.log())?;
    ensure!(played.logins() == sent, "{} logins of {sent} scans", played.logins());
    Ok(())
}

fn of_floor(variant: Variant, options: &Options, cores: &Cores, figures: &mut Figures) -> anyhow::Result<()> {
    let floor = cores.for_server(|| Reference::start(Kind::Answers, 0, None))??;
    of(Server::Floor, floor.id(), floor.pages(), variant, options, figures).map(drop)
}

/// One server's turn. Returns how many pushes were sent.
fn of(
    server: Server,
    id: u32,
    to: SocketAddr,
    variant: Variant,
    options: &Options,
    figures: &mut Figures,
) -> anyhow::Result<usize> {
    let mode = variant.mode;
    let count = usize::try_from(options.scans)?;
    let scenes: Vec<_> = std::iter::repeat_with(random).take(FIRST + count + count / 2).collect();
    let all = scans(&scenes, to, mode)?;
    let mut crowd = Crowd::new(&[])?;
    let mut pushes = Pushes::connect(&crowd, to, CONNECTIONS, mode)?;
    crowd.send(&mut pushes, &all[..FIRST], None, Pace::InFlight(CONNECTIONS))?;

    let (busy, own) = (spent::busy(id)?, spent::busy(std::process::id())?);
    let mut told = crowd.send(&mut pushes, &all[FIRST..FIRST + count], None, Pace::InFlight(CONNECTIONS))?;
    let (busy, own) = (spent::busy(id)? - busy, spent::busy(std::process::id())? - own);
    let rate = count as f64 / told.took.as_secs_f64();
    told.each.sort_unstable();
    let mut add =
        |id: &str, name: &str, unit, figure| figures.add(server, variant.measure(id, name, unit), figure);
    add("rate", "answered", Unit::ASecond, rate);
    add("cpu", "server CPU of one", Unit::Micros, micros(busy) / count as f64);
    add("p50", "p50, as fast as it can", Unit::Millis, millis(percentile(&told.each, 0.5)));
    add("p99", "p99, as fast as it can", Unit::Millis, millis(percentile(&told.each, 0.99)));
    add("load", "the load's own core", Unit::Percent, 100.0 * own.as_secs_f64() / told.took.as_secs_f64());

    let mut told = crowd.send(&mut pushes, &all[FIRST + count..], None, Pace::Rate(rate / 2.0))?;
    told.each.sort_unstable();
    add("p50_half", "p50 at half the rate", Unit::Millis, millis(percentile(&told.each, 0.5)));
    add("p99_half", "p99 at half the rate", Unit::Millis, millis(percentile(&told.each, 0.99)));
    Ok(all.len())
}

fn random() -> crate::crowd::Scene {
    let mut scene = [b'A'; 22];
    scene.copy_from_slice(Scene::random().as_str().as_bytes());
    scene
}

fn settings(
    variant: Variant,
    gateway: SocketAddr,
    folder: &TempDir,
    redis: Option<&Redis>,
) -> HashMap<&'static str, String> {
    let account = Settings::default();
    // Nobody asks WeChat for anything.
    let mut settings = system::callback(([127, 0, 0, 1], 9).into(), &account, gateway.to_string());
    if let Some(redis) = redis {
        settings.insert("CALLBACK_STORE", redis.url());
    } else {
        settings.insert("CALLBACK_STORE", system::sqlite(folder.path()));
    }
    settings.insert("CALLBACK_USER_INFO_WITHIN", "0s".to_owned());
    settings.insert("WECHAT_MODE", if variant.mode == Mode::Safe { "safe" } else { "plaintext" }.to_owned());
    if variant.mode == Mode::Plaintext {
        settings.remove("WECHAT_AES_KEY");
    }
    settings
}
