//! What an operator sets about the audit.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use records::Keeps;
use server::settings;

/// What an operator sets.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How long it is kept who logged in where, which callback-service logins shows; off keeps nothing, and erases what was
    /// kept. The default is six months, for which Chinese law wants a network's logs to be kept.
    #[arg(long, env, default_value = "184days")]
    pub(crate) callback_audit_keep: Keep,
}

/// What the setting may be.
const KEEP: RangeInclusive<Duration> = Duration::from_secs(24 * 3600)..=Duration::from_secs(3650 * 24 * 3600);

/// The most entries, of about half a kilobyte; the oldest give way.
const MOST: u32 = 5_000_000;

/// How long entries are kept; nothing where none are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep(Option<Duration>);

impl Keep {
    /// Whether nothing is kept.
    #[must_use]
    pub(crate) fn is_off(self) -> bool {
        self.0.is_none()
    }

    /// The same for a journal.
    #[must_use]
    pub(super) fn keeps(self) -> Keeps {
        Keeps { age: self.0.unwrap_or_default(), most: MOST }
    }

    /// For tests.
    #[cfg(test)]
    pub(crate) fn long() -> Self {
        Self(Some(*KEEP.end()))
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let age = settings::duration(text).map_err(|problem| format!("{problem}, 184days or off"))?;
        match age {
            Duration::ZERO => Ok(Self(None)),
            age if KEEP.contains(&age) => Ok(Self(Some(age))),
            _ => Err("must be between 1day and 3650days, or off".to_owned()),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(age) => humantime::format_duration(age).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn entries_are_kept_for_days_or_not_at_all() {
        let day = Duration::from_secs(24 * 3600);
        for (text, expected) in [
            ("184days", Some(184 * day)),
            ("1d", Some(day)),
            ("off", None),
            ("0s", None),
            ("2weeks", Some(14 * day)),
        ] {
            assert_eq!(text.parse::<Keep>().unwrap(), Keep(expected), "{text}");
        }
        for text in ["", "184", "1h", "11years", "never"] {
            assert!(text.parse::<Keep>().is_err(), "{text}");
        }
    }
}
