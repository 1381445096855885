//! Decides what keeps a page's connection alive, and when the connection is dead. There is no socket here.
//!
//! Our own pages get a `heartbeat` message, because scripts cannot see pings. Every other client gets a ping,
//! and must send something before the next one is due. A dead connection of our own pages is noticed by TCP,
//! which gives up 30 s after a heartbeat that nobody acknowledges.

use std::time::Duration;

use tokio::time::Instant;

/// Time between heartbeats. Proxies cut connections that are idle for 60 s.
pub(crate) const EVERY: Duration = Duration::from_secs(25);

/// What to do when a beat is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Send the message.
    Message,
    /// Send a ping.
    Ping,
    /// The ping was not answered: end the connection.
    Dead,
}

/// A connection's heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    due: Instant,
    waiting: Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ToSend,
    ToPing,
    ForPong,
}

impl Heartbeat {
    /// A heartbeat that begins at `now`. `ours` is true for pages that know the message.
    #[must_use]
    pub(crate) fn new(ours: bool, now: Instant) -> Self {
        Self { due: now + EVERY, waiting: if ours { Waiting::ToSend } else { Waiting::ToPing } }
    }

    /// When the next beat is due.
    #[must_use]
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Decides what to do, because a beat is due.
    pub(crate) fn beat(&mut self, now: Instant) -> Beat {
        self.due = now + EVERY;
        match self.waiting {
            Waiting::ToSend => Beat::Message,
            Waiting::ForPong => Beat::Dead,
            Waiting::ToPing => {
                self.waiting = Waiting::ForPong;
                Beat::Ping
            }
        }
    }

    /// Notes that something came from the other end.
    pub(crate) fn heard(&mut self) {
        if self.waiting == Waiting::ForPong {
            self.waiting = Waiting::ToPing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_that_nobody_answers_ends_the_connection_at_the_next_beat() {
        let now = Instant::now();
        let mut heart = Heartbeat::new(false, now);
        assert_eq!(heart.beat(now), Beat::Ping);
        heart.heard();
        assert_eq!(heart.beat(now), Beat::Ping);
        assert_eq!(heart.due(), now + EVERY);
        assert_eq!(heart.beat(now), Beat::Dead);
    }

    #[test]
    fn our_pages_get_the_message_and_owe_nothing() {
        let now = Instant::now();
        let mut heart = Heartbeat::new(true, now);
        assert_eq!([heart.beat(now), heart.beat(now)], [Beat::Message, Beat::Message]);
    }
}
