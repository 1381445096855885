//! Finds out why logins do not work, and says what to do about it.
//!
//! A service's `doctor` makes [`Category`]s of [`category`] from its own settings. Each has looks, which write their
//! [`Check`]s on a [`Sheet`]: what was looked at, whether it is well, what was found, and what to do. [`words`] has both
//! languages. [`run()`] makes the looks at once, and again while `--wait` lasts. What they found is shown by [`text`], as
//! [`json`], or as a [`report`] that [`mask`] has made fit to be shown to strangers. [`reading`] reads the service's
//! settings so that a wrong one is a finding and no end, and [`names`] points out variables that are no settings.
//!
//! What both services look at is here too: WeChat's API and this machine's [`clock`], an [`account`]'s permission and quota,
//! [`open_files`], [`certificates`], a [`disk`]'s room, and [`mod@redis`]. [`http`] asks a URL as a stranger would.
//!
//! A doctor changes nothing that matters, works beside a running service, and says what it could not see without one.

pub mod account;
pub mod category;
pub mod certificates;
pub mod check;
pub mod clock;
pub mod disk;
pub mod http;
pub mod json;
pub mod mask;
pub mod names;
pub mod open_files;
pub mod options;
pub mod reading;
pub mod redis;
pub mod report;
pub mod run;
pub mod text;
pub mod wechat_api;
mod wechat_words;
pub mod words;

pub use self::category::{Category, SETTINGS};
pub use self::check::{Check, Outcome, Sheet};
pub use self::options::Options;
pub use self::run::{Program, run};
pub use self::words::{Language, Words};
