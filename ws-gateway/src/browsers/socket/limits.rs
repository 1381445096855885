//! What a page may send, and how much may wait for it. A conformance suite sends more than any page, so its echo
//! has higher limits.

use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Bytes that wait for what follows them before they are sent, until they are flushed: the last message, and the close
/// behind it, go out in one write.
const WRITE_BUFFER: usize = 1024;

/// A number that is allowed at once, and the time after which one more is allowed.
pub(crate) type Allowance = (u32, Duration);

/// The limits of one page's WebSocket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes read at once, for which every connection has room all of its time. tungstenite's default is 128 KiB.
    pub read: usize,
    /// Bytes of one message from a page.
    pub message: usize,
    /// Bytes that may wait for a page that does not read.
    pub unsent: usize,
    /// Messages, pings and pongs from a page.
    pub messages: Allowance,
    /// Portions of bytes from a page, see `throttle`.
    pub portions: Allowance,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A pong has 6 bytes, and a refresh less than 50.
            read: 64,
            // Pages send only short messages.
            message: 4 * 1024,
            // One QR code is about 2 KiB.
            unsent: 32 * 1024,
            // A person clicks now and then, and a browser answers a ping every 25 s.
            messages: (20, Duration::from_millis(100)),
            // 64 KiB at once, then 6.4 KB a second. A page sends a pong each 25 s and a refresh now and then.
            portions: (1024, Duration::from_millis(10)),
        }
    }
}

impl Limits {
    /// The limits that the WebSocket library enforces.
    pub(super) fn websocket(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(self.unsent)
            .max_message_size(Some(self.message))
            .max_frame_size(Some(self.message))
    }
}
