//! The sites that may receive logins: who they are, where answers to them may go, and what they are told. [`mod@file`]
//! reads them. They are read again on SIGHUP; whoever works on a request keeps the ones that it began with.

pub(super) mod file;
mod new_site;

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use parking_lot::RwLock;
use secrecy::SecretString;
use url::{Host, Url};

pub(crate) use self::new_site::new_site;
use super::identity::Identity;
use crate::account::names::Directory;

/// A site (OpenID Connect's relying party, OAuth's client).
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Its name on the wire: `client_id`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The SHA-256 of its secret, or of two while one takes the other's place. A public site has none.
    pub secrets: Vec<[u8; 32]>,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// Where a person may go after logging out.
    pub post_logout_redirect_uris: Vec<String>,
    /// The pages that may hold its widget (RFC 6454).
    pub origins: Vec<String>,
    /// Whether a person confirms each login in the chat.
    pub confirm: bool,
    /// What it calls a person.
    pub subject: Subject,
    /// The official account that its people come by, by its name; the first, where it names none.
    pub account: Option<String>,
    /// The domain of the addresses that it gets, if it gets any.
    pub email_domain: Option<String>,
    /// What it is told of these addresses; left out unless set.
    pub email_verified: Option<bool>,
    /// Whether the ID token has the claims of `/userinfo` as well.
    pub id_token_claims: bool,
    /// Where it hears of logouts (OpenID Connect Back-Channel Logout).
    pub backchannel_logout_uri: Option<String>,
    /// Where it hears of events.
    pub webhook: Option<Webhook>,
}

/// Where a site hears of events, and the key that signs them.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub url: String,
    pub key: SecretString,
}

/// What a site calls a person: `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The name within the official account.
    Openid,
    /// The name within all accounts of one Open Platform account.
    Unionid,
}

impl Subject {
    /// What a person of these names is called; nothing if that is not known.
    pub(super) fn of<'w>(self, openid: &'w str, unionid: Option<&'w str>) -> Option<&'w str> {
        match self {
            Self::Openid => Some(openid),
            Self::Unionid => unionid,
        }
    }
}

impl Site {
    /// Whether it has no secret, because it is an app or a page.
    pub(super) fn is_public(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether this is its secret. It takes as long for a wrong one.
    pub(super) fn has_secret(&self, secret: &str) -> bool {
        let hash = digest::digest(&digest::SHA256, secret.as_bytes());
        let is = |own: &[u8; 32]| constant_time::verify_slices_are_equal(own, hash.as_ref()).is_ok();
        self.secrets.iter().fold(false, |found, own| found | is(own))
    }

    /// Whether an answer may go to `uri`: the text of a registered one (RFC 9700, section 2.1). For an app on the person's
    /// own machine the port is free (RFC 8252, section 7.3).
    pub(super) fn may_redirect_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| {
            registered == uri
                || (self.is_public()
                    && without_loopback_port(registered)
                        .is_some_and(|registered| without_loopback_port(uri) == Some(registered)))
        })
    }

    /// Whether a page of this origin may ask for its logins.
    pub(super) fn may_be_named_by(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.origins.iter().any(|registered| registered == origin))
    }

    /// Whether it is told of logouts or events.
    pub(super) fn wants_to_be_told(&self) -> bool {
        self.backchannel_logout_uri.is_some() || self.webhook.is_some()
    }

    /// What it calls a person; nothing if that is not known.
    pub(super) fn sub<'w>(&self, who: &'w Identity) -> Option<&'w str> {
        self.subject.of(&who.openid, who.unionid.as_deref())
    }

    #[cfg(test)]
    pub(super) fn example(id: &str) -> Self {
        let text = format!(
            "[[site]]\nid = \"{id}\"\nname = \"{id}\"\npublic = true\nredirect_uris = [\"https://{id}.example/cb\"]"
        );
        file::parse(&text).expect("an example").remove(0)
    }
}

/// `http://127.0.0.1:1234/cb` without its port; nothing for an address that is not of this machine.
fn without_loopback_port(uri: &str) -> Option<String> {
    let mut url = Url::parse(uri).ok().filter(|url| url.scheme() == "http")?;
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(_) => false,
    };
    // A text that the parser changes is none that anybody registered.
    (is_loopback && url.as_str() == uri).then(|| {
        let _ = url.set_port(None);
        url.into()
    })
}

/// Whether an address is one of this machine's own, to which plain http is safe.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The sites as they were read last. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Sites {
    path: PathBuf,
    /// The official accounts that they may name.
    officials: Directory,
    now: Arc<RwLock<Arc<Vec<Site>>>>,
}

