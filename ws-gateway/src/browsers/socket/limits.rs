//! What a page may send. A conformance suite sends more than any page, so its echo has higher limits.

use std::time::Duration;

use server::pace::Rate;

/// Bytes in a portion.
pub(super) const PORTION: usize = 64;

/// The limits of one page's WebSocket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one message from a page.
    pub message: usize,
    /// Messages, pings and pongs from a page.
    pub messages: Rate,
    /// Portions of 64 bytes from a page. A read costs whole ones.
    pub portions: Rate,
}

impl Limits {
    /// Those of every page.
    pub(crate) const OF_A_PAGE: Self = Self {
        // Pages send only short messages.
        message: 4 * 1024,
        // A person clicks now and then, and a browser answers a ping every 25 s.
        messages: Rate { most: 20, refill: Duration::from_millis(100) },
        // 64 KiB at once, then 6.4 KB a second. A page sends a pong each 25 s and a refresh now and then.
        portions: Rate { most: 1024, refill: Duration::from_millis(10) },
    };
}
