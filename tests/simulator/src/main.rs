//! The simulator as a program: reads its settings, serves one port, and prints what to open.

mod options;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use server::logging;
use server::settings::{self, NoSettings};
use server::{listen, stop};
use simulator::Simulator;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use options::{Options, Shown, account};

/// Limit for finishing answers at the end. Deliveries that are under way are abandoned.
const DRAIN: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let started = settings::parse::<Options>(std::env::args_os()).and_then(|options| {
        let log = logging::start(options.log_format, "info")?;
        let (listen, (settings, shown)) = (options.simulator_listen, account(options)?);
        let simulator = Simulator::new(settings)
            .map_err(|error| NoSettings { text: format!("{error:#}"), code: settings::EXIT_USAGE })?;
        Ok((log, listen, simulator, shown))
    });
    let (_log, listen, simulator, shown) = match started {
        Ok(started) => started,
        Err(none) => return none.report("simulator"),
    };
    match run(listen, simulator, &shown) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(listen: SocketAddr, simulator: Simulator, shown: &Shown) -> anyhow::Result<()> {
    let listener = listen::bind("SIMULATOR_LISTEN", listen)?;
    let bound = listener.local_addr()?;
    let stopped = stop::signalled();
    introduce(&simulator, bound, shown);
    tracing::info!(wechat = %bound, "listening");
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tokio::select! {
        served = simulator.serve(listener, stop.clone(), tasks.clone()) => served?,
        () = stopped => {}
    }
    stop::drain(&stop, &tasks, DRAIN).await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what to open is the program's output")]
fn introduce(simulator: &Simulator, bound: SocketAddr, Shown([secret, token, key]): &Shown) {
    let account = simulator.settings();
    let open = account.public_url.clone().unwrap_or(format!("http://{bound}"));
    let open = open.trim_end_matches('/');
    let push_url = account.push_url.as_deref().unwrap_or("nowhere yet: set SIMULATOR_PUSH_URL");
    println!(
        "An offline WeChat is running.

  open       {open}/          the phone
             {open}/control   the switches
  pushes to  {push_url} ({mode:?} mode)

  The software under test needs these settings (the names are Saoma's):
    WECHAT_API_URL=http://{bound}
    WECHAT_APP_ID={app_id}
    WECHAT_APP_SECRET={secret}
    WECHAT_TOKEN={token}
    WECHAT_AES_KEY={key}
    WECHAT_ORIGINAL_ID={original_id}
",
        mode = account.mode,
        app_id = account.app_id,
        original_id = account.original_id,
    );
}
