//! WeChat, as far as a scan login needs it: what it pushes to us, and what we ask of it.
//!
//! [`push`] is the format of WeChat's message pushes: pure functions from a raw request to a typed event, and from
//! words to a sealed answer. [`api`] calls WeChat over HTTP. An [`Account`] holds both sides of one official account.
//! The gateway uses the API alone.

mod account;
pub mod api;
mod person;
pub mod push;

pub use self::account::Account;
pub use self::api::{
    CALL_LIMIT, CallMetrics, CallbackCheck, Class, Client, Error, MAX_EXPIRE, MAX_NICKNAME, Meter, NoWebUser,
    OFFICIAL_API_URL, OFFICIAL_OPEN_URL, OFFICIAL_QR_URL, Ping, QrCode, Quota, Reached, RefusedCall, Scope,
    Settings, SharedToken, Unmade, User, WebUser, authorize_url, is_simulated, show_qr_code_url,
};
pub use self::person::Person;
