//! The sites' back ends. Each brings its code to any of the callback services, and again where the answer was lost. Some
//! bring it twice, and some have stolen it. None believes a token that it has not checked.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use form_urlencoded::Serializer;
use futures_util::future::join_all;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{Proofs, Site};
use crate::history::{Browser, Event, Gets, Recorder};
use crate::page::PATIENCE;

/// The longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The pause before another try.
const AGAIN: Duration = Duration::from_millis(300);

/// The most tries with one code; far more than any fault lasts.
const TRIES: usize = 60;

/// Of so many codes one is brought by another site first, which has seen it in a log.
const THEFT: usize = 8;

/// Of so many codes one is brought twice at once.
const TWICE: usize = 8;

/// Of so many codes one is brought again when all is over.
const AGAIN_AFTER: usize = 8;

/// The sites, and where their back ends reach the provider.
#[derive(Debug, Clone)]
pub struct BackEnds {
    sites: Vec<Site>,
    instances: Vec<SocketAddr>,
    issuer: String,
    http: Client,
    /// How long a back end may take to bring a code.
    hesitation: Duration,
    /// Who it is that the provider calls so.
    person: fn(&str) -> String,
}

/// A browser's visit of a site.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The site.
    pub site: Site,
    /// What it made for this login.
    pub proofs: Proofs,
    rng: Rng,
}

impl BackEnds {
    /// Back ends that reach every one of these callback services, and take up to `hesitation` to do so. `person` gives
    /// the nickname of a `sub`.
    #[must_use]
    pub fn new(
        sites: &[Site],
        issuer: &str,
        instances: Vec<SocketAddr>,
        hesitation: Duration,
        person: fn(&str) -> String,
    ) -> Self {
        // A connection that was kept may be one to a process that was killed.
        let http = Client::builder().no_proxy().timeout(ANSWER).pool_max_idle_per_host(0).build().unwrap();
        Self { sites: sites.to_vec(), instances, issuer: issuer.to_owned(), http, hesitation, person }
    }

    /// A browser comes to one of the sites.
    #[must_use]
    pub fn visit(&self, browser: Browser, seed: u64) -> Visit {
        let mut rng = Rng::with_seed(seed ^ (u64::from(browser.0) << 32) ^ 1);
        let site = self.sites[rng.usize(..self.sites.len())].clone();
        Visit { site, proofs: Proofs::random(&mut rng), rng }
    }

    /// The page has its code: its back end redeems it, and tries again until it knows.
    ///
    /// # Panics
    /// When it never knows, or gets a token that it cannot believe.
    pub async fn learn(&self, mut visit: Visit, code: &str, recorder: &Recorder) {
        sleep(self.hesitation.mul_f64(visit.rng.f64())).await;
        let Visit { site, proofs, rng } = &mut visit;
        let mut one_in = |number| rng.usize(..number) == 0;
        let (is_seen, is_twice, is_again) = (one_in(THEFT), one_in(TWICE), one_in(AGAIN_AFTER));
        let mut instance = || rng.usize(..self.instances.len());
        if is_seen {
            let thief = self.sites.iter().find(|other| *other != site).expect("there are two sites");
            self.redeem(thief, instance(), proofs, code, recorder).await;
        }
        for _ in 0..TRIES {
            let instances: Vec<_> = (0..=usize::from(is_twice)).map(|_| instance()).collect();
            let tries = instances.into_iter().map(|at| self.redeem(site, at, proofs, code, recorder));
            let got = join_all(tries).await;
            let is_known = got.iter().any(|gets| matches!(gets, Gets::Person(_)));
            if is_known || got.iter().all(|gets| *gets == Gets::Refusal) {
                if is_again {
                    self.redeem(site, instance(), proofs, code, recorder).await;
                }
                return;
            }
            sleep(AGAIN).await;
        }
        panic!("after {TRIES} tries a site does not know who it is");
    }

    /// One try of `site`, at one of the callback services.
    async fn redeem(
        &self,
        site: &Site,
        instance: usize,
        proofs: &Proofs,
        code: &str,
        recorder: &Recorder,
    ) -> Gets {
        let (brought, by) = (code.to_owned(), site.id.clone());
        recorder.record(Event::Redeems { code: brought.clone(), site: by.clone(), instance });
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("code_verifier", &proofs.verifier)
            .finish();
        let request = self.http.post(format!("http://{}/token", self.instances[instance]));
        let request = request.basic_auth(&site.id, Some(&site.secret));
        let answer = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form).send();
        let gets = match answer.await {
            Err(error) if error.is_connect() => Gets::Nothing,
            Err(_) => Gets::Doubt,
            Ok(answer) => match (answer.status().as_u16(), answer.json::<Value>().await) {
                // It asks for another try, or was cut off.
                (503, _) | (_, Err(_)) => Gets::Doubt,
                (400, Ok(said)) if said["error"] == "invalid_grant" => Gets::Refusal,
                (200, Ok(said)) => {
                    let token = said["id_token"].as_str().expect("an ID token").to_owned();
                    let sub = timeout(PATIENCE, self.sub(&token, site, instance, &proofs.nonce)).await;
                    Gets::Person((self.person)(&sub.expect("the keys can be had")))
                }
                (status, said) => panic!("/token answers {status}: {said:?}"),
            },
        };
        recorder.record(Event::Redeemed { code: brought, site: by, instance, gets: gets.clone() });
        gets
    }

    /// Checks an ID token with the keys of another callback service than the one that signed it, if that one answers, and
    /// gives its `sub`.
    async fn sub(&self, token: &str, site: &Site, signer: usize, nonce: &str) -> String {
        let kid = decode_header(token).unwrap().kid.expect("a token names its key");
        let mut at = signer;
        let key = loop {
            at += 1;
            let instance = self.instances[at % self.instances.len()];
            if let Ok(answer) = self.http.get(format!("http://{instance}/jwks.json")).send().await
                && let Ok(keys) = answer.json::<JwkSet>().await
            {
                // What signs was shown for a while before, everywhere.
                break keys.find(&kid).unwrap_or_else(|| panic!("no key is {kid}")).clone();
            }
            sleep(AGAIN).await;
        };
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&site.id]);
        validation.set_issuer(&[&self.issuer]);
        let claims: Value = decode(token, &DecodingKey::from_jwk(&key).unwrap(), &validation).unwrap().claims;
        assert_eq!(claims["nonce"], nonce, "{claims}");
        claims["sub"].as_str().unwrap().to_owned()
    }
}
