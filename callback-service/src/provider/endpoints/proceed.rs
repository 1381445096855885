//! `/authorize/continue`: the login page brings the code that the gateway gave it for a scan. The browser must be the one
//! that asked. It gets a session, and goes back to the site.

use http::StatusCode;
use hyper::body::Incoming as Body;
use login_page::Language;
use server::http::Response;
use tracing::Instrument as _;

use super::Incoming;
use super::cookies::Cookie;
use super::oauth_error::OAuthError;
use super::parameters::Parameters;
use crate::provider::Provider;
use crate::provider::identity::Identity;
use crate::provider::pages::{self, Trouble};
use crate::provider::requests::{Asked, Continued};
use crate::provider::sites::Site;
use crate::provider::token::{Hash, Token};
use crate::store::{StoreError, repeated};
use crate::trace;

impl Provider {
    pub(super) async fn proceed(&self, asked: Incoming<'_>, body: Body) -> Response {
        let parameters = match Parameters::of_form(body).await {
            Ok(parameters) => parameters,
            Err(unread) => return pages::error(unread.status(), &unread.words(), Language::default()),
        };
        let language = asked.language(&parameters);
        let refused = |status, trouble| pages::error(status, &trouble, language);
        if !self.is_from_own_page(&asked) {
            return refused(StatusCode::FORBIDDEN, Trouble::OtherBrowser);
        }
        if parameters.repeats_any(&["request", "code"]) {
            return refused(StatusCode::BAD_REQUEST, Trouble::Repeated);
        }
        let token = |name| parameters.get(name).and_then(Token::parse);
        let Some(handle) = token("request") else {
            return refused(StatusCode::BAD_REQUEST, Trouble::RequestGone);
        };
        let Some(code) = token("code") else {
            return refused(StatusCode::BAD_REQUEST, Trouble::LoginGone);
        };
        let Some(browser) = self.cookie(&asked.head.headers, Cookie::Browser) else {
            return refused(StatusCode::FORBIDDEN, Trouble::OtherBrowser);
        };
        let resumed = self.requests.resume(&handle, &browser.hash(), &code).await;
        match resumed {
            Err(error) => self.busy(&error, language),
            Ok(Continued::Gone) => refused(StatusCode::BAD_REQUEST, Trouble::RequestGone),
            Ok(Continued::OtherBrowser) => refused(StatusCode::FORBIDDEN, Trouble::OtherBrowser),
            Ok(Continued::NoProof) => refused(StatusCode::BAD_REQUEST, Trouble::LoginGone),
            Ok(Continued::LoggedIn(login)) => {
                let (for_site, who) = *login;
                // The file may have been read again since the request.
                let Some(site) = self.sites.get(&for_site.site) else {
                    return refused(StatusCode::BAD_REQUEST, Trouble::UnknownSite);
                };
                if !site.may_redirect_to(&for_site.redirect_uri) {
                    return refused(StatusCode::BAD_REQUEST, Trouble::WrongRedirect);
                }
                let span = trace::step(who.login, "continue");
                span.in_scope(|| tracing::debug!(site = %site.id, "the page has brought its code"));
                let handle = handle.hash();
                let done = self.logged_in(&asked, &handle, for_site, &site, who, None).instrument(span);
                let done = done.await;
                done.unwrap_or_else(|error| self.busy(&error, language))
            }
        }
    }

    /// Gives the browser a session in place of the one that it has, and sends it back to the site, with `code` where that is
    /// chosen already. The request is marked as answered last, so that the page may try again after whatever fails.
    pub(in crate::provider) async fn logged_in(
        &self,
        asked: &Incoming<'_>,
        request: &Hash,
        for_site: Asked,
        site: &Site,
        mut who: Identity,
        code: Option<Token>,
    ) -> Result<Response, StoreError> {
        let account = who.account.clone();
        let session = Cookie::Session(account.as_deref());
        let before = self.session_of(asked, account.as_deref()).await?;
        match &before {
            // The sites that know of the session go on hearing of its end.
            Some((before, _)) if before.openid == who.openid => who.sid.clone_from(&before.sid),
            Some((before, _)) => self.log_out(&before.person(), &before.sid, asked, None).await?,
            None => {}
        }
        let cookie = Token::random();
        if !self.accounts.begin(&who, &cookie.hash()).await? {
            return Ok(pages::error(StatusCode::BAD_REQUEST, &Trouble::LoginGone, Language::default()));
        }
        self.sessions.begin(&cookie, &who).await?;
        let (mut answer, code) = match for_site.only.as_deref() {
            Some(only) if Some(only) != site.sub(&who) => {
                let error = OAuthError::new(
                    "login_required",
                    "another person has logged in than id_token_hint names",
                );
                let answer = self.refuse(&for_site.redirect_uri, for_site.state.as_deref(), error);
                (answer, cookie.hash())
            }
            _ => self.send_back(for_site, who, code).await?,
        };
        if !repeated(|| self.requests.answer(request, &code)).await? {
            self.sessions.end(&cookie.hash()).await?;
            return Ok(pages::error(StatusCode::BAD_REQUEST, &Trouble::RequestGone, Language::default()));
        }
        if let Some(old) = self.cookie(&asked.head.headers, session) {
            self.sessions.end(&old.hash()).await?;
        }
        self.set_cookie(&mut answer, session, &cookie);
        Ok(answer)
    }
}
