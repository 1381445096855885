//! A site that lets people log in: its entry in the file of sites, its requests, and its own judgement of everything
//! that comes back. It believes nothing that the standards tell it to check.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::agent::{Agent, Answer, FORM};
use crate::parameters::Parameters;
use crate::provider::Provider;

/// How far the clocks of a test may be apart, in seconds.
const SLACK: u64 = 5;

/// How a site proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    Basic,
    Post,
    Public,
}

/// A site, as its own back end knows it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) id: &'static str,
    /// None: it is public.
    pub(crate) secret: Option<String>,
    /// The first one is used unless a test says otherwise.
    pub(crate) redirect_uris: Vec<String>,
    /// The rest of its entry.
    pub(crate) lines: String,
}

impl Site {
    /// A site that has everything.
    pub(crate) fn shop() -> Self {
        let lines = r#"name = "示例商店"
post_logout_redirect_uris = ["https://shop.example.cn/bye", "https://shop.example.cn/bye?from=saoma"]
origins = ["https://shop.example.cn"]
email_domain = "wx.example.cn"
email_verified = false"#;
        let redirect_uris =
            ["https://shop.example.cn/callback", "https://shop.example.cn/admin.php?action=oidc"];
        Self::new("shop", &redirect_uris, lines)
    }

    /// Another one, with a secret of its own, and nothing that is optional.
    pub(crate) fn cafe() -> Self {
        Self::new("cafe", &["https://cafe.example.cn/callback"], "name = \"Café\"")
    }

    /// An app, which can keep no secret.
    pub(crate) fn app() -> Self {
        let app = Self::new("app", &["cn.example.app:/callback"], "name = \"App\"\npublic = true");
        Self { secret: None, ..app }
    }

