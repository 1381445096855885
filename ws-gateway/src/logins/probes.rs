//! Logins of no person, by which a client sees for itself that logins reach their pages.
//!
//! Such a login has no code to scan or to type, costs none, and belongs to the client that has asked for it. Beside that
//! it is a login like any other: its page comes to it by its resume key, and a scan ends it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::message::{Answer, Context, Resume, Status};
use protocol::{Notice, Scene};
use server::clock;
use server::pace::Pace;
use tokio::time::Instant;

use super::{Logins, NewLogin, ResumeKey, Sender, Shown, not_recorded};

/// How long such a login waits for its scan. A client that probes is done within seconds, and what it leaves behind is
/// soon forgotten.
const LIVES: Duration = Duration::from_secs(30);

/// How many of them all clients together may have made: so many at once, and then one more each second. They share the
/// store with people's logins, so a client that has gone wrong must not fill it.
const PACE: (u32, Duration) = (30, Duration::from_secs(1));

/// What their context has in place of a browser's address: none asked. It is an address that nobody has (RFC 1122).
const NO_ADDRESS: &str = "0.0.0.0";

/// How many there may be.
pub(super) struct Probes(Mutex<Pace>);

impl Default for Probes {
    fn default() -> Self {
        Self(Mutex::new(Pace::new(PACE.0, PACE.1, Instant::now())))
    }
}

impl Logins {
    /// Makes a login for a probe of this client, and hands out what opens its page.
    pub(super) async fn probe(&self, from: &Sender) -> Answer {
        let room = self.probes.0.lock().take(Instant::now());
        if let Err(wait) = room {
            let retry_in = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            return Answer { retry_in: Some(retry_in), ..Answer::new(Status::Busy) };
        }
        let scene = Scene::random();
        let key = ResumeKey::new(scene);
        let context =
            Context { ip: NO_ADDRESS.to_owned(), created_at: clock::unix_now(), ..Context::default() };
        let new = NewLogin {
            context: Arc::new(context),
            shown: Shown { qr: None, typed: None },
            secret: key.hash(),
            probe_of: Some(from.client.clone()),
        };
        match self.write_new(scene, new.into(), LIVES, None).await {
            Ok(()) => {
                let resume = Some(Resume(key.reveal()));
                Answer { scene: Some(scene), resume, ..Answer::new(Status::Ok) }
            }
            Err(failure) => not_recorded(&Notice::Probe, &failure),
        }
    }
}
