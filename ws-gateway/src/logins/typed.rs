//! Short codes that people type: which login shows one, for as long as that login may be known.
//!
//! A code belongs to one login at a time. It is kept as long as its login could last, so that nothing has to be
//! written again when the login is claimed or ends, and the code is never another login's while the first is known.

use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::future::BoxFuture;
use protocol::Scene;
use protocol::message::TYPED;
use records::{Failure, Kept, Records, Redis, Step, StoreMetrics, Write};
use serde::{Deserialize, Serialize};

use super::{AFTER_CLAIM, KEPT_AFTER_END, StoreError};

/// Digits of a code, one draw after another. The first that is free is taken. Drawing longer ones where codes are many
/// keeps them sparse, so that a wrong one is seldom somebody's.
const DRAWS: [usize; 3] = [*TYPED.start(), 8, *TYPED.end()];

/// A code in memory outlives its login, which is forgotten 180 s after its end whether it was claimed or not.
const FOR_EACH_LOGIN: usize = 2;

/// The codes that logins show.
#[derive(Debug)]
pub(super) struct TypedCodes(Records<Kept<Shows>>);

/// Which login shows a code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shows {
    scene: Scene,
    /// The official account to which it is typed, where the gateway has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

/// How long a code is kept whose login is shown for `ttl`: a claim in its last moment may still let the login live on.
fn kept(ttl: Duration) -> Duration {
    ttl + AFTER_CLAIM + KEPT_AFTER_END
}

impl TypedCodes {
    /// The codes of at most `most` logins in memory.
    #[must_use]
    pub(super) fn in_memory(most: usize) -> Self {
        Self(Records::in_memory("typed", most.saturating_mul(FOR_EACH_LOGIN)))
    }

    /// The same codes, measured together with other records.
    #[must_use]
    pub(super) fn measured_by(self, metrics: &StoreMetrics) -> Self {
        Self(self.0.measured_by(metrics))
    }

    #[must_use]
    pub(super) fn in_redis(redis: &Redis) -> Self {
        Self(Records::in_redis("typed", redis))
    }

    /// Takes a free code for `scene`, which is about to be shown for `ttl` by a page of `account`.
    ///
    /// # Errors
    /// [`StoreError::Full`] also where no draw was free. The login has no code then.
    pub(super) async fn take(
        &self,
        scene: Scene,
        account: Option<&str>,
        ttl: Duration,
    ) -> Result<String, StoreError> {
        self.take_first(DRAWS.map(draw), scene, account, ttl).await
    }

    /// Takes the first of these that is free.
    pub(super) async fn take_first(
        &self,
        draws: impl IntoIterator<Item = String>,
        scene: Scene,
        account: Option<&str>,
        ttl: Duration,
    ) -> Result<String, StoreError> {
        let shows = Shows { scene, account: account.map(str::to_owned) };
        for code in draws {
            let taken = self.0.update(&code, |before, now| match before {
                // A write that was not answered has been done, and is tried again.
                Some(before) => Step::Keep(**before == shows),
                None => Step::Write(Write::new(shows.clone().into(), now + kept(ttl)), true),
            });
            if taken.await? {
                return Ok(code);
            }
        }
        Err(StoreError::Full)
    }

    /// The login that shows `code` for `account`. It may be over, or unknown by now.
    pub(super) async fn find(&self, code: &str, account: Option<&str>) -> Result<Option<Scene>, Failure> {
        let shows = self.0.read(code).await.map_err(Failure::certain)?.record;
        Ok(shows.filter(|shows| shows.account.as_deref() == account).map(|shows| shows.scene))
    }

    /// Takes forgotten codes out of memory, for as long as it is polled.
    pub(super) fn sweep(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.sweep())
    }
}

/// A random number of so many digits, 9 at most.
///
/// # Panics
/// When the operating system has no randomness to give.
fn draw(digits: usize) -> String {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the operating system's random source");
    // One of 2^64 numbers: that the first remainders come up more often, by 1 in 10^10, helps nobody.
    let number = u64::from_ne_bytes(bytes) % 10_u64.pow(u32::try_from(digits).unwrap_or(9));
    format!("{number:0digits$}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use tokio::time::advance;

    use super::*;

    const TTL: Duration = Duration::from_secs(120);

    fn draws(codes: &[&str]) -> Vec<String> {
        codes.iter().map(|&code| code.to_owned()).collect()
    }

    #[test]
    fn codes_have_the_digits_of_the_wire_and_differ() {
        for digits in DRAWS {
            let codes: HashSet<_> = (0..1_000).map(|_| draw(digits)).collect();
            assert!(codes.iter().all(|code| code.len() == digits && TYPED.contains(&digits)));
            assert!(codes.iter().all(|code| code.bytes().all(|digit| digit.is_ascii_digit())));
            assert!(codes.len() > 990, "{digits}: {}", codes.len());
            assert!(codes.iter().any(|code| code.starts_with('0')), "also those that begin with 0");
        }
    }

    #[tokio::test]
    async fn a_code_that_is_in_use_is_drawn_anew_with_more_digits_until_none_is_free() {
        let codes = TypedCodes::in_memory(10);
        let (first, second) = (Scene::random(), Scene::random());
        let wanted = draws(&["123456", "12345678", "123456789"]);
        assert_eq!(codes.take_first(wanted.clone(), first, None, TTL).await.unwrap(), "123456");
        assert_eq!(codes.take_first(wanted.clone(), second, None, TTL).await.unwrap(), "12345678");
        codes.take_first(wanted.clone(), Scene::random(), None, TTL).await.unwrap();
        let fourth = codes.take_first(wanted, Scene::random(), None, TTL).await;
        assert_eq!(fourth, Err(StoreError::Full));
        assert_eq!(codes.find("123456", None).await.unwrap(), Some(first));
        assert_eq!(codes.find("12345678", None).await.unwrap(), Some(second));
    }

    #[tokio::test]
    async fn a_code_is_found_for_its_account_only() {
        let codes = TypedCodes::in_memory(10);
        let scene = Scene::random();
        let code = codes.take(scene, Some("shop"), TTL).await.unwrap();
        assert_eq!(codes.find(&code, Some("shop")).await.unwrap(), Some(scene));
        assert_eq!(codes.find(&code, Some("other")).await.unwrap(), None);
        assert_eq!(codes.find(&code, None).await.unwrap(), None);
        assert_eq!(codes.find("000000000", Some("shop")).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_is_given_again_once_no_claim_can_have_kept_its_login() {
        let codes = TypedCodes::in_memory(10);
        let (first, second) = (Scene::random(), Scene::random());
        codes.take_first(draws(&["123456"]), first, None, TTL).await.unwrap();
        advance(TTL + AFTER_CLAIM + KEPT_AFTER_END - Duration::from_millis(1)).await;
        assert!(codes.take_first(draws(&["123456"]), second, None, TTL).await.is_err());
        assert_eq!(codes.find("123456", None).await.unwrap(), Some(first));
        advance(Duration::from_millis(1)).await;
        assert_eq!(codes.find("123456", None).await.unwrap(), None);
        codes.take_first(draws(&["123456"]), second, None, TTL).await.unwrap();
        assert_eq!(codes.find("123456", None).await.unwrap(), Some(second));
    }
}
