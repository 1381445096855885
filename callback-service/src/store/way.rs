//! The ways in which a person comes to a login. What each of them asks for is said in the room of logins.

use serde::{Deserialize, Serialize};

/// How a person came to a login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// They have scanned the page's QR code.
    #[default]
    Scan,
    /// They have sent the page's code to the account.
    Typed,
    /// They have opened a page of ours inside WeChat.
    Wechat,
}

impl Way {
    /// A short name for logs and metrics.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Typed => "typed",
            Self::Wechat => "wechat",
        }
    }

    /// For records: most logins are scans, and older ones say nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn is_scan(&self) -> bool {
        *self == Self::Scan
    }
}
