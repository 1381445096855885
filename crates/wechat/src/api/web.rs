//! Web authorization: a page that is open inside WeChat learns who looks at it (WeChat's guide "Web page authorization").
//!
//! The browser goes to [`authorize_url`], top-level, and comes back with a code and our `state`. [`Client::web_user`] then
//! asks whose the code is: `GET /sns/oauth2/access_token`, and `GET /sns/userinfo` where the person has agreed to more. The
//! openid is the one that pushes have. None of this takes the account's access token or anything of a day's quota.

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::breaker::Breaker;
use super::call::{WEB_TOKEN, WEB_USER};
use super::exchange::Api;
use super::policy::Tries;
use super::user::{clean, is_picture};
use super::{Class, Client, Error};
use crate::Person;

/// The host to which browsers go for a web authorization. It is not the API's host.
pub const OFFICIAL_OPEN_URL: &str = "https://open.weixin.qq.com";

/// What a web authorization asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `snsapi_base`: the openid alone. The person sees nothing of it.
    Base,
    /// `snsapi_userinfo`: nickname, picture and unionid as well. The person is asked, and it has to follow a tap: a page
    /// that asks by itself is given a virtual person.
    UserInfo,
}

impl Scope {
    /// Its name at WeChat.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::UserInfo => "snsapi_userinfo",
        }
    }
}

/// The address at which WeChat asks the person, and comes back to `redirect_uri` with `code` and `state`.
///
/// `base` is [`OFFICIAL_OPEN_URL`] or a simulator's. `state` has at most 128 of `[a-zA-Z0-9]`. WeChat compares the
/// parameters in this order, and wants the fragment.
#[must_use]
pub fn authorize_url(base: &str, app_id: &str, redirect_uri: &str, scope: Scope, state: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("appid", app_id).append_pair("redirect_uri", redirect_uri);
    query.append_pair("response_type", "code").append_pair("scope", scope.as_str());
    let query = query.append_pair("state", state).finish();
    format!("{}/connect/oauth2/authorize?{query}#wechat_redirect", base.trim_end_matches('/'))
}

/// A person who has come through a web authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUser {
    /// Who: the openid that pushes have.
    pub person: Person,
    /// The person's name within all accounts of one Open Platform owner. WeChat tells it with [`Scope::UserInfo`].
    pub unionid: Option<String>,
    /// The name to show, clean as that of a [`User`](super::User), where the person agreed.
    pub nickname: Option<String>,
    /// Where the avatar is, by https, where the person agreed.
    pub picture: Option<String>,
}

/// Why nobody came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWebUser {
    /// WeChat showed the page as a snapshot, and named a virtual person: the openid is nobody's. After a tap on
    /// 使用完整服务 the page may ask again.
    #[error("WeChat showed a snapshot of the page, and named a virtual person")]
    Snapshot,
    /// WeChat refused, or could not be asked. A code that is wrong or was used is [`Class::WebCode`].
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Client {
    /// Asks WeChat whose the code of a web authorization is. A code can be asked about once.
    ///
    /// # Errors
    /// [`NoWebUser`]. When the person's nickname alone cannot be had there is no error, because a login works without.
    pub async fn web_user(&self, code: &str) -> Result<WebUser, NoWebUser> {
        let (app_id, secret) = self.tokens.credentials();
        let query = [
            ("appid", app_id),
            ("secret", secret.expose_secret()),
            ("code", code),
            ("grant_type", "authorization_code"),
        ];
        let answer: Answer = self
            .web_call(&self.breakers.web_token, is_safe_to_repeat, |api| api.get(WEB_TOKEN).query(&query))
            .await?;
        if answer.is_snapshotuser == 1 {
            return Err(NoWebUser::Snapshot);
        }
        if answer.openid.is_empty() {
            let reason = "its openid is empty".to_owned();
            return Err(Error::Decode { call: WEB_TOKEN, reason }.into());
        }
        let told = match answer.scope.split(',').any(|scope| scope == Scope::UserInfo.as_str()) {
            true => self.web_profile(&answer).await,
            false => Profile::default(),
        };
        Ok(WebUser {
            person: Person::new(answer.openid),
            unionid: told.unionid.or(answer.unionid).filter(|unionid| !unionid.is_empty()),
            nickname: told.nickname.as_deref().and_then(clean),
            picture: told.headimgurl.filter(|url| is_picture(url)),
        })
    }

    async fn web_profile(&self, answer: &Answer) -> Profile {
        let query =
            [("access_token", answer.access_token.as_str()), ("openid", &answer.openid), ("lang", "zh_CN")];
        let asked =
            self.web_call(&self.breakers.web_user, |_| true, |api| api.get(WEB_USER).query(&query)).await;
        match asked {
            Ok(profile) => profile,
            Err(error) => {
                tracing::warn!("a person comes without a nickname: {error}");
                Profile::default()
            }
        }
    }

    /// Makes one call without the account's token, within the time limit, unless its breaker is open. After a failure it is
    /// made again if that `may_repeat`.
    async fn web_call<T: serde::de::DeserializeOwned>(
        &self,
        breaker: &Breaker,
        may_repeat: impl Fn(&Error) -> bool,
        request: impl Fn(&Api) -> reqwest::RequestBuilder,
    ) -> Result<T, Error> {
        let (pass, call) = (breaker.admit()?, breaker.call());
        let tries = async {
            let mut tries = Tries::new(&self.limits);
            loop {
                let error = match self.api.exchange(call, request(&self.api)).await {
                    Err(error) => error,
                    Ok(answer) => return Ok(answer),
                };
                if !may_repeat(&error) || !tries.again(&error).await {
                    return Err(error);
                }
            }
        };
        let outcome = tokio::time::timeout(self.limits.call, tries).await;
        let outcome = outcome.unwrap_or(Err(Error::Timeout { call }));
        breaker.report(pass, &outcome);
        outcome
    }
}

/// Whether a code can be asked about again after this: it was certainly not used.
fn is_safe_to_repeat(error: &Error) -> bool {
    error.was_never_sent() || error.class() == Class::Busy
}

/// The answer of `sns/oauth2/access_token`. Its token is one person's, so there is no `Debug`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    openid: String,
    #[serde(default)]
    scope: String,
    unionid: Option<String>,
    #[serde(default)]
    is_snapshotuser: i64,
}

#[derive(Default, Deserialize)]
struct Profile {
    nickname: Option<String>,
    headimgurl: Option<String>,
    unionid: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_its_parameters_in_wechats_order_and_its_fragment() {
        assert_eq!(
            authorize_url(
                "https://open.weixin.qq.com/",
                "wx1",
                "https://id.example.cn/login/back",
                Scope::Base,
                "aB9"
            ),
            "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fid.example.cn\
             %2Flogin%2Fback&response_type=code&scope=snsapi_base&state=aB9#wechat_redirect"
        );
    }
}
