//! `/authorize` in a browser that is WeChat's own: nobody can scan their own screen, and WeChat can say who looks at it. So in
//! place of the login page the browser goes to `/login/site` with the request's handle, and from there to WeChat.

use http::header::HeaderValue;
use server::http::Response;
use wechat::Scope;

use super::Wanted;
use crate::account::names::Names;
use crate::provider::endpoints::{Incoming, Parameters, see_other, wishes};
use crate::provider::inside::{is_framed, is_wechat, language};
use crate::provider::token::Token;
use crate::provider::{Provider, pages};

/// The parameter by which a person asks for the login page all the same.
const OTHER_WAYS: (&str, &str) = ("ways", "other");

impl Provider {
    /// What WeChat is asked about whoever looks at this browser, for a site of this account; nothing where the login page is
    /// shown.
    pub(super) fn inside(
        &self,
        official: Option<&Names>,
        asked: &Incoming<'_>,
        parameters: &Parameters,
    ) -> Option<Scope> {
        let (name, other) = OTHER_WAYS;
        let headers = &asked.head.headers;
        let may = is_wechat(headers) && !is_framed(headers) && parameters.get(name) != Some(other);
        self.inside.filter(|_| may && official.is_some_and(Names::asks_inside))
    }
}

/// Begins a login inside WeChat, where the site wants it to be confirmed with a tap. WeChat wants one, too, before it asks
/// for more than the openid.
pub(super) fn begin(
    wanted: &Wanted,
    scope: Scope,
    handle: &Token,
    cancel: &str,
    asked: &Incoming<'_>,
    parameters: &Parameters,
) -> Response {
    let wants_tap =
        wanted.site.confirm || wanted.asked.confirm || wanted.wants_scan || scope == Scope::UserInfo;
    if !wants_tap {
        return see_other(&format!("/login/site?request={}", handle.reveal()));
    }
    let language = language(wishes(parameters), &asked.head.headers);
    let (name, value) = OTHER_WAYS;
    let other = format!("{}&{name}={value}", parameters.behind("/authorize"));
    let mut page = pages::ask_inside(&wanted.site.name, handle.reveal(), &other, cancel, language);
    // A page that WeChat keeps would offer a handle that was used.
    page.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    page
}
