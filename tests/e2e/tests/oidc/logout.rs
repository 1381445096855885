//! The RP-initiated logout plan, and what goes with it: nobody is logged out or redirected by a link that the site has not
//! vouched for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::agent::{Agent, Answer};
use crate::parameters::Parameters;
use crate::provider::{Running, Setup};
use crate::relying_party::{Site, Tokens, came_back_with, now, random};

/// Where the shop wants people to be after a logout.
const BYE: &str = "https://shop.example.cn/bye";

/// A browser in which somebody has logged in at the shop.
pub(crate) struct LoggedIn {
    pub(crate) provider: Running,
    pub(crate) agent: Agent,
    pub(crate) shop: Site,
    pub(crate) tokens: Tokens,
}

impl LoggedIn {
    pub(crate) async fn at(shop: Site) -> Self {
        let sites = vec![shop.clone(), Site::cafe()];
        let provider = Running::with(Setup { sites, ..Setup::default() }).await;
        let mut agent = Agent::new(&provider);
        let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
        Self { provider, agent, shop, tokens }
    }

    async fn new() -> Self {
        Self::at(Site::shop()).await
    }

    /// What the suite sends, and a state of 128 characters.
    pub(crate) fn request(&self) -> Parameters {
        Parameters::of(&[
            ("id_token_hint", &self.tokens.id_token),
            ("post_logout_redirect_uri", BYE),
            ("state", &random().repeat(4)),
        ])
    }

    pub(crate) async fn log_out(&mut self, request: &Parameters) -> Answer {
        self.agent.get(&format!("/logout?{}", request.encoded())).await
    }

    /// The browser has no session any more.
    pub(crate) async fn is_out(&mut self) {
        let request = self.shop.request().with("prompt", "none");
        let answer = self.agent.authorize(&request).await;
        came_back_with(&self.provider, &request, &answer, "login_required");
    }

    /// The browser has its session still.
    async fn is_in(&mut self) {
        let request = self.shop.request().with("prompt", "none");
        let answer = self.agent.authorize(&request).await;
        self.shop.finish(&self.provider, &request, &answer).await;
    }

    /// A page asks, and after the yes another one says that it is done. Nobody is led anywhere.
    async fn is_asked_and_then_told(&mut self, request: &Parameters) {
        let asked = self.log_out(request).await;
        asked.page(200);
        assert!(asked.form().is_some(), "{asked:?}");
        self.is_in().await;
        let told = self.agent.say_yes(asked).await;
        told.page(200);
        assert!(told.form().is_none(), "{told:?}");
        self.is_out().await;
    }

    /// A page, whatever it says, and no redirect, even if the person says yes to it.
    async fn leads_nowhere(&mut self, request: &Parameters) {
        let answer = self.log_out(request).await;
        assert!([200, 400].contains(&answer.status), "{answer:?}");
        answer.page(answer.status);
        let then = self.agent.say_yes(answer).await;
        assert!([200, 400].contains(&then.status), "{then:?}");
        then.page(then.status);
    }
}

