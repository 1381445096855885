//! The state as server-sent events: each that differs from the one before, for as long as somebody looks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, stream};
use login_page::Language;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::present::EVERY;
use crate::routes::View;
use crate::state::{State, unix};

/// Viewers at once. Each costs a connection of the admin port, which has others to answer.
pub(crate) const MOST_VIEWERS: usize = 8;

/// Where nothing is new, a comment keeps proxies from closing the connection, and notices a viewer that has gone.
const BEAT: Duration = Duration::from_secs(15);

/// A viewer comes back after this, by itself, and is asked anew whether they may look.
const LASTS: Duration = Duration::from_secs(600);

/// A state that takes longer is left out.
pub(crate) const STATE_WITHIN: Duration = Duration::from_secs(2);

/// When a browser comes back, in milliseconds.
const FIRST: &str = "retry: 2000\n\n";

/// What is sent.
#[derive(Serialize)]
struct Event<'a> {
    /// In seconds since 1970, by the service's clock: ages are told by it.
    now: u64,
    state: &'a State,
}

/// A viewer's stream.
pub(crate) struct Viewer {
    pub(crate) view: Arc<View>,
    pub(crate) language: Language,
    /// They may end logins.
    pub(crate) acts: bool,
    /// Their place among the viewers.
    pub(crate) place: OwnedSemaphorePermit,
    /// The port closes.
    pub(crate) stop: CancellationToken,
}

struct Sent {
    last: Option<Arc<State>>,
    next_look: Instant,
    next_beat: Instant,
    ends: Instant,
}

impl Viewer {
    /// The events, until the viewer goes, or has looked for long enough, or the port closes.
    pub(crate) fn events(self) -> impl Stream<Item = Bytes> + Send {
        let now = Instant::now();
        let sent = Sent { last: None, next_look: now, next_beat: now + BEAT, ends: now + LASTS };
        stream::unfold((self, sent), |(viewer, mut sent)| async move {
            let part = viewer.next(&mut sent).await?;
            Some((part, (viewer, sent)))
        })
    }

    async fn next(&self, sent: &mut Sent) -> Option<Bytes> {
        // It is held for as long as the stream is there.
        let _place = &self.place;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep_until(sent.next_look) => {}
            }
            let now = Instant::now();
            if now >= sent.ends {
                return None;
            }
            // A viewer that was asleep is not told all that it has missed.
            sent.next_look = now + EVERY;
            if let Ok(state) = timeout(STATE_WITHIN, self.view.present.state(self.language, self.acts)).await
                && sent.last.as_ref() != Some(&state)
            {
                let event = Event { now: unix(SystemTime::now()), state: &state };
                let json = serde_json::to_string(&event).unwrap_or_default();
                let first = if sent.last.is_none() { FIRST } else { "" };
                sent.last = Some(state);
                sent.next_beat = now + BEAT;
                return Some(format!("{first}data: {json}\n\n").into());
            }
            if now >= sent.next_beat {
                sent.next_beat = now + BEAT;
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }
}
