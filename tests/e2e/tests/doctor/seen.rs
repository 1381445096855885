//! What a doctor said, and what of it a test asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;

use e2e::programs::text;
use serde_json::Value;
use test_redis::free_port;

/// A free address on loopback.
pub(crate) fn on_loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// What the doctor said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Seen {
    /// What a doctor said with `--json`.
    pub(crate) fn of(ended: &Output) -> Self {
        let (said, wrong) = (text(&ended.stdout), text(&ended.stderr));
        assert_eq!(wrong, "", "{said}");
        let json = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        Self { code: ended.status.code().unwrap(), json }
    }

    /// All checks of a category.
    pub(crate) fn checks(&self, category: &str) -> Vec<&Value> {
        let categories = self.json["categories"].as_array().unwrap().iter();
        let found = categories.filter(|it| it["categoryName"] == category);
        found.flat_map(|it| it["checks"].as_array().unwrap()).collect()
    }

    /// Asserts that a category has a check with this result whose error and hint have these words.
    #[track_caller]
    pub(crate) fn has(&self, category: &str, result: &str, error: &str, hint: &str) {
        let has = |check: &&&Value, name: &str, words: &str| {
            check[name].as_str().is_some_and(|it| it.contains(words))
        };
        let checks = self.checks(category);
        let found = checks
            .iter()
            .find(|it| it["result"] == result && has(it, "error", error) && has(it, "hint", hint));
        assert!(found.is_some(), "{category}: {result}, {error:?}, {hint:?}: {:#}", self.json);
        assert_eq!(self.code, i32::from(self.json["success"] == false));
        assert!(result != "error" || self.code == 1, "{:#}", self.json);
    }

    /// Asserts that a category has checks, and that all of them are well.
    #[track_caller]
    pub(crate) fn is_well(&self, category: &str) {
        let checks = self.checks(category);
        assert!(!checks.is_empty(), "{category}: {:#}", self.json);
        let is_well = checks.iter().all(|check| check["result"] == "success");
        assert!(is_well, "{category}: {checks:#?}");
    }
}
