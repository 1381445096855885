//! The modules of the Basic OP plan about the session that a browser has with the provider: when it is enough, and when a
//! person has to scan again.

use std::time::Duration;

use crate::agent::Agent;
use crate::parameters::Parameters;
use crate::provider::Running;
use crate::relying_party::{Site, Tokens, came_back_with, now};

/// What the suite sends to see that nothing of it is lost: 128 characters.
const STATE: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ~.";

/// A browser in which somebody has logged in at the shop.
struct Known {
    provider: Running,
    agent: Agent,
    shop: Site,
    person: String,
    first: Tokens,
}

async fn known() -> Known {
    let provider = Running::start().await;
    let (mut agent, shop, person) = (Agent::new(&provider), Site::shop(), provider.person());
    let first = shop.log_in(&mut agent, &shop.request(), &person).await;
    Known { provider, agent, shop, person, first }
}

impl Known {
    /// The browser is redirected at once, and the login is the first one.
    async fn is_known(&mut self, request: &Parameters) -> Tokens {
        let answer = self.agent.authorize(request).await;
        let tokens = self.shop.finish(&self.provider, request, &answer).await;
        for claim in ["sub", "auth_time", "sid"] {
            assert_eq!(tokens.claims[claim], self.first.claims[claim], "{claim}");
        }
        tokens
    }

    /// The person has to scan again, and that is a later login.
    async fn scans_again(&mut self, request: &Parameters) {
        let tokens = self.shop.log_in(&mut self.agent, request, &self.person).await;
        assert!(tokens.auth_time() > self.first.auth_time(), "{tokens:?}");
        assert!(tokens.auth_time().abs_diff(now()) < 30, "{tokens:?}");
        assert_eq!(tokens.claims["sub"], self.first.claims["sub"]);
    }

    /// Nobody is asked, and the site hears that somebody would have to be.
    async fn is_unknown(&mut self, request: &Parameters) {
        let request = request.clone().with("prompt", "none");
        let answer = self.agent.authorize(&request).await;
        came_back_with(&self.provider, &request, &answer, "login_required");
    }
}

#[tokio::test]
async fn oidcc_prompt_login() {
    let mut known = known().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    known.scans_again(&known.shop.request().with("prompt", "login")).await;
}

#[tokio::test]
async fn oidcc_prompt_none_not_logged_in() {
    let provider = Running::start().await;
    let (mut agent, shop) = (Agent::new(&provider), Site::shop());
    let request = shop.request().with("prompt", "none").with("state", STATE);
    came_back_with(&provider, &request, &agent.authorize(&request).await, "login_required");
}

#[tokio::test]
async fn oidcc_prompt_none_logged_in() {
    let mut known = known().await;
    known.is_known(&known.shop.request().with("prompt", "none").with("state", STATE)).await;
    known.is_known(&known.shop.request()).await;
}

#[tokio::test]
async fn oidcc_max_age_1() {
    let mut known = known().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let request = known.shop.request().with("max_age", "1");
    known.is_unknown(&request).await;
    known.scans_again(&request).await;
}

#[tokio::test]
async fn oidcc_max_age_10000() {
    let mut known = known().await;
    for age in ["15000", "10000"] {
        known.is_known(&known.shop.request().with("max_age", age)).await;
    }
}

#[tokio::test]
async fn oidcc_id_token_hint() {
    let mut known = known().await;
    let hint = known.first.id_token.clone();
    let request = known.shop.request().with("id_token_hint", &hint);
    known.is_known(&request.clone().with("prompt", "none")).await;
    known.is_known(&request).await;
}

#[tokio::test]
async fn a_hint_of_another_person_does_not_let_the_browsers_person_in() {
    let mut known = known().await;
    let other = known.provider.person();
    let mut others = Agent::new(&known.provider);
    let hint = known.shop.log_in(&mut others, &known.shop.request(), &other).await.id_token;
    let request = known.shop.request().with("id_token_hint", &hint);
    known.is_unknown(&request).await;
    // Whoever scans then must be the one whom the site expects.
    let handle = known.agent.authorize(&request).await.handle();
    let code = known.provider.scan(&handle, &known.person).await;
    let answer = known.agent.go_on(&handle, &code).await;
    if answer.location().is_some() {
        came_back_with(&known.provider, &request, &answer, "login_required");
    } else {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_one_browsers_and_every_sites() {
    let mut known = known().await;
    let cafe = Site::cafe();
    let request = cafe.request().with("prompt", "none");
    let answer = known.agent.authorize(&request).await;
    let tokens = cafe.finish(&known.provider, &request, &answer).await;
    assert_eq!(tokens.claims["auth_time"], known.first.claims["auth_time"]);
    known.agent = Agent::new(&known.provider);
    known.is_unknown(&known.shop.request()).await;
}

#[tokio::test]
async fn each_wrong_wish_is_told_to_the_site() {
    let mut known = known().await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("response_mode", "form_post", "invalid_request"),
        ("prompt", "none login", "invalid_request"),
        ("max_age", "soon", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        ("registration", "{}", "registration_not_supported"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "invalid_request"),
        ("id_token_hint", "rubbish", "invalid_request"),
    ] {
        let request = known.shop.request().with(name, value);
        let answer = known.agent.authorize(&request).await;
        came_back_with(&known.provider, &request, &answer, error);
    }
    known.is_known(&known.shop.request().with("response_mode", "query")).await;
    let app = Site::app().request();
    let answer = known.agent.authorize(&app).await;
    came_back_with(&known.provider, &app, &answer, "invalid_request");
}

#[tokio::test]
async fn a_login_that_was_silent_ends_no_session_and_starts_none() {
    let mut known = known().await;
    let before = known.agent.jar.clone();
    for _ in 0..3 {
        known.is_known(&known.shop.request().with("prompt", "none")).await;
    }
    let session = |jar: &std::collections::HashMap<String, String>| jar.get("saoma-session").cloned();
    assert!(session(&before).is_some() && session(&before) == session(&known.agent.jar), "{before:?}");
}
