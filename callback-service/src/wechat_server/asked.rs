//! What sites ask: whose a code is, a QR code, what has become of it, and the account's access token.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap};
use http::request::Parts;
use hyper::body::Incoming as Body;
use secrecy::ExposeSecret;
use server::http::{self as web, Response};
use server::tell;
use tokio::time::timeout;
use wechat::{Class, Person, Unmade};

use super::answers::{self, QrCode};
use super::budget::Unpaid;
use super::pace::Pace;
use super::qr_logins::{self, By, Names, Told};
use super::sites::Site;
use super::{Official, WeChatServer};
use crate::audit::{Fact, Outcome, Way};
use crate::provider::token::Token;
use crate::store::StoreError;

/// Limit for an answer, also where WeChat is asked. Sites give up after 5 s, and a proxy before.
const WITHIN: Duration = Duration::from_millis(3500);

/// QR codes of one site, so that none of them takes the day's from the others within minutes.
const QR_CODES: Pace = Pace { most: 60, refill: Duration::from_secs(10) };

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Whose a code is.
    User,
    /// The account's access token.
    AccessToken,
    /// A QR code for a login.
    CreateQrCode,
    /// What has become of that login.
    LoginStatus,
}

/// A request, without its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'r> {
    /// Method, address and headers.
    pub head: &'r Parts,
    /// Who asks, also from behind a proxy.
    pub from: IpAddr,
}

impl Incoming<'_> {
    /// A parameter of the query; the first of its name.
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query().unwrap_or_default();
        let found = form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
        found.map(|(_, value)| value.into_owned())
    }
}

impl WeChatServer {
    /// Answers one request.
    pub(crate) async fn answer(&self, call: Call, asked: Incoming<'_>, body: Body) -> Response {
        // No call has a body that says anything.
        web::discard(body).await;
        let site = self.site(&asked);
        // Every site that was read has an account.
        let Some((site, official)) = site.and_then(|site| self.official(&site).map(|own| (site, own))) else {
            return answers::failed(answers::NO_RIGHT);
        };
        let answer = async {
            match call {
                Call::User => self.user(&site, official, &asked).await,
                Call::LoginStatus => self.login_status(by(&site, official), &asked).await,
                Call::CreateQrCode => Ok(self.create_qr_code(&site, official).await),
                Call::AccessToken => Ok(self.access_token(&site, official).await),
            }
        };
        let late = || Err(StoreError(format!("not within {WITHIN:?}")));
        timeout(WITHIN, answer).await.unwrap_or_else(|_| late()).unwrap_or_else(|error| {
            tell!(error, self.told, "store", [site = ?site.name], "a site's question is not answered: {error}");
            answers::failed(answers::BUSY)
        })
    }

    /// The site that asks, by the token of its header. One in the query counts for nothing: addresses are logged. There is
    /// no limit for an address: nobody guesses 256 bits, and a limit would let a stranger behind the same proxy keep the
    /// site out.
    fn site(&self, asked: &Incoming<'_>) -> Option<Site> {
        let site = bare_token(&asked.head.headers).and_then(|token| self.sites.with_token(token));
        if site.is_none() {
            self.count("no_right");
            let from = asked.from;
            tell!(
                warn,
                self.told,
                "token",
                [%from],
                "a site asks by wechat-server's protocol with no token of ours: WeChatServerToken must be the one that \
                 callback-service new-token has shown"
            );
        }
        site
    }

    async fn user(
        &self,
        site: &Site,
        official: &Official,
        asked: &Incoming<'_>,
    ) -> Result<Response, StoreError> {
        let account = &official.names;
        let code = asked.parameter("code").map(|code| plain(&code)).unwrap_or_default();
        if code.is_empty() {
            return Ok(answers::failed(answers::NO_CODE));
        }
        let person = if self.codes.has_form(&code) {
            if !self.guesses.take(account, &site.name).await? {
                self.count("limited");
                tell!(
                    warn,
                    self.told,
                    format!("guesses of {}", site.name),
                    [site = ?site.name],
                    "too many wrong codes: somebody tries codes on this site's page; none is looked at for a while"
                );
                return Ok(answers::failed(answers::TOO_MANY));
            }
            let person = self.codes.redeem(account, &code).await?;
            if person.is_some()
                && let Err(error) = self.guesses.give_back(account, &site.name).await
            {
                // It costs the site one try.
                tracing::debug!("{error}");
            }
            person
        } else {
            // Nobody guesses one of these.
            self.qr_logins.redeem(&code, by(site, official)).await?
        };
        self.count(if person.is_some() { "right" } else { "wrong" });
        if let Some(person) = &person {
            let (site, way) = (Some(site.name.clone()), Some(Way::WechatServer));
            // It is redeemed once, so there is no repeat.
            let fact = Fact { site, way, once: false, ..Fact::of(Outcome::Redeemed, person) };
            self.audit.note(account, fact).await;
        }
        tracing::info!(site = ?site.name, found = person.is_some(), "a site asked whose a code is");
        Ok(answers::user(person.as_ref().map(Person::as_str).unwrap_or_default()))
    }

