//! What was looked at, and what was found.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::words::Words;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is well.
    Ok,
    /// It works, but somebody should look at it; or it could not be found out. The exit code stays 0.
    Warning,
    /// Logins do not work, or soon will not. The exit code is 1.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What should be so: "WeChat's API can be reached".
    pub description: Words,
    /// Whether it is.
    pub outcome: Outcome,
    /// What was found. A check that is well may do without.
    pub found: Option<Words>,
    /// What to do, with the name of the setting. A check that is well has none.
    pub hint: Option<Words>,
}

/// What a look writes its checks on. Clones write on the same sheet, so what was found before a time limit stays.
#[derive(Debug, Clone, Default)]
pub struct Sheet(Arc<Mutex<Vec<Check>>>);

impl Sheet {
    /// It is well.
    pub fn ok(&self, description: Words) {
        self.add(Check { description, outcome: Outcome::Ok, found: None, hint: None });
    }

    /// It is well, with what was found: a number, a name.
    pub fn ok_with(&self, description: Words, found: Words) {
        self.add(Check { description, outcome: Outcome::Ok, found: Some(found), hint: None });
    }

    /// It works, but somebody should look at it, or it could not be found out.
    pub fn warning(&self, description: Words, found: Words, hint: Words) {
        self.add(Check { description, outcome: Outcome::Warning, found: Some(found), hint: Some(hint) });
    }

    /// It does not work.
    pub fn failure(&self, description: Words, found: Words, hint: Words) {
        self.add(Check { description, outcome: Outcome::Failure, found: Some(found), hint: Some(hint) });
    }

    /// Writes a check.
    pub fn add(&self, check: Check) {
        self.0.lock().push(check);
    }

    /// What stands on it.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.0.lock().clone()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "√",
            Self::Warning => "‼",
            Self::Failure => "×",
        })
    }
}
