//! Keeping a connection: the next address when one fails, waits that grow, and jitter so that many
//! clients do not come back in step.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Settings;
use super::call::Call;
use super::connection::{Connection, End};

/// A gateway on the same network answers in milliseconds; the next address should be tried soon.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The first wait after a failure, and the longest: a scan has four seconds in all, so the client looks
/// often, and a gateway that comes back is found within two seconds.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Connects and converses until the client is dropped.
pub(super) async fn run(settings: Settings, mut queue: mpsc::Receiver<Call>, link: watch::Sender<bool>) {
    let mut unanswered = Vec::new();
    let mut wait = FIRST_WAIT;
    let (mut told, mut drains) = (false, false);
    for address in settings.addresses.iter().cycle() {
        let end = match connect(address, &settings).await {
            Ok(connection) => connection.run(&mut queue, &mut unanswered, &link).await,
            Err(end) => end,
        };
        let was_in = link.send_replace(false);
        match end {
            End::Unused => return,
            End::Bye if drains => tracing::debug!(address, "{end}, still"),
            End::Bye => tracing::info!(address, "{end}; connecting anew"),
            // One line when it breaks, not one for every try until it is back.
            _ if told && !was_in => tracing::debug!(address, "still no connection to the gateway: {end}"),
            End::Refused { .. } | End::Version(_) => tracing::error!(address, "{end}"),
            _ => tracing::warn!(address, "no connection to the gateway: {end}"),
        }
        told = true;
        // A gateway that drains takes connections for a while, only to say bye again.
        drains = matches!(end, End::Bye);
        unanswered.retain(|call| !call.reply.is_closed());
        if queue.is_closed() && queue.is_empty() && unanswered.is_empty() {
            return;
        }
        if was_in && !drains {
            wait = FIRST_WAIT;
        }
        sleep(jittered(wait)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn connect(address: &str, settings: &Settings) -> Result<Connection<TcpStream>, End> {
    let stream = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Err(_) => return Err(End::Silent),
        Ok(stream) => stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
    };
    Connection::open(stream.map_err(crate::codec::FrameError::from)?, settings).await
}

/// Between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness there is merely no jitter.
    let _ = aws_lc_rs::rand::fill(&mut random);
    wait / 2 + wait.mul_f64(f64::from(u16::from_be_bytes(random)) / 131_072.0)
}
