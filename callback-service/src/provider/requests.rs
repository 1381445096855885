//! The requests of `/authorize` that wait for a scan, and the proofs of scans that answer them.
//!
//! A request is kept under its handle. The page names the handle to the gateway, so that a scan finds the request; and a
//! recorded scan leaves a proof in it: the hash of the code that only the page gets. Whoever then brings the code, with
//! the cookie of the browser that asked, has the login. All that is decided in one record, so it happens once.

use std::collections::BTreeMap;
use std::time::Duration;

use records::{AsText, Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};

use super::identity::{Identity, Scanned};
use super::token::{Hash, Token};
use super::{CODE_LIFE, sid};
use crate::store::{Store, StoreError};

/// How long a request waits for a scan. A page renews its QR code for minutes, and may be left open for longer.
pub(super) const LIFE: Duration = Duration::from_secs(3600);

/// Proofs in one request. Each is a scan of a QR code that one page showed, and a page shows one at a time.
const MOST_PROOFS: usize = 8;

/// What a site asks for, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The site's id.
    pub site: String,
    /// Where the answer goes: one of the site's own.
    pub redirect_uri: String,
    /// The scopes that are known here, in the standard's order.
    pub scope: String,
    /// Given back as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Given back in the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// PKCE's challenge, by S256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge: Option<String>,
    /// Who must log in, as an `id_token_hint` says: what the site calls that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// The site asks for a confirmed login (`acr_values`), whatever its entry says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
}

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    asked: Kept<Asked>,
    /// The cookie of the browser that asked.
    browser: Hash,
    until: Moment,
    /// By the code's hash.
    #[serde(default)]
    proofs: BTreeMap<String, Kept<Proof>>,
    /// The code that it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Hash>,
}

impl AsText for Request {}

/// A scan that the gateway was asked to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Proof {
    who: Kept<Identity>,
    until: Moment,
}

/// What becomes of a code that a page brings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Continued {
    /// This person has logged in for this request.
    LoggedIn(Box<(Asked, Identity)>),
    /// There is no such request, or it was used, or its time is over.
    Gone,
    /// Another browser asked.
    OtherBrowser,
    /// There is no such proof.
    NoProof,
}

impl Request {
    fn prove(&mut self, code: &Hash, who: Identity, now: Moment) {
        self.proofs.retain(|_, proof| now < proof.until);
        while self.proofs.len() >= MOST_PROOFS {
            let oldest =
                self.proofs.iter().min_by_key(|(_, proof)| proof.until).map(|(code, _)| code.clone());
            let Some(oldest) = oldest else { break };
            self.proofs.remove(&oldest);
        }
        let proof = Proof { who: who.into(), until: now + CODE_LIFE };
        self.proofs.insert(code.as_str().to_owned(), proof.into());
    }

    fn resume(&self, browser: &Hash, code: &Hash, now: Moment) -> Continued {
        if self.browser != *browser {
            return Continued::OtherBrowser;
        }
        if self.answer.is_some() {
            return Continued::Gone;
        }
        match self.proofs.get(code.as_str()) {
            Some(proof) if now < proof.until => {
                let who = Identity::clone(&proof.who);
                Continued::LoggedIn(Box::new((Asked::clone(&self.asked), who)))
            }
            _ => Continued::NoProof,
        }
    }
}

/// The requests.
#[derive(Debug, Clone)]
pub(super) struct Requests(Records<Kept<Request>>);

impl Requests {
    pub(super) fn new(store: &Store) -> Self {
        Self(store.records("request"))
    }

    /// Keeps a request of the browser with this cookie; gives its handle.
    pub(super) async fn put(&self, asked: Asked, browser: &Hash) -> Result<Token, StoreError> {
        let handle = Token::random();
        let name = handle.hash();
        let kept = self.0.update(name.as_str(), |_, now| {
            let (asked, browser, until) = (asked.clone().into(), browser.clone(), now + LIFE);
            let request = Request { asked, browser, until, proofs: BTreeMap::new(), answer: None };
            Step::Write(Write::new(request.into(), until), ())
        });
        kept.await?;
        Ok(handle)
    }

    /// What a request asks for that still waits; `None` if there is no such request.
    pub(super) async fn waiting(&self, handle: &Token) -> Result<Option<Asked>, StoreError> {
        let found = self.0.read(handle.hash().as_str()).await?;
        Ok(found
            .record
            .filter(|request| request.answer.is_none())
            .map(|request| Asked::clone(&request.asked)))
    }

    /// Notes that a person has scanned for a request, before the gateway is asked to record it; gives the code for the
    /// page. `None` if there is no such request any more.
    pub(super) async fn prove(&self, handle: &Token, scanned: &Scanned) -> Result<Option<Token>, StoreError> {
        let (name, code, sid) = (handle.hash(), Token::random(), sid());
        let proved = self.0.update(name.as_str(), |found, now| match found {
            Some(request) if request.answer.is_none() => {
                let mut request = request.clone();
                request.prove(&code.hash(), scanned.identity(now, &sid), now);
                let until = request.until.max(now + CODE_LIFE);
                Step::Write(Write { durably: true, ..Write::new(request, until) }, true)
            }
            _ => Step::Keep(false),
        });
        Ok(proved.await?.then_some(code))
    }

    /// What a request of the browser with this cookie asks for, and the answer that it has had; `None` if there is no such
    /// request, or another browser made it.
    pub(super) async fn of_browser(
        &self,
        name: &Hash,
        browser: &Hash,
    ) -> Result<Option<(Asked, Option<Hash>)>, StoreError> {
        let found = self.0.read(name.as_str()).await?;
        let request = found.record.filter(|request| request.browser == *browser);
        Ok(request.map(|request| (Asked::clone(&request.asked), request.answer.clone())))
    }

    /// Whether browser, page and request belong together. Nothing is changed yet.
    pub(super) async fn resume(
        &self,
        handle: &Token,
        browser: &Hash,
        code: &Token,
    ) -> Result<Continued, StoreError> {
        let found = self.0.read(handle.hash().as_str()).await?;
        let resumed = found.record.map(|request| request.resume(browser, &code.hash(), found.now));
        Ok(resumed.unwrap_or(Continued::Gone))
    }

    /// Ends a request with the code that answers it, or with nothing but the end; says whether this was the first time. It
    /// may be repeated where the store did not say whether it was done.
    pub(super) async fn answer(&self, name: &Hash, answer: &Hash) -> Result<bool, StoreError> {
        let answered = self.0.update(name.as_str(), |found, now| {
            let Some(request) = found else { return Step::Keep(false) };
            if request.answer.as_ref().is_some_and(|before| before != answer) {
                return Step::Keep(false);
            }
            let mut request = request.clone();
            request.answer = Some(answer.clone());
            request.proofs.clear();
            let until = request.until.max(now + CODE_LIFE);
            Step::Write(Write { durably: true, ..Write::new(request, until) }, true)
        });
        Ok(answered.await?)
    }
}