/// The browser is at this URI, with this state and nothing else added.
pub(crate) fn is_at(answer: &Answer, uri: &str, state: Option<&str>) {
    let place = answer.location().unwrap_or_else(|| panic!("it does not lead back: {answer:?}"));
    let expected = match state {
        None => uri.to_owned(),
        Some(state) => format!("{uri}{}state={state}", if uri.contains('?') { '&' } else { '?' }),
    };
    assert_eq!(place, expected);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_discovery_endpoint_verification() {
    let provider = Running::with(Setup { issuer: Some("https://id.example.cn"), ..Setup::default() }).await;
    let document = provider.discovery().await;
    assert_eq!(document["end_session_endpoint"], "https://id.example.cn/logout");
    for (name, place) in document.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint"))
    {
        assert!(place.as_str().unwrap().starts_with("https://"), "{name}");
    }
}

#[tokio::test]
async fn oidcc_rp_initiated_logout() {
    let mut shop = LoggedIn::new().await;
    let request = shop.request();
    is_at(&shop.log_out(&request).await, BYE, request.get("state"));
    shop.is_out().await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri() {
    for uri in
        ["https://shop.example.cn/bad_post_logout_redirect_uri", "https://cafe.example.cn/callback", ""]
    {
        let mut shop = LoggedIn::new().await;
        shop.leads_nowhere(&shop.request().with("post_logout_redirect_uri", uri)).await;
    }
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_modified_id_token_hint() {
    let mut shop = LoggedIn::new().await;
    let hint = unsigned(&shop.tokens.id_token);
    shop.leads_nowhere(&shop.request().with("id_token_hint", &hint)).await;
}

/// The same claims, without a signature.
pub(crate) fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg": "none"}"#))
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_id_token_hint() {
    let mut shop = LoggedIn::new().await;
    shop.leads_nowhere(&shop.request().without("id_token_hint")).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_params() {
    let mut shop = LoggedIn::new().await;
    shop.is_asked_and_then_told(&Parameters::default()).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri() {
    let mut shop = LoggedIn::new().await;
    let answer = shop.log_out(&shop.request().without("post_logout_redirect_uri")).await;
    answer.page(200);
    shop.agent.say_yes(answer).await.page(200);
    shop.is_out().await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_state() {
    let mut shop = LoggedIn::new().await;
    is_at(&shop.log_out(&shop.request().without("state")).await, BYE, None);
    shop.is_out().await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_only_state() {
    let mut shop = LoggedIn::new().await;
    shop.is_asked_and_then_told(&Parameters::of(&[("state", &random())])).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri() {
    let mut shop = LoggedIn::new().await;
    shop.leads_nowhere(&shop.request().with("post_logout_redirect_uri", &format!("{BYE}?foo=bar"))).await;
}

/// A token that the site made itself, as the suite does.
#[tokio::test]
async fn oidcc_rp_initiated_logout_bad_id_token_hint() {
    let mut shop = LoggedIn::new().await;
    let secret = EncodingKey::from_secret(shop.shop.secret.as_ref().unwrap().as_bytes());
    let swapped = json!({
        "iss": "shop", "sub": "SubjectID", "aud": shop.provider.issuer, "nonce": "flibble",
        "iat": now(), "exp": now() + 300,
    });
    for claims in [&swapped, &shop.tokens.claims.clone()] {
        let hint = encode(&Header::new(Algorithm::HS256), claims, &secret).unwrap();
        shop.leads_nowhere(&shop.request().with("id_token_hint", &hint)).await;
    }
}

#[tokio::test]
async fn a_form_logs_out_as_a_link_does() {
    let mut shop = LoggedIn::new().await;
    let request = shop.request();
    is_at(&shop.agent.post("/logout", &request).await, BYE, request.get("state"));
    shop.is_out().await;
}

/// Another site's form brings no cookies, which are Lax; the redirect does.
#[tokio::test]
async fn another_sites_form_logs_out_by_way_of_a_link() {
    let mut shop = LoggedIn::new().await;
    let request = shop.request();
    let cookies = std::mem::take(&mut shop.agent.jar);
    let again = shop.agent.post_from("https://shop.example.cn", "/logout", &request).await;
    assert_eq!(again.status, 303, "{again:?}");
    shop.agent.jar = cookies;
    let answer = shop.agent.get(again.location().unwrap()).await;
    is_at(&answer, BYE, request.get("state"));
    shop.is_out().await;
}

#[tokio::test]
async fn a_registered_uri_may_have_a_query_of_its_own() {
    let mut shop = LoggedIn::new().await;
    let uri = format!("{BYE}?from=saoma");
    let request = shop.request().with("post_logout_redirect_uri", &uri);
    is_at(&shop.log_out(&request).await, &uri, request.get("state"));
}

/// Anybody can write a client_id into a link, so the person is asked.
#[tokio::test]
async fn a_client_id_alone_leads_back_only_after_the_persons_yes() {
    let mut shop = LoggedIn::new().await;
    let request = shop.request().without("id_token_hint").with("client_id", "shop");
    let asked = shop.log_out(&request).await;
    asked.page(200);
    shop.is_in().await;
    is_at(&shop.agent.say_yes(asked).await, BYE, request.get("state"));
    shop.is_out().await;
}

#[tokio::test]
async fn a_hint_for_one_site_leads_to_no_other() {
    let mut shop = LoggedIn::new().await;
    shop.leads_nowhere(&shop.request().with("client_id", "cafe")).await;
}

/// The page's yes is the page's own: another site's form says nothing for the person.
#[tokio::test]
async fn a_yes_from_another_sites_page_is_refused() {
    let mut shop = LoggedIn::new().await;
    let (action, fields) = shop.log_out(&Parameters::default()).await.form().unwrap();
    for origin in ["https://shop.example.cn", "https://evil.example", "null"] {
        let answer = shop.agent.post_from(origin, &action, &fields).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        shop.is_in().await;
    }
    for other in [Parameters::default(), fields.clone().with("answer", "no")] {
        assert!(shop.agent.post(&action, &other).await.location().is_none());
        shop.is_in().await;
    }
}

/// A link of whoever knows an ID token of somebody else's logs nobody out unasked.
#[tokio::test]
async fn a_hint_of_another_person_is_asked_about() {
    let mut shop = LoggedIn::new().await;
    let mut others = Agent::new(&shop.provider);
    let request = shop.shop.request();
    let theirs = shop.shop.log_in(&mut others, &request, &shop.provider.person()).await.id_token;
    let asked = shop.log_out(&shop.request().with("id_token_hint", &theirs)).await;
    asked.page(200);
    assert!(asked.form().is_some(), "{asked:?}");
    shop.is_in().await;
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_led_back_all_the_same() {
    let mut shop = LoggedIn::new().await;
    let request = shop.request();
    for _ in 0..2 {
        is_at(&shop.log_out(&request).await, BYE, request.get("state"));
    }
    shop.agent = Agent::new(&shop.provider);
    let told = shop.log_out(&Parameters::default()).await;
    told.page(200);
}