    /// What a provider has unless a test says otherwise.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::shop(), Self::cafe(), Self::app()]
    }

    pub(crate) fn new(id: &'static str, redirect_uris: &[&str], lines: &str) -> Self {
        // Always the same, so that a test's site and the file's are one.
        let secret = Some(format!("secret-of-{id}-{}", "0123456789abcdef".repeat(2)));
        let redirect_uris = redirect_uris.iter().map(|&uri| uri.to_owned()).collect();
        Self { id, secret, redirect_uris, lines: lines.to_owned() }
    }

    /// The same site with this line in its entry.
    pub(crate) fn and(mut self, line: &str) -> Self {
        self.lines = format!("{}\n{line}", self.lines);
        self
    }

    /// Its entry in the file of sites.
    pub(crate) fn entry(&self) -> String {
        let Self { id, secret, redirect_uris, lines } = self;
        let secret = secret.as_ref().map_or(String::new(), |secret| {
            let hash = digest(&SHA256, secret.as_bytes());
            let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("secret_sha256 = \"{hash}\"\n")
        });
        // Most of these tests are about what comes after a login.
        let confirm = if lines.contains("confirm = ") { "" } else { "confirm = false\n" };
        format!("[[site]]\nid = \"{id}\"\n{secret}redirect_uris = {redirect_uris:?}\n{confirm}{lines}\n")
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uris[0]
    }

    /// What it sends a browser to the issuer with.
    pub(crate) fn request(&self) -> Parameters {
        Parameters::of(&[
            ("client_id", self.id),
            ("redirect_uri", self.redirect_uri()),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", &random()),
            ("nonce", &random()),
        ])
    }

    /// What it asks the token endpoint with.
    pub(crate) fn grant(&self, code: &str) -> Parameters {
        Parameters::of(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri()),
        ])
    }

    /// Asks the token endpoint in its usual way.
    pub(crate) async fn redeem(&self, provider: &Provider, grant: &Parameters) -> Answer {
        let how = if self.secret.is_some() { Authentication::Basic } else { Authentication::Public };
        self.redeem_by(provider, how, grant).await
    }

    /// Asks the token endpoint, and proves itself so.
    pub(crate) async fn redeem_by(
        &self,
        provider: &Provider,
        how: Authentication,
        grant: &Parameters,
    ) -> Answer {
        let (fields, header) = self.proved(how, grant);
        post(provider, "/token", &fields, header.as_deref()).await
    }

    /// As [`Site::redeem_by`], as JSON.
    pub(crate) async fn redeem_as_json(
        &self,
        provider: &Provider,
        how: Authentication,
        grant: &Parameters,
    ) -> Answer {
        let (fields, header) = self.proved(how, grant);
        let fields: Map<String, Value> =
            fields.pairs().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let mut request = provider.http.post(format!("http://{}/token", provider.address)).json(&fields);
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        Answer::of(request).await
    }

    /// The fields and the header with which it proves itself.
    fn proved(&self, how: Authentication, grant: &Parameters) -> (Parameters, Option<String>) {
        let secret = self.secret.as_deref().unwrap_or_default();
        match how {
            Authentication::Basic => (grant.clone(), Some(basic(self.id, secret))),
            Authentication::Post => {
                (grant.clone().with("client_id", self.id).with("client_secret", secret), None)
            }
            Authentication::Public => (grant.clone().with("client_id", self.id), None),
        }
    }

    /// A whole login, from the site's request to the tokens.
    pub(crate) async fn log_in(&self, agent: &mut Agent, request: &Parameters, person: &str) -> Tokens {
        let answer = agent.log_in(request, person).await;
        self.finish(&agent.provider, request, &answer).await
    }

    /// The browser has come back to the site. Judges how, redeems the code, judges the tokens, and asks who it is.
    pub(crate) async fn finish(&self, provider: &Provider, request: &Parameters, answer: &Answer) -> Tokens {
        let code = came_back(provider, request, answer);
        let grant = self.grant(&code).with("redirect_uri", request.value("redirect_uri"));
        self.take(provider, request, &self.redeem(provider, &grant).await).await
    }

    /// Judges the token endpoint's answer, and asks who it is.
    pub(crate) async fn take(&self, provider: &Provider, request: &Parameters, answer: &Answer) -> Tokens {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let said = answer.json();
        assert_eq!((&said["token_type"], &said["expires_in"]), (&"Bearer".into(), &3600.into()), "{said}");
        let text =
            |name: &str| said[name].as_str().unwrap_or_else(|| panic!("no {name} in {said}")).to_owned();
        assert!(said.get("refresh_token").is_none(), "none was promised: {said}");
        let (access_token, id_token) = (text("access_token"), text("id_token"));
        let claims = self.verify(provider, request.get("nonce"), &id_token).await.unwrap();
        assert_eq!(claims["at_hash"], half_hash(&access_token).as_str(), "{claims}");
        let person = userinfo(provider, &access_token).await.json();
        assert_eq!(person["sub"], claims["sub"], "{person} {claims}");
        Tokens { access_token, id_token, scope: text("scope"), claims, person }
    }

    /// Judges an ID token as OpenID Connect Core 3.1.3.7 says, and gives its claims.
    pub(crate) async fn verify(
        &self,
        provider: &Provider,
        nonce: Option<&str>,
        token: &str,
    ) -> Result<Value, String> {
        let claims = signed_by(provider, token).await?;
        let fault = |what: &str| Err(format!("{what}: {claims}"));
        let number = |name: &str| claims[name].as_u64().unwrap_or_default();
        let (now, sub) = (now(), claims["sub"].as_str().unwrap_or_default());
        if claims["iss"] != provider.issuer.as_str() || claims["aud"] != self.id {
            return fault("it is of or for somebody else");
        }
        if claims["nonce"].as_str() != nonce {
            return fault("its nonce is another");
        }
        if number("iat").abs_diff(now) > 60 || number("exp") != number("iat") + 600 {
            return fault("its time is wrong");
        }
        if number("auth_time") == 0 || number("auth_time") > number("iat") + SLACK {
            return fault("its auth_time is wrong");
        }
        if sub.is_empty() || !sub.is_ascii() || sub.len() > 255 {
            return fault("its sub is wrong");
        }
        if claims["amr"] != serde_json::json!(["wechat"])
            || !["urn:saoma:scan", "urn:saoma:scan-confirmed"].map(Value::from).contains(&claims["acr"])
        {
            return fault("it does not say how the person was authenticated");
        }
        if claims["sid"].as_str().is_none_or(str::is_empty) {
            return fault("it names no session");
        }
        Ok(claims)
    }
}

/// What a site has got.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) id_token: String,
    pub(crate) scope: String,
    /// The ID token's claims.
    pub(crate) claims: Value,
    /// What `/userinfo` says.
    pub(crate) person: Value,
}

impl Tokens {
    /// When the person was authenticated.
    pub(crate) fn auth_time(&self) -> u64 {
        self.claims["auth_time"].as_u64().unwrap()
    }

