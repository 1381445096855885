//! The codes that one person has sent, as a pure rule: how many more may be looked up, and what became of those before.
//!
//! A push is known by its id, so its repeats count once and find the same login. A right code forgives no wrong one: whoever
//! guesses could send the code of a page of their own after every few tries.

use std::time::Duration;

use protocol::Scene;
use records::{Kept, Moment};
use serde::{Deserialize, Serialize};

/// Wrong codes of a person within [`WINDOW`]. Who reads a code from a page mistypes it once or twice. Who guesses six digits
/// while a thousand pages are open hits one in 200 such windows, and has logged a stranger's page in as themselves.
pub(super) const MOST_WRONG: usize = 5;

/// How long a wrong code counts.
pub(super) const WINDOW: Duration = Duration::from_secs(600);

/// Right codes of a person that are remembered. WeChat's repeats come within 15 s.
const MOST_FOUND: usize = 8;

/// How long a person who sends a code again finds the same login: as long as the gateway keeps an end. After that the code
/// may be another login's.
const SAME_LOGIN: Duration = Duration::from_secs(180);

/// What is kept of the codes that a person has sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tries {
    /// Those that were wrong, and those that are being looked up. The newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<Kept<Wrong>>,
    /// Those that were found. The newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    found: Vec<Kept<Found>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrong {
    /// The push's id.
    id: String,
    at: Moment,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Found {
    /// The push's id.
    id: String,
    code: String,
    scene: Scene,
    at: Moment,
}

/// What follows when a person has sent a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is looked up. Until it is found it counts as wrong, so that many at once are no more tries.
    LookUp,
    /// An earlier sending of this push has found its login.
    Found(Scene),
    /// It is not looked up: too many were wrong.
    TooMany,
}

impl Tries {
    /// The person has sent a code, in the push of this id.
    pub(super) fn begin(&mut self, id: &str, now: Moment) -> Begun {
        if let Some(found) = self.found.iter().find(|found| found.id == id) {
            return Begun::Found(found.scene);
        }
        if self.wrong.iter().any(|wrong| wrong.id == id) {
            return Begun::LookUp;
        }
        if self.wrong.len() >= MOST_WRONG {
            return Begun::TooMany;
        }
        self.wrong.push(Wrong { id: id.to_owned(), at: now }.into());
        Begun::LookUp
    }

    /// The code of this push is a login's.
    pub(super) fn found(&mut self, id: &str, code: &str, scene: Scene, now: Moment) {
        self.take_back(id);
        if self.found.iter().any(|found| found.id == id) {
            return;
        }
        if self.found.len() >= MOST_FOUND {
            self.found.remove(0);
        }
        let (id, code) = (id.to_owned(), code.to_owned());
        self.found.push(Found { id, code, scene, at: now }.into());
    }

    /// The code of this push could not be looked up.
    pub(super) fn take_back(&mut self, id: &str) {
        self.wrong.retain(|wrong| wrong.id != id);
    }

    /// The login whose code the person has sent before. It has ended, and its code is nobody's any more.
    pub(super) fn before(&self, code: &str, now: Moment) -> Option<Scene> {
        let is_it = |found: &&Kept<Found>| found.code == code && now < found.at + SAME_LOGIN;
        self.found.iter().rev().find(is_it).map(|found| found.scene)
    }

    /// Takes out what counts no more.
    pub(super) fn sweep(&mut self, now: Moment) {
        self.wrong.retain(|wrong| now < wrong.at + WINDOW);
        self.found.retain(|found| now < found.at + WINDOW);
    }

    /// Forgets the logins: the person has unfollowed. Wrong codes count on for their minutes, or whoever follows again would
    /// have as many more.
    pub(super) fn forget(&mut self) {
        self.found.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::AsText;

    use super::*;

    const NOW: Moment = Moment(1_000_000);

    #[test]
    fn a_person_has_a_few_wrong_codes_and_then_waits() {
        let mut tries = Tries::default();
        for id in ["1", "2", "3", "4", "5"] {
            assert_eq!(tries.begin(id, NOW), Begun::LookUp);
            assert_eq!(tries.begin(id, NOW), Begun::LookUp, "a repeat is no other try");
        }
        assert_eq!(tries.begin("6", NOW), Begun::TooMany);
        assert_eq!(tries.begin("5", NOW), Begun::LookUp, "a repeat hears the same");
        let later = NOW + WINDOW;
        tries.sweep(Moment(later.0 - 1));
        assert_eq!(tries.begin("6", NOW), Begun::TooMany);
        tries.sweep(later);
        assert_eq!(tries.begin("6", later), Begun::LookUp);
    }

    #[test]
    fn a_right_code_counts_nothing_and_forgives_nothing() {
        let (mut tries, scene) = (Tries::default(), Scene::random());
        for round in 0..MOST_WRONG {
            tries.begin(&format!("wrong {round}"), NOW);
            let id = format!("right {round}");
            if tries.begin(&id, NOW) == Begun::LookUp {
                tries.found(&id, "482913", scene, NOW);
            }
        }
        assert_eq!(tries.begin("6", NOW), Begun::TooMany, "also for the right one");
        assert_eq!(tries.begin("right 1", NOW), Begun::Found(scene), "a repeat");
    }

    #[test]
    fn what_could_not_be_looked_up_is_no_try() {
        let mut tries = Tries::default();
        for round in 0..2 * MOST_WRONG {
            let id = round.to_string();
            assert_eq!(tries.begin(&id, NOW), Begun::LookUp);
            tries.take_back(&id);
        }
        assert_eq!(tries, Tries::default());
    }

    #[test]
    fn a_code_that_is_sent_again_finds_the_same_login_for_a_time() {
        let (mut tries, scene) = (Tries::default(), Scene::random());
        tries.begin("1", NOW);
        tries.found("1", "482913", scene, NOW);
        tries.found("1", "482913", Scene::random(), NOW);
        assert_eq!(tries.before("482913", NOW), Some(scene), "a push finds one login");
        assert_eq!(tries.before("482914", NOW), None);
        assert_eq!(tries.before("482913", NOW + SAME_LOGIN), None);
        assert_eq!(tries.begin("1", NOW), Begun::Found(scene));
    }

    #[test]
    fn what_is_kept_is_bounded_and_an_unfollow_gives_no_new_tries() {
        let mut tries = Tries::default();
        for round in 0..20 {
            let id = round.to_string();
            tries.begin(&id, NOW);
            tries.found(&id, "482913", Scene::random(), NOW);
        }
        assert_eq!(tries.found.len(), MOST_FOUND);
        for round in 20..30 {
            tries.begin(&round.to_string(), NOW);
        }
        assert_eq!(tries.wrong.len(), MOST_WRONG);
        tries.forget();
        assert!(tries.found.is_empty() && tries.begin("30", NOW) == Begun::TooMany);
        tries.sweep(NOW + WINDOW);
        assert_eq!(tries, Tries::default());
    }

    #[test]
    fn what_a_newer_version_added_is_kept() {
        let mut tries = Tries::default();
        tries.begin("1", NOW);
        tries.found("1", "482913", Scene::random(), NOW);
        tries.begin("2", NOW);
        let mut newer = serde_json::to_value(&tries).unwrap();
        newer["way"] = "typed".into();
        newer["wrong"][0]["account"] = "a".into();
        newer["found"][0]["account"] = "a".into();
        let read = Kept::<Tries>::from_text(&newer.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), newer);
    }
}
