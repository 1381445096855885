//! WeChat's browser and the web authorization: a page that is open inside WeChat learns who looks at it.
//!
//! The page sends the browser to `authorize`, which checks what WeChat checks, asks the person where more than the openid is
//! wanted, and sends them back with a code of `grants`. The account's back end exchanges that by `sns`, a part of the API.
//! `webview` is the browser itself, as far as a test needs it: it keeps cookies and follows redirects.

mod authorize;
mod grants;
pub(crate) mod sns;
mod webview;

use serde::{Deserialize, Serialize};

pub(crate) use authorize::answer;
pub(crate) use grants::Grants;
pub(crate) use webview::Webviews;
pub use webview::{Client, Page, Webview};

/// What goes wrong with web authorizations, by switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebFaults {
    /// Every page is shown as a snapshot: the person is a virtual one, with another openid each time.
    pub snapshot: bool,
    /// The account may not ask for anything, as one that is not verified: 10005.
    pub no_permission: bool,
}
