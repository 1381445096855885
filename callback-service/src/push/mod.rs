//! WeChat's push format, from raw query and body to a typed event, and from a reply's words to the bytes of the answer.
//!
//! Pure functions without I/O or a clock of their own: the route reads at most [`MAX_BODY`] bytes, gives them to
//! [`Account::open`] with the time, and gets a [`Push`] or a [`Refusal`]. On the way a push passes `query`,
//! `signature`, `xml` (the envelope), `cipher`, `xml` again (what was sealed) and `event`; its answer goes back
//! through `reply` and [`Account::answer`].

mod account;
mod cipher;
mod event;
mod query;
mod refusal;
mod reply;
mod settings;
mod signature;
mod xml;

pub use account::{Account, Seal, Which};
pub use event::{Kind, MAX_KEY, MAX_NAME, Push};
pub use query::Query;
pub use refusal::Refusal;
pub use reply::{MAX_CONTENT, Salt, text, to_customer_service};
pub use settings::{Mode, Settings, SettingsError, UnknownMode};
pub(crate) use signature::hex;

/// The largest push taken, in bytes. Real ones are 1 to 4 KiB, three times that in compatible mode.
pub const MAX_BODY: usize = 64 * 1024;