impl Sites {
    pub(super) fn new(path: PathBuf, officials: Directory, sites: Vec<Site>) -> Self {
        Self { path, officials, now: Arc::new(RwLock::new(Arc::new(sites))) }
    }

    /// All of them.
    pub(super) fn all(&self) -> Arc<Vec<Site>> {
        Arc::clone(&self.now.read())
    }

    /// The site of this id.
    pub(super) fn get(&self, id: &str) -> Option<Site> {
        self.all().iter().find(|site| site.id == id).cloned()
    }

    /// Reads the file again. Nothing is taken over yet.
    pub(super) fn read_again(&self) -> Result<Vec<Site>, String> {
        file::read(&self.path, &self.officials)
    }

    /// Takes over what was read again.
    pub(super) fn replace(&self, sites: Vec<Site>) {
        *self.now.write() = Arc::new(sites);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::Moment;

    use super::*;

    fn confidential() -> Site {
        // printf one | sha256sum; printf other | sha256sum
        let text = "[[site]]\nid = \"shop\"\nname = \"Shop\"\nredirect_uris = [\"https://shop.example/cb?x=1\"]\n\
            secret_sha256 = [\"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed\",\n\
            \"d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\"]";
        file::parse(text).unwrap().remove(0)
    }

    #[test]
    fn two_secrets_are_good_while_one_takes_the_others_place() {
        let site = confidential();
        assert!(site.has_secret("one") && site.has_secret("other"));
        assert!(!site.has_secret("") && !site.has_secret("One"));
        assert!(!Site::example("public").has_secret(""));
    }

    #[test]
    fn an_answer_goes_to_exactly_what_was_registered() {
        let site = confidential();
        assert!(site.may_redirect_to("https://shop.example/cb?x=1"));
        for other in [
            "",
            "https://shop.example/cb",
            "https://shop.example/cb/?x=1",
            "https://shop.example/CB?x=1",
            "https://shop.example/cb?x=1&y=2",
            "https://shop.example/cb?x=1#f",
            "https://SHOP.example/cb?x=1",
            "https://shop.example:443/cb?x=1",
            "https://user@shop.example/cb?x=1",
            "https://shop.example.evil.example/cb?x=1",
            "http://shop.example/cb?x=1",
            "https://shop.example/a/../cb?x=1",
        ] {
            assert!(!site.may_redirect_to(other), "{other}");
        }
    }

    #[test]
    fn the_port_is_free_for_an_app_on_the_persons_machine_only() {
        let mut app = Site::example("app");
        app.redirect_uris = vec!["http://127.0.0.1/cb".to_owned(), "http://localhost/cb".to_owned()];
        assert!(
            app.may_redirect_to("http://127.0.0.1:4711/cb") && app.may_redirect_to("http://127.0.0.1/cb")
        );
        for other in [
            "http://127.0.0.1:4711/cb2",
            "https://127.0.0.1:4711/cb",
            "http://127.0.0.2:4711/cb",
            "http://localhost:4711/cb",
            "http://127.0.0.1:4711@evil.example/cb",
            "http://127.1:4711/cb",
        ] {
            assert!(!app.may_redirect_to(other), "{other}");
        }
        app.secrets = vec![[0; 32]];
        assert!(!app.may_redirect_to("http://127.0.0.1:4711/cb"), "a web site has a port of its own");
    }

    #[test]
    fn only_a_registered_origin_names_a_site() {
        let mut site = Site::example("shop");
        site.origins = vec!["https://shop.example".to_owned()];
        assert!(site.may_be_named_by(Some("https://shop.example")));
        for other in
            [None, Some("null"), Some("https://shop.example.evil.example"), Some("http://shop.example")]
        {
            assert!(!site.may_be_named_by(other), "{other:?}");
        }
    }

    #[test]
    fn a_site_chooses_what_it_calls_a_person() {
        let mut who = Identity {
            openid: "o".to_owned(),
            account: None,
            unionid: None,
            nickname: None,
            picture: None,
            at: Moment(0),
            sid: "s".to_owned(),
            confirmed: false,
            login: None,
        };
        let mut site = Site::example("shop");
        assert_eq!(site.sub(&who), Some("o"));
        site.subject = Subject::Unionid;
        assert_eq!(site.sub(&who), None);
        who.unionid = Some("u".to_owned());
        assert_eq!(site.sub(&who), Some("u"));
    }
}
