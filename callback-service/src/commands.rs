//! What the program does beside serving.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use server::command_line::CommandLine;
use server::settings::{NoSettings, SettingError, Wrong};
use server::{clock, health, process, stop};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::audit::{Audit, list};
use crate::config::{self, Config};
use crate::doctor;
use crate::logins::code::Codes;
use crate::logins::confirmation::Confirmations;
use crate::logins::confirmation::place::Places;
use crate::metrics::Metrics;
use crate::outbox::{self, Outbox};
use crate::provider::Provider;
use crate::provider::keys::Source;
use crate::provider::keys::rotation::{When, rotate};
use crate::provider::settings::key_source;
use crate::provider::sites::new_site;
use crate::server::{ADMIN_LISTEN, Server};
use crate::storage::{self, Opened, Storage};
use crate::store::Store;
use crate::wechat_server::{self, new_token};

pub(crate) const PROGRAM: &str = "callback-service";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Commands {
    /// Checks the settings, the sites and the signing keys, as the start would; changes nothing.
    Check {
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Looks for what keeps people from logging in, from the settings to WeChat and the gateways, and says what to do. It
    /// works beside a running service, and changes nothing.
    Doctor {
        #[command(flatten)]
        flags: doctor::Flags,
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Prints an entry for the file of sites, with a new secret, and what to give to the site's client.
    NewSite {
        /// What people call the site.
        name: String,
        /// Its id. Unset: one is made.
        #[arg(long)]
        id: Option<String>,
        /// The issuer, if it is to be in the text.
        #[arg(long, env)]
        callback_public_url: Option<String>,
    },
    /// Prints an entry for the file of sites that ask by wechat-server's protocol, with a new token.
    NewToken {
        /// What people call the site.
        name: String,
    },
    /// Moves the signing keys on: the next one signs, and a new next one is shown. Makes the file if there is none.
    RotateKey {
        /// Also if sites may not have read the next key yet: because the present one has leaked.
        #[arg(long)]
        at_once: bool,
        /// The file. Unset: beside the SQLite file.
        #[arg(long, env)]
        callback_signing_keys: Option<PathBuf>,
        #[command(flatten)]
        storage: storage::Settings,
    },
    /// Ends all logins of a person, tells the sites, and erases what is kept.
    Forget {
        /// The person's openid.
        #[arg(value_parser = server::visible::identifier)]
        openid: String,
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Shows who logged in where, the newest first, or exports it; the service may be running.
    Logins {
        #[command(flatten)]
        wanted: Box<list::Wanted>,
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Shows what sites have still to be told, and what was given up.
    Outbox {
        #[command(flatten)]
        settings: Box<config::Settings>,
    },
    /// Exits with 0 if the callback-service on this host is ready, else with 1.
    Health {
        /// Where its admin port listens.
        #[arg(long, env, default_value = ADMIN_LISTEN)]
        callback_admin_listen: SocketAddr,
    },
}

/// Does what the arguments ask for, which is to serve unless they name a command.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A wrong setting must not stop the command that looks for it.
    if arguments.get(1).is_some_and(|command| command == "doctor") {
        return doctor::run(arguments);
    }
    match config::read(arguments) {
        Ok(CommandLine::Do(Commands::Health { callback_admin_listen })) => {
            health::ask(PROGRAM, callback_admin_listen)
        }
        Ok(CommandLine::Do(command)) => match act(command) {
            Ok(said) => {
                say(&said);
                ExitCode::SUCCESS
            }
            Err(Failed::Settings(nothing)) => nothing.report(PROGRAM),
            Err(Failed::Other(error)) => {
                eprintln!("{PROGRAM}: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(CommandLine::Serve(config)) => process::run(PROGRAM, config.log_format, serve(config)),
        Err(nothing) => nothing.report(PROGRAM),
    }
}

/// Why a command failed.
enum Failed {
    /// A setting is wrong: exit code 64.
    Settings(NoSettings),
    Other(anyhow::Error),
}

impl From<SettingError> for Failed {
    fn from(error: SettingError) -> Self {
        Self::Settings(error.into())
    }
}

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        Self::Settings(wrong.into())
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Does a command that ends; gives what it says.
fn act(command: Commands) -> Result<String, Failed> {
    match command {
        // Each has a way of its own.
        Commands::Health { .. } | Commands::Doctor { .. } => Ok(String::new()),
        Commands::Check { settings } => Ok(config::of_environment(*settings)?.summary()),
        Commands::NewSite { name, id, callback_public_url } => {
            let printed = new_site(&name, id.as_deref(), callback_public_url.as_deref());
            printed.map_err(|problem| SettingError::new("new-site", problem).into())
        }
        Commands::NewToken { name } => {
            new_token(&name).map_err(|problem| SettingError::new("new-token", problem).into())
        }
        Commands::RotateKey { at_once, callback_signing_keys, storage } => {
            let mut wrong = Wrong::default();
            let secrets = storage::Secrets::read(&mut wrong);
            let storage = wrong.note(Storage::new(storage, &secrets));
            let storage = wrong.unless(storage)?;
            let path = match key_source(callback_signing_keys, &storage)? {
                Source::Own(path) | Source::Shared(path) => path,
                Source::Memory => {
                    let problem = "the keys of sqlite::memory: are inside the running service";
                    return Err(SettingError::new("CALLBACK_STORE", problem).into());
                }
            };
            let when = if at_once { When::AtOnce } else { When::Shown };
            let done = rotate(&path, when).map_err(anyhow::Error::msg)?;
            Ok(format!("{}: {done}\n", path.display()))
        }
        Commands::Forget { openid, settings } => {
            Ok(block_on(forget(config::of_environment(*settings)?, openid))?)
        }
        Commands::Logins { wanted, settings } => {
            if let Some(problem) = wanted.problem() {
                return Err(SettingError::new("logins", problem).into());
            }
            Ok(block_on(logins(config::of_environment(*settings)?, *wanted))?)
        }
        Commands::Outbox { settings } => Ok(block_on(outbox(config::of_environment(*settings)?))?),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the commands are for")]
fn say(text: &str) {
    print!("{text}");
}

/// Runs a command that needs the store.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("no runtime")?.block_on(work)
}

/// A command gives up after this.
const WITHIN: Duration = Duration::from_secs(20);

/// Why.
const SILENT: &str = "CALLBACK_STORE does not answer";

/// What a running service has kept.
struct KeptByService {
    store: Arc<Store>,
    provider: Option<Arc<Provider>>,
    outbox: Outbox,
    audit: Audit,
}

/// Works with what a running service has kept, within a time where there is one.
async fn with_kept<T>(
    config: Config,
    within: Option<Duration>,
    work: impl AsyncFnOnce(KeptByService) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Config { storage, sites, accounts, audit: keep, .. } = config;
    anyhow::ensure!(
        !storage.ends_with_the_process(),
        "CALLBACK_STORE: what sqlite::memory: holds is inside the running service, and ends with it"
    );
    if let Some(file) = storage.sqlite_file() {
        anyhow::ensure!(
            file.exists(),
            "CALLBACK_STORE: there is no file {}; run the command in the service's folder, with the service's settings",
            std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display()
        );
    }
    let Opened { store, work: keeping, .. } = storage.open()?;
    let metrics = Metrics::default();
    let outbox = Outbox::new(store.records(outbox::KIND), metrics.clone());
    let (limits, tasks) = (metrics.limits.clone(), TaskTracker::new());
    let audit = Audit::new(&store, keep, metrics, tasks);
    let directory = accounts.directory();
    let provider = match sites {
        Some(sites) => {
            let (outbox, audit) = (outbox.clone(), audit.clone());
            Some(Provider::open(sites.without_keys(), &store, outbox, directory, audit, limits)?)
        }
        None => None,
    };
    let working = async {
        // Redis is not reached yet.
        timeout(WITHIN, until_reached(&store)).await.context(SILENT)?;
        let work = work(KeptByService { store, provider, outbox, audit });
        match within {
            Some(within) => timeout(within, work).await.context(SILENT)?,
            None => work.await,
        }
    };
    tokio::select! {
        () = keeping => anyhow::bail!("the store's connections have ended"),
        done = working => done,
    }
}

async fn until_reached(store: &Store) {
    while store.is_reachable().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn forget(config: Config, openid: String) -> anyhow::Result<String> {
    // WeChat gives an openid to one account only, so whoever has it is meant, whichever account that is.
    let directory = config.accounts.directory();
    with_kept(config, Some(WITHIN), async |KeptByService { store, provider, audit, .. }| {
        let now = i64::try_from(clock::unix_now()).unwrap_or(i64::MAX);
        let mut is_known = false;
        for account in directory.all() {
            let person = account.person(&wechat::Person::new(openid.clone()));
            let at_sites = match &provider {
                Some(provider) => provider.knows(&person.key()).await?,
                None => false,
            };
            let asked = wechat_server::forget(&store, &person, now).await?;
            let in_audit = audit.forgotten(account, &person).await? > 0;
            if !at_sites && !asked && !in_audit && !store.knows(&person).await? {
                continue;
            }
            is_known = true;
            if let Some(provider) = &provider {
                provider.forget_all(&person.key()).await?;
            }
            store.forget(&person, now).await?;
            Confirmations::new(&store, Places::default()).forget(&person, now).await?;
            Codes::new(&store).forget(&person).await?;
        }
        Ok(match is_known {
            true => {
                format!(
                    "{openid} is forgotten; sites that want to know are being told by the running service\n"
                )
            }
            false => format!("nothing is kept of {openid}; is that the openid, letter by letter?\n"),
        })
    })
    .await
}

async fn logins(config: Config, wanted: list::Wanted) -> anyhow::Result<String> {
    let (directory, is_off) = (config.accounts.directory(), config.audit.is_off());
    // It may take long, where there are millions.
    let listing = with_kept(config, None, async |KeptByService { audit, .. }| {
        list::list(&audit, &directory, wanted, BufWriter::new(io::stdout().lock())).await
    });
    let list::Listed { written, unreadable, has_more } = listing.await?;
    let mut told = io::stderr().lock();
    if is_off {
        writeln!(told, "CALLBACK_AUDIT_KEEP is off, so nothing is kept")?;
    } else if has_more {
        writeln!(told, "these are the newest {written}; --limit shows more")?;
    }
    if unreadable > 0 {
        writeln!(told, "{unreadable} entries of another version were left out")?;
    }
    Ok(String::new())
}

async fn outbox(config: Config) -> anyhow::Result<String> {
    with_kept(config, Some(WITHIN), async |KeptByService { provider, outbox, .. }| {
        let provider = provider.context("CALLBACK_SITES is not set; nobody is told anything")?;
        let (mut said, sites) = (String::new(), provider.told_sites());
        if sites.is_empty() {
            said.push_str("no site has a backchannel_logout_uri or a webhook_url\n");
        }
        for site in sites {
            let view = outbox.look(&site).await?;
            let _ = writeln!(said, "{site}: {} waiting, {} given up", view.waiting.len(), view.dead.len());
            for waiting in view.waiting {
                let _ = writeln!(
                    said,
                    "  {} {}: tried {} times in {} s, next in {} s; {}",
                    waiting.kind,
                    waiting.id,
                    waiting.tries,
                    waiting.age.as_secs(),
                    waiting.next.as_secs(),
                    waiting.error.as_deref().unwrap_or("no failure yet")
                );
            }
            for dead in view.dead {
                let _ = writeln!(
                    said,
                    "  given up: {} {}: {}",
                    dead.kind,
                    dead.id,
                    dead.error.as_deref().unwrap_or("")
                );
            }
        }
        Ok(said)
    })
    .await
}

async fn serve(config: Config) -> anyhow::Result<bool> {
    let mut stopped = pin!(stop::signalled());
    // The store's file may have to be waited for, or be large and of an older version. A signal does not wait for that:
    // what was begun with the file is undone at the next start.
    let bound = spawn_blocking(|| Server::bind(config));
    let server = tokio::select! {
        server = bound => server.context("the start failed")??,
        () = &mut stopped => return Ok(true),
    };
    let at = server.addresses()?;
    tracing::info!(pushes = %at.pushes, admin = %at.admin, "listening");
    server.run(stopped).await
}
