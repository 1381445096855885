//! The ways in which a person claims a login. All come to the same claim, on the same record of the gateway; they differ in
//! what the person has seen before, and so in what confirms the login.

use super::words::PhoneReply;
use crate::account::names::Names;
use crate::metrics::{Metrics, of_account};
pub(crate) use crate::store::Way;

/// The answer that means yes where no number is needed. No page shows it: its numbers have two digits.
pub(crate) const YES: &str = "1";

impl Way {
    /// Whether the person is asked also where nobody wants a confirmation. A link that was opened is less than a scan, so
    /// they press a button.
    #[must_use]
    pub(crate) fn always_asks(self) -> bool {
        self == Self::Wechat
    }

    /// Whether `answer` confirms a login whose page shows `number`; an empty one where it shows none.
    #[must_use]
    pub(crate) fn is_confirmed_by(self, answer: &str, number: &str) -> bool {
        let is_number = !number.is_empty() && answer == number;
        match self {
            Self::Scan => is_number,
            // Whoever has sent the page's code has read the page.
            Self::Typed => is_number || answer == YES,
            Self::Wechat if number.is_empty() => answer == YES,
            Self::Wechat => is_number,
        }
    }
}

impl Metrics {
    /// Counts a scan, or what stands for one, by what its person was told.
    pub(crate) fn count_scan(&self, account: &Names, way: Way, told: &PhoneReply) {
        let labels = [("told", told.name()), ("way", way.name())];
        self.scans.get_or_create(&of_account(labels, account)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_confirmed_by_what_its_person_has_not_seen_before() {
        for (way, number, answer, is_confirmed) in [
            (Way::Scan, "47", "47", true),
            (Way::Scan, "47", "1", false),
            (Way::Scan, "", "", false),
            (Way::Scan, "", "1", false),
            (Way::Typed, "47", "47", true),
            (Way::Typed, "47", "1", true),
            (Way::Typed, "47", "48", false),
            (Way::Wechat, "47", "47", true),
            (Way::Wechat, "47", "1", false),
            (Way::Wechat, "", "1", true),
            (Way::Wechat, "", "47", false),
        ] {
            assert_eq!(way.is_confirmed_by(answer, number), is_confirmed, "{way:?} {number:?} {answer:?}");
        }
        let written: Vec<_> =
            [Way::Scan, Way::Typed, Way::Wechat].map(|way| serde_json::to_value(way).ok()).into();
        assert_eq!(written, ["scan", "typed", "wechat"].map(|name| Some(name.into())), "records keep them");
    }
}