    async fn create_qr_code(&self, site: &Site, official: &Official) -> Response {
        let failed = |outcome, message| {
            self.count(outcome);
            answers::failed(message)
        };
        match self.paces.take(&format!("qr:{}", site.name), QR_CODES).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                tell!(
                    warn,
                    self.told,
                    format!("codes of {}", site.name),
                    [site = ?site.name],
                    "a site asks for QR codes faster than one in 10 s; it has to wait"
                );
                return failed("qr_limited", answers::TOO_FAST);
            }
            Err(error) => return self.no_qr_code(site, &error.to_string(), answers::BUSY),
        }
        let names = Names::random();
        let (wechat, budget) = (&official.wechat, &official.budget);
        let code = match wechat.create_paid_qr_code(names.scene.as_str(), qr_logins::LIFE, budget).await {
            Ok(code) => code,
            Err(Unmade::Unpaid(Unpaid::Spent)) => {
                return self.no_qr_code(site, "CALLBACK_QR_PER_DAY is used up", answers::SPENT);
            }
            Err(Unmade::Unpaid(Unpaid::Store(error))) => {
                return self.no_qr_code(site, &error.to_string(), answers::BUSY);
            }
            Err(Unmade::Failed(error)) => {
                let message = match error.class() {
                    Class::Permission => answers::NO_PERMISSION,
                    Class::Quota => answers::SPENT,
                    _ => answers::BUSY,
                };
                return self.no_qr_code(site, &error.to_string(), message);
            }
        };
        if let Err(error) = self.qr_logins.put(&names, by(site, official), site.confirm).await {
            return self.no_qr_code(site, &error.to_string(), answers::BUSY);
        }
        self.count("qr_made");
        answers::qr_code(&QrCode {
            scene_id: names.scene.as_str(),
            qrcode_url: &wechat::show_qr_code_url(&self.qr_url, &code.ticket),
            login_token: names.token.reveal(),
            expire_seconds: code.expire.min(qr_logins::LIFE).as_secs(),
        })
    }

    fn no_qr_code(&self, site: &Site, why: &str, message: &str) -> Response {
        self.count("qr_failed");
        tell!(warn, self.told, format!("no code: {message}"), [site = ?site.name], "no QR code for a site: {why}");
        answers::failed(message)
    }

    async fn login_status(&self, by: By<'_>, asked: &Incoming<'_>) -> Result<Response, StoreError> {
        let Some(token) = asked.parameter("login_token").filter(|token| !token.is_empty()) else {
            return Ok(answers::no_login(answers::NO_LOGIN_TOKEN));
        };
        let Some(names) = Token::parse(&token).map(Names::of) else {
            return Ok(answers::no_login(answers::NO_LOGIN));
        };
        Ok(match self.qr_logins.look(&names.scene, by).await? {
            None => answers::no_login(answers::NO_LOGIN),
            Some(Told::Pending) => answers::waiting(),
            Some(Told::Expired) => answers::over(),
            Some(Told::Success { person }) => answers::succeeded(&person, &names.code),
        })
    }

    async fn access_token(&self, site: &Site, official: &Official) -> Response {
        if !site.access_token {
            tell!(
                warn,
                self.told,
                format!("access token of {}", site.name),
                [site = ?site.name],
                "a site asks for the account's access token, which its entry does not allow (access_token)"
            );
            return answers::failed(answers::NO_RIGHT);
        }
        match official.wechat.shared_token().await {
            Ok(token) => {
                tracing::info!(site = ?site.name, "a site was given the account's access token");
                answers::access_token(token.text.expose_secret(), token.left.as_secs())
            }
            Err(error) => {
                tell!(warn, self.told, "no access token", [site = ?site.name], "no access token for a site: {error}");
                answers::failed(answers::BUSY)
            }
        }
    }
}

fn by<'s>(site: &'s Site, official: &'s Official) -> By<'s> {
    By { site: &site.name, account: &official.names }
}

/// The token of a request. wechat-server's clients send it bare; some forks write Bearer before it.
fn bare_token(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).into_iter();
    let (line, None) = (lines.next()?.to_str().ok()?.trim(), lines.next()) else { return None };
    let token = match line.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        _ => line,
    };
    (!token.is_empty()).then_some(token)
}

/// A code without blanks, and its digits as ASCII has them: people type it on a page, whose site passes it on.
fn plain(code: &str) -> String {
    let digit = |letter: char| match letter {
        '０'..='９' => char::from_digit(u32::from(letter) - u32::from('０'), 10).unwrap_or(letter),
        _ => letter,
    };
    code.chars().filter(|letter| !letter.is_whitespace()).map(digit).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_bare_or_behind_bearer() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
            }
            bare_token(&headers).map(str::to_owned)
        };
        for (lines, token) in [
            (&["abc"][..], Some("abc")),
            (&["Bearer abc"], Some("abc")),
            (&["bearer  abc"], Some("abc")),
            (&["Basic abc"], Some("Basic abc")),
            (&[], None),
            (&[""], None),
            (&["Bearer "], Some("Bearer")),
            (&["abc", "abc"], None),
        ] {
            assert_eq!(read(lines).as_deref(), token, "{lines:?}");
        }
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in ["012345", " 012345\n", "０１２３４５", "012 345", "\u{3000}01２345"] {
            assert_eq!(plain(typed), "012345");
        }
        assert_eq!(plain("　 "), "");
    }
}