    /// The names of the claims that the ID token may have whatever was asked for.
    pub(crate) fn is_bare(&self) -> bool {
        const OWN: [&str; 11] =
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash"];
        self.claims.as_object().unwrap().keys().all(|name| OWN.contains(&name.as_str()))
    }
}

/// The claims of a token that one of the provider's public keys has signed.
pub(crate) async fn signed_by(provider: &Provider, token: &str) -> Result<Value, String> {
    let keys: JwkSet = serde_json::from_value(provider.json("/jwks.json").await).unwrap();
    let header = decode_header(token).map_err(|error| error.to_string())?;
    if header.alg != Algorithm::RS256 {
        return Err(format!("signed with {:?}", header.alg));
    }
    let kid = header.kid.ok_or("no kid")?;
    let known = keys.keys.iter().filter(|key| key.common.key_id.as_deref() == Some(&kid)).count();
    if known != 1 {
        return Err(format!("{known} keys are {kid}"));
    }
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::RS256);
    // Each token's own judge looks at them.
    validation.validate_aud = false;
    decode(token, &key, &validation).map(|token| token.claims).map_err(|error| error.to_string())
}

/// The browser has come back with a code, and with nothing that was not promised.
pub(crate) fn came_back(provider: &Provider, request: &Parameters, answer: &Answer) -> String {
    let said = back_at(request, answer);
    let mut expected = vec!["code", "iss"];
    expected.extend(request.get("state").map(|_| "state"));
    assert_eq!(said.names(), expected, "{said:?}");
    assert_eq!((said.value("iss"), said.get("state")), (provider.issuer.as_str(), request.get("state")));
    said.value("code").to_owned()
}

/// The browser has come back with this error, and with nothing that was not promised.
pub(crate) fn came_back_with(provider: &Provider, request: &Parameters, answer: &Answer, error: &str) {
    let said = back_at(request, answer);
    assert_eq!(said.value("error"), error, "{said:?}");
    let known = ["error", "error_description", "error_uri", "iss", "state"];
    assert!(said.names().iter().all(|name| known.contains(name)), "{said:?}");
    assert_eq!((said.value("iss"), said.get("state")), (provider.issuer.as_str(), request.get("state")));
    is_described(said.get("error_description"));
}

/// What the browser says at the site's redirect URI, beside the URI's own query.
fn back_at(request: &Parameters, answer: &Answer) -> Parameters {
    let place = answer.location().unwrap_or_else(|| panic!("it does not lead back: {answer:?}"));
    let uri = request.value("redirect_uri");
    let joint = if uri.contains('?') { '&' } else { '?' };
    let query = place.strip_prefix(uri).and_then(|rest| rest.strip_prefix(joint));
    let query = query.unwrap_or_else(|| panic!("it leads to {place} and not to {uri}"));
    assert!(!query.contains('#'), "{place}");
    Parameters::parse(query)
}

/// The token or userinfo endpoint has refused with this error, as RFC 6749 and 6750 say.
pub(crate) fn is_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    let said = answer.json();
    assert_eq!(said["error"], error, "{said}");
    for name in said.as_object().unwrap().keys() {
        assert!(["error", "error_description", "error_uri"].contains(&name.as_str()), "{said}");
    }
    is_described(said["error_description"].as_str());
}

/// A description has only the characters that RFC 6749 allows there.
fn is_described(description: Option<&str>) {
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(description.is_none_or(|text| text.bytes().all(allowed)), "{description:?}");
}

/// Posts a form to an endpoint for back ends.
pub(crate) async fn post(
    provider: &Provider,
    path: &str,
    fields: &Parameters,
    authorization: Option<&str>,
) -> Answer {
    let url = format!("http://{}{path}", provider.address);
    let mut request = provider.http.post(url).header(CONTENT_TYPE, FORM).body(fields.encoded());
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    Answer::of(request).await
}

/// Asks who the access token is for, with GET and the header.
pub(crate) async fn userinfo(provider: &Provider, access_token: &str) -> Answer {
    let request = provider.http.get(format!("http://{}/userinfo", provider.address));
    Answer::of(request.bearer_auth(access_token)).await
}

/// The header of client_secret_basic. Ids and secrets need no encoding.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// PKCE: the verifier, and its challenge.
pub(crate) fn pkce() -> (String, String) {
    let verifier = format!("{}~{}", random(), random());
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    (verifier, challenge)
}

/// What `at_hash` must be.
fn half_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

/// 32 random characters.
pub(crate) fn random() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(32).collect()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
