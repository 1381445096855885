//! A notice: what a client asks of the gateway about one login.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::scene::Scene;

/// The most characters in a notice's `id`.
pub const MAX_ID: usize = 64;
/// The most characters in `by`. WeChat's openids have 28, and should be taken as opaque up to 128.
pub const MAX_BY: usize = 128;
/// The most characters in a display name. WeChat's own limit is 32; other back ends may have longer names.
pub const MAX_NICKNAME: usize = 256;
/// The most characters in a code.
pub const MAX_CODE: usize = 512;
/// How many digits a typed code may have. Its gateway chooses how many; fewer would be guessed too soon.
pub const TYPED: RangeInclusive<usize> = 6..=9;
/// The most characters in the name of an official account.
pub const MAX_ACCOUNT: usize = 64;

/// What a client asks of the gateway about one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Ends the login as granted: the page gets `scan_success`.
    Scan {
        /// The login.
        scene: Scene,
        /// The display name for the page; decoration only.
        nickname: Option<String>,
        /// The code that the site's back end redeems. Only clients with the right `grant` may send it.
        code: Option<Code>,
        /// An opaque name of the person.
        by: Option<String>,
    },
    /// Says that a person has scanned: the page gets `scanned`, and only this person can end the login.
    Claim {
        /// The login.
        scene: Scene,
        /// An opaque name of the person.
        by: String,
        /// Two digits for the page to show, when the site asks for confirmation.
        number: Option<String>,
    },
    /// Ends the login as denied.
    Deny {
        /// The login.
        scene: Scene,
        /// An opaque name of the person.
        by: Option<String>,
    },
    /// Asks for the state; nothing changes.
    Query {
        /// The login.
        scene: Scene,
    },
    /// Asks which login shows a code that a person has typed; nothing changes. The answer has its scene.
    Find {
        /// The digits.
        typed: String,
        /// The official account to which it was typed, where the gateway has several: its name there.
        account: Option<String>,
    },
    /// Asks for a login of no person, by which the client sees for itself that logins reach their pages. The answer has
    /// its scene and its resume key.
    Probe,
}

impl Notice {
    /// The login that the notice is about; nothing where it asks for one.
    #[must_use]
    pub fn scene(&self) -> Option<Scene> {
        match self {
            Self::Scan { scene, .. }
            | Self::Claim { scene, .. }
            | Self::Deny { scene, .. }
            | Self::Query { scene } => Some(*scene),
            Self::Find { .. } | Self::Probe => None,
        }
    }

    /// The notice's `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scan { .. } => "scan",
            Self::Claim { .. } => "claim",
            Self::Deny { .. } => "deny",
            Self::Query { .. } => "query",
            Self::Find { .. } => "find",
            Self::Probe => "probe",
        }
    }
}

/// The one-time code that a site's back end redeems for the identity. `Debug` prints stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
