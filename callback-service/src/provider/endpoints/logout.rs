//! `/logout`: a site asks to log the person out (OpenID Connect RP-Initiated Logout 1.0). With a good ID token as a hint it
//! happens at once, and the person goes back to an address that the site has registered. Without one the person is asked,
//! because any page could send a browser here.

use http::StatusCode;
use hyper::body::Incoming as Body;
use login_page::Language;
use server::http::Response;

use super::cookies::Cookie;
use super::parameters::{self, Parameters};
use super::{Incoming, see_other, shortened};
use crate::account::names::Names;
use crate::provider::Provider;
use crate::provider::pages::{self, Trouble};
use crate::provider::sites::{Site, Subject};
use crate::store::StoreError;

/// The parameters that have a meaning here.
const KNOWN: [&str; 5] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state", "answer"];

/// What a good hint says.
struct Hint {
    site: Site,
    sub: String,
    sid: Option<String>,
}

impl Provider {
    pub(super) async fn logout(&self, asked: Incoming<'_>, parameters: &Parameters) -> Response {
        let language = asked.language(parameters);
        if parameters.repeats_any(&KNOWN) {
            return pages::error(StatusCode::BAD_REQUEST, &Trouble::Repeated, language);
        }
        let hint = self.hint(parameters);
        let site = hint.as_ref().map(|hint| &hint.site);
        let sessions = match self.sessions(&asked, site).await {
            Ok(sessions) => sessions,
            Err(error) => return self.busy(&error, language),
        };
        let is_meant = |hint: &Hint| {
            sessions.iter().all(|(who, _)| hint.site.sub(who).is_some_and(|sub| sub == hint.sub))
        };
        let wanted_uri = parameters.get("post_logout_redirect_uri");
        let target = hint.as_ref().and_then(|hint| registered(&hint.site, wanted_uri));
        // An address that is not registered makes the whole request one of a stranger.
        let is_strange = wanted_uri.is_some() && target.is_none();
        if let (true, Some(Hint { site, .. })) = (is_strange, &hint) {
            server::tell!(
                warn,
                self.told,
                format!("logout {}", site.id),
                [site = %site.id, uri = ?shortened(wanted_uri)],
                "a logout asks the person first, because its post_logout_redirect_uri is not one of the site's, letter by \
                 letter"
            );
        }
        if hint.as_ref().is_none_or(|hint| !is_meant(hint)) || is_strange {
            return ask(parameters, language);
        }
        match self.end_session(&asked, hint.as_ref()).await {
            Err(error) => self.busy(&error, language),
            Ok(()) => self.logged_out(&asked, site, target, parameters, language),
        }
    }

    /// The person's own answer, from the page that asked.
    pub(super) async fn logout_confirmed(&self, asked: Incoming<'_>, body: Body) -> Response {
        let parameters = match Parameters::of_form(body).await {
            Ok(parameters) => parameters,
            Err(unread) => return pages::error(unread.status(), &unread.words(), Language::default()),
        };
        let language = asked.language(&parameters);
        if !self.is_from_own_page(&asked) {
            let trouble = Trouble::WrongForm("another origin has posted the form");
            return pages::error(StatusCode::FORBIDDEN, &trouble, language);
        }
        if parameters.repeats_any(&KNOWN) {
            return pages::error(StatusCode::BAD_REQUEST, &Trouble::Repeated, language);
        }
        if parameters.get("answer") != Some("yes") {
            return pages::still_logged_in(language);
        }
        let site = parameters.get("client_id").and_then(|id| self.sites.get(id));
        let target =
            site.as_ref().and_then(|site| registered(site, parameters.get("post_logout_redirect_uri")));
        match self.end_session(&asked, None).await {
            Err(error) => self.busy(&error, language),
            Ok(()) => self.logged_out(&asked, None, target, &parameters, language),
        }
    }

    /// Ends the browser's sessions, by whichever official account, and the login that a good hint names: its browser may have
    /// lost the cookie, and the other sites have to hear of it all the same. A hint's site leaves sessions alone that could not
    /// serve it.
    async fn end_session(&self, asked: &Incoming<'_>, hint: Option<&Hint>) -> Result<(), StoreError> {
        let site = hint.map(|hint| &hint.site);
        for (who, _) in self.sessions(asked, site).await? {
            self.log_out(&who.person(), &who.sid, asked, site).await?;
        }
        // What a site calls a person by the unionid is no account's name here.
        if let Some(Hint { site, sub, sid: Some(sid) }) = hint
            && site.subject == Subject::Openid
            && let Some(official) = self.official(site)
        {
            let person = official.person(&wechat::Person::new(sub.clone()));
            self.log_out(&person, sid, asked, Some(site)).await?;
        }
        for (official, cookie) in self.session_cookies(&asked.head.headers) {
            if site.is_none_or(|site| self.may_serve(official, site)) {
                self.sessions.end(&cookie.hash()).await?;
            }
        }
        Ok(())
    }

    /// Says so, and takes away the cookies of the sessions that were ended.
    fn logged_out(
        &self,
        asked: &Incoming<'_>,
        site: Option<&Site>,
        target: Option<String>,
        parameters: &Parameters,
        language: Language,
    ) -> Response {
        let mut answer = match target {
            None => pages::logged_out(language),
            Some(uri) => {
                let state: Vec<_> =
                    parameters.get("state").map(|state| ("state", state)).into_iter().collect();
                see_other(&parameters::with(&uri, &state))
            }
        };
        let own = site.map_or_else(|| self.officials.get(None), |site| self.official(site));
        let served = |official: &&Names| site.is_none_or(|site| self.may_serve(official, site));
        let brought = self.session_cookies(&asked.head.headers).map(|(official, _)| official).filter(served);
        let others = brought.filter(|official| Some(*official) != own);
        for official in own.into_iter().chain(others) {
            self.take_cookie(&mut answer, Cookie::Session(official.of_people().map(AsRef::as_ref)));
        }
        answer
    }

    /// The site and person of a hint; nothing for a bad one. An old one is good: people log out late.
    fn hint(&self, parameters: &Parameters) -> Option<Hint> {
        let claims = self.keys.check(parameters.get("id_token_hint")?, &self.addresses.issuer)?;
        let site = self.sites.get(claims.get("aud")?.as_str()?)?;
        let is_named = parameters.get("client_id").is_none_or(|id| id == site.id);
        let sub = claims.get("sub")?.as_str()?.to_owned();
        let sid = claims.get("sid").and_then(|sid| sid.as_str()).map(str::to_owned);
        is_named.then_some(Hint { site, sub, sid })
    }
}

/// The address, if the site has registered it.
fn registered(site: &Site, uri: Option<&str>) -> Option<String> {
    let uri = uri?;
    site.post_logout_redirect_uris.iter().any(|registered| registered == uri).then(|| uri.to_owned())
}

/// Asks the person. What came with the request comes back with the answer, but for the hint, which was no good.
fn ask(parameters: &Parameters, language: Language) -> Response {
    let names = ["client_id", "post_logout_redirect_uri", "state", "ui_locales"];
    let fields: Vec<_> = names.iter().filter_map(|name| Some((*name, parameters.get(name)?))).collect();
    pages::ask_logout(&fields, language)
}
