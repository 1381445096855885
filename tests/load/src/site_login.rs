//! A login at a site by redirect, from the site's request to the answer who it is: the browser, the person and the site's
//! back end. Each login is a browser of its own, without cookies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use e2e::sites::{Proofs, Site};
use fastrand::Rng;
use form_urlencoded::Serializer;
use reqwest::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::Value;

use crate::page::{Page, Trouble};
use crate::phone::Person;
use crate::system::{ISSUER, System};
use crate::visit::Visitors;

/// The steps of a login, as they are measured.
pub(crate) const STEPS: [&str; 6] =
    ["/authorize", "page shows its code", "scan to code", "/authorize/continue", "/token", "/userinfo"];

/// What each step of a login took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took(pub(crate) [Duration; STEPS.len()]);

/// The acr of a login that its person has confirmed.
const CONFIRMED: &str = "urn:saoma:scan-confirmed";

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// People who log in at a site.
pub(crate) struct SiteVisitors {
    visitors: Arc<Visitors>,
    site: Site,
    provider: SocketAddr,
    http: Client,
}

/// Measures one step after another.
struct Watch {
    since: Instant,
    took: Vec<Duration>,
}

impl Watch {
    fn step(&mut self) {
        self.took.push(self.since.elapsed());
        self.since = Instant::now();
    }
}

impl SiteVisitors {
    /// People at a site of a running system.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub(crate) fn new(system: &System, site: &Site) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE);
        let visitors = Arc::clone(&system.visitors);
        Ok(Self { visitors, site: site.clone(), provider: system.provider(), http: http.build()? })
    }

    /// Logs visitor `number` in, by the scan alone or by a scan that they confirm.
    ///
    /// # Errors
    /// When any step does not go as it should.
    pub(crate) async fn log_in(&self, number: u64, confirms: bool) -> anyhow::Result<Took> {
        let (proofs, person) = (Proofs::random(&mut Rng::new()), Person::of(number));
        let mut watch = Watch { since: Instant::now(), took: Vec::with_capacity(STEPS.len()) };
        let (handle, cookie) = self.authorize(&proofs, confirms).await.context("/authorize")?;
        watch.step();

        let mut page = Page::open_for(self.visitors.gateway, number, ISSUER, &handle).await?;
        let shown = match page.code().await {
            Ok(shown) => shown,
            Err(Trouble::Fault(error)) => return Err(error),
            Err(Trouble::Refused(wait)) => bail!("a page was told to come back in {wait:?}"),
        };
        watch.step();

        let phones = &self.visitors.phones;
        let content = &shown.content;
        let asked = match confirms {
            true => Some(tokio::try_join!(page.number(), phones.scan_and_be_asked(&person, content))?.0),
            false => None,
        };
        let on_page = async {
            let (_, code) = page.granted().await?;
            watch.step();
            code.context("the page of a request got no code")
        };
        let on_phone = async {
            match &asked {
                Some(number) => phones.confirm(&person, number).await,
                None => phones.scan(&person, content).await,
            }
        };
        let (code, ()) = tokio::try_join!(on_page, on_phone)?;
        page.over().await?;

        // Neither the phone's reply nor the close is a part of this.
        watch.since = Instant::now();
        let code = self.proceed(&handle, &cookie, &code).await.context("/authorize/continue")?;
        watch.step();
        let token = self.redeem(&proofs, &code).await.context("/token")?;
        watch.step();
        let request = self.http.get(self.url("/userinfo")).bearer_auth(token);
        let said: Value = sent(request, 200).await.context("/userinfo")?.json().await?;
        watch.step();
        ensure!(said["sub"] == person.openid.as_str(), "/userinfo names another person");
        watch.took.try_into().map(Took).map_err(|_| anyhow::anyhow!("a step was not measured"))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.provider)
    }

    /// The site sends its browser here. Gives the handle of the login page, and the browser's cookie.
    async fn authorize(&self, proofs: &Proofs, confirms: bool) -> anyhow::Result<(String, String)> {
        let request = self.http.get(self.url("/authorize")).query(&[
            ("client_id", self.site.id.as_str()),
            ("redirect_uri", &self.site.redirect_uri),
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("state", "state"),
            ("nonce", &proofs.nonce),
            ("code_challenge", &proofs.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        // The site's entry asks for none.
        let request = if confirms { request.query(&[("acr_values", CONFIRMED)]) } else { request };
        let answer = sent(request, 200).await?;
        let cookie = answer.headers().get(SET_COOKIE).context("no cookie")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let page = answer.text().await?;
        let (_, rest) = page.split_once("data-request=\"").context("this is no login page")?;
        Ok((rest.split('"').next().unwrap_or_default().to_owned(), cookie))
    }

    /// The page brings its code. Gives the one with which the browser comes back to the site.
    async fn proceed(&self, handle: &str, cookie: &str, code: &str) -> anyhow::Result<String> {
        let body = form(&[("request", handle), ("code", code)]);
        let request = self.http.post(self.url("/authorize/continue"));
        let request = request.header(ORIGIN, ISSUER).header(COOKIE, cookie);
        let answer = sent(request.header(CONTENT_TYPE, FORM).body(body), 303).await?;
        let place = answer.headers().get(LOCATION).context("it leads nowhere")?.to_str()?;
        let query = place.strip_prefix(&self.site.redirect_uri).and_then(|rest| rest.strip_prefix('?'));
        let query = query.context("it leads elsewhere")?.as_bytes();
        let code = form_urlencoded::parse(query).find(|(name, _)| name == "code");
        Ok(code.context("it leads back without a code")?.1.into_owned())
    }

    /// The site's back end redeems the code, and gets an access token.
    async fn redeem(&self, proofs: &Proofs, code: &str) -> anyhow::Result<String> {
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.site.redirect_uri),
            ("code_verifier", &proofs.verifier),
        ]);
        let request = self.http.post(self.url("/token")).basic_auth(&self.site.id, Some(&self.site.secret));
        let said: Value = sent(request.header(CONTENT_TYPE, FORM).body(body), 200).await?.json().await?;
        ensure!(said["id_token"].is_string(), "there is no ID token");
        Ok(said["access_token"].as_str().context("there is no access token")?.to_owned())
    }
}

/// The type of a form's body.
const FORM: &str = "application/x-www-form-urlencoded";

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Sends a request to the issuer, which must be answered with this status.
async fn sent(request: RequestBuilder, status: u16) -> anyhow::Result<Response> {
    let host = ISSUER.trim_start_matches("http://");
    let answer = request.header(HOST, host).send().await?;
    ensure!(answer.status().as_u16() == status, "it answers {}", answer.status());
    Ok(answer)
}
