//! WeChat's push format: from a raw query and body to a typed event, and from a reply's words to the answer's bytes.
//!
//! These are pure functions without I/O or a clock. The caller reads at most [`MAX_BODY`] bytes, gives them to
//! [`Endpoint::open`] with the time, and gets a [`Push`] or a [`Refusal`]. On the way a push passes `query`,
//! `signature`, `xml` (the envelope), `cipher`, `xml` again (what was sealed) and `event`. Its answer goes back
//! through `reply` and [`Endpoint::answer`].

mod cipher;
mod endpoint;
mod event;
mod query;
mod refusal;
mod reply;
mod rotating;
mod settings;
mod signature;
mod xml;

pub use self::endpoint::{Endpoint, REHEARSAL, Rehearsal, Seal, Unfit};
pub use self::event::{Kind, MAX_KEY, MAX_NAME, Push};
pub use self::query::Query;
pub use self::refusal::Refusal;
pub use self::reply::{MAX_CONTENT, Salt, text, to_customer_service};
pub use self::rotating::Which;
pub use self::settings::{Mode, Settings, SettingsError, UnknownMode};

/// The largest push taken, in bytes. Real ones have 1 to 4 KiB, and three times that in compatible mode.
pub const MAX_BODY: usize = 64 * 1024;
