//! What the provider shows to people: the login page for a request of `/authorize`, and small pages beside it. One says
//! that something is wrong, to the person in their language and to the site's developer in English; one asks whether somebody
//! wants to log out; one says what came of that; one, inside WeChat, offers to log in with a tap. None of them says again what came in with a request.

use askama::Template;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use login_page::{ForRequest, Language};
use server::http::{self as web, Response};

/// What the small pages may load: the style, and no script. As in the login page's policy there is no `form-action`,
/// because an answer to the form may redirect to a site, and that one to anywhere.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

/// What is wrong with a request that cannot be answered to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No site of this name is registered, or none is named.
    UnknownSite,
    /// The site has not registered the address to which the person would be sent back.
    WrongRedirect,
    /// A parameter is there twice.
    Repeated,
    /// The request has more bytes than one may have.
    TooLarge,
    /// The request has expired, or is used already.
    RequestGone,
    /// The cookie is missing, or is another browser's.
    OtherBrowser,
    /// The code of the login is unknown, expired or used.
    LoginGone,
    /// The store does not answer.
    Busy,
    /// Too many login pages for one address, or for all together.
    TooMany,
    /// A form or a parameter is wrong; this says to developers how. It is never what came in.
    WrongForm(&'static str),
}

impl Trouble {
    /// What happened, and what the person may do about it.
    fn words(self, language: Language) -> &'static str {
        let (zh, en) = match self {
            Self::UnknownSite => (
                "要求登录的网站没有在这里登记。请返回该网站，重新开始登录；如果还是不行，请告诉该网站。",
                "The site that sent you here is not registered with this login service. Please go back to it and begin \
                 again. If that does not help, tell the site.",
            ),
            Self::WrongRedirect => (
                "网站没有登记登录后要返回的地址，所以登录没有开始。请返回该网站，重新开始登录；如果还是不行，请告诉该网站。",
                "The site has not registered the address that it wants you sent back to. Please go back to it and begin \
                 again. If that does not help, tell the site.",
            ),
            Self::Repeated | Self::TooLarge => (
                "网站发来的登录请求有误。请返回该网站，重新开始登录；如果还是不行，请告诉该网站。",
                "The site sent a login request that cannot be understood. Please go back to it and begin again. If that \
                 does not help, tell the site.",
            ),
            Self::RequestGone => (
                "这次登录已过期，或者已经完成。请返回要登录的网站，重新开始登录。",
                "This login has expired, or was completed before. Please go back to the site and begin again.",
            ),
            Self::OtherBrowser => (
                "这次登录不是在这个浏览器里开始的，或者浏览器没有保存 Cookie。请允许 Cookie，再返回要登录的网站，重新开始登录。",
                "This login was not begun in this browser, or the browser has kept no cookie. Please allow cookies, go back \
                 to the site and begin again.",
            ),
            Self::LoginGone => (
                "这次扫码已过期，或者已经用过。请返回要登录的网站，重新开始登录。",
                "This scan has expired, or was used before. Please go back to the site and begin again.",
            ),
            Self::Busy | Self::TooMany => (
                "服务器繁忙。请稍等片刻，再返回要登录的网站，重新开始登录。",
                "The server is busy. Please wait a moment, go back to the site and begin again.",
            ),
            Self::WrongForm(_) => (
                "收到的请求有误。请返回网站，重新开始。",
                "The request cannot be understood. Please go back to the site and begin again.",
            ),
        };
        match language {
            Language::Chinese => zh,
            Language::English => en,
        }
    }

    /// What the developer of the site may check.
    pub(super) fn for_developers(self) -> &'static str {
        match self {
            Self::UnknownSite => "client_id is missing, or no site in CALLBACK_SITES has it as its id",
            Self::WrongRedirect => {
                "redirect_uri is missing, or is not exactly one of the site’s redirect_uris in CALLBACK_SITES"
            }
            Self::Repeated => "a parameter is there more than once",
            Self::TooLarge => {
                "the parameters are too long; state need not be more than a name for what the site keeps"
            }
            Self::RequestGone => {
                "the request is unknown, too old, or has had its answer; each login begins at /authorize"
            }
            Self::OtherBrowser => {
                "the cookie that /authorize set did not come back; browsers must see this service under \
                 CALLBACK_PUBLIC_URL, and a proxy must let cookies pass"
            }
            Self::LoginGone => {
                "the login’s code is unknown, expired or used; each login begins at /authorize"
            }
            Self::Busy => "the store of callback-service does not answer; its log says why",
            Self::TooMany => {
                "more login pages were asked for than CALLBACK_ADDRESS_RATE allows for one address, or a limit for all"
            }
            Self::WrongForm(what) => what,
        }
    }

    fn title(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Busy | Self::TooMany, Language::Chinese) => "请稍后再试",
            (Self::Busy | Self::TooMany, Language::English) => "Please try again later",
            (Self::WrongForm(_), Language::Chinese) => "无法继续",
            (Self::WrongForm(_), Language::English) => "This cannot go on",
            (_, Language::Chinese) => "无法登录",
            (_, Language::English) => "This login cannot go on",
        }
    }
}

/// The login page for a request.
pub(super) fn login(page: &ForRequest<'_>) -> Response {
    // A policy has only characters that a header may have.
    let policy = HeaderValue::from_str(&page.policy());
    html(StatusCode::OK, page.html(), policy.unwrap_or(HeaderValue::from_static("default-src 'none'")))
}

/// Offers a login inside WeChat: the person taps, and the browser brings `request` to `/login/site`.
pub(super) fn ask_inside(
    site: &str,
    request: &str,
    other: &str,
    cancel: &str,
    language: Language,
) -> Response {
    let (title, words, go, other_ways, back) = match language {
        Language::Chinese => (
            format!("登录 {site}"),
            format!("登录后，{site} 会知道你是谁。如果不是你自己要登录，请返回。"),
            "用微信登录",
            "其他登录方式",
            format!("返回 {site}"),
        ),
        Language::English => (
            format!("Log in to {site}"),
            format!("{site} will learn who you are. If this is not what you wanted, go back."),
            "Log in with WeChat",
            "Other ways to log in",
            format!("Back to {site}"),
        ),
    };
    let state = "asks";
    let page = AskInside { language, state, title, words, go, request, other, other_ways, cancel, back };
    small(StatusCode::OK, &page)
}

/// Says that something is wrong.
pub(super) fn error(status: StatusCode, trouble: &Trouble, language: Language) -> Response {
    let page = ErrorPage {
        language,
        state: "error",
        title: trouble.title(language),
        words: trouble.words(language),
        developer: trouble.for_developers(),
    };
    small(status, &page)
}

/// Asks whether somebody wants to log out. The form posts `fields`, and `answer`, which is `yes` or `no`, to
/// `/logout/confirm`.
pub(super) fn ask_logout(fields: &[(&str, &str)], language: Language) -> Response {
    let (title, words, yes, no) = match language {
        Language::Chinese => ("要退出登录吗？", "退出后，下次登录需要重新扫码。", "退出登录", "保持登录"),
        Language::English => {
            ("Log out?", "The next login then takes a new scan.", "Log out", "Stay logged in")
        }
    };
    small(StatusCode::OK, &AskLogout { language, state: "asks", title, words, fields, yes, no })
}

/// Says that somebody is logged out.
pub(super) fn logged_out(language: Language) -> Response {
    let (title, words) = match language {
        Language::Chinese => ("已退出登录", "现在可以关闭本页。"),
        Language::English => ("You are logged out", "You can close this page now."),
    };
    small(StatusCode::OK, &Said { language, state: "granted", title, words })
}

/// Says that somebody is still logged in, as they wished.
pub(super) fn still_logged_in(language: Language) -> Response {
    let (title, words) = match language {
        Language::Chinese => ("仍保持登录", "没有退出。现在可以关闭本页。"),
        Language::English => ("You are still logged in", "Nothing has changed. You can close this page now."),
    };
    small(StatusCode::OK, &Said { language, state: "granted", title, words })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    language: Language,
    state: &'static str,
    title: &'static str,
    words: &'static str,
    developer: &'static str,
}

#[derive(Template)]
#[template(path = "ask_logout.html")]
struct AskLogout<'a> {
    language: Language,
    state: &'static str,
    title: &'static str,
    words: &'static str,
    fields: &'a [(&'a str, &'a str)],
    yes: &'static str,
    no: &'static str,
}

#[derive(Template)]
#[template(path = "ask_inside.html")]
struct AskInside<'a> {
    language: Language,
    state: &'static str,
    title: String,
    words: String,
    go: &'static str,
    request: &'a str,
    other: &'a str,
    other_ways: &'static str,
    cancel: &'a str,
    back: String,
}

#[derive(Template)]
#[template(path = "said.html")]
struct Said {
    language: Language,
    state: &'static str,
    title: &'static str,
    words: &'static str,
}

/// A page of a few words.
pub(crate) fn small(status: StatusCode, page: &impl Template) -> Response {
    let page = page.render().expect("a text takes every other text");
    html(status, page, HeaderValue::from_static(POLICY))
}

/// A page that nobody may put into a frame, and that tells no other site where somebody was. Its own forms say whose they
/// are: with `no-referrer` their Origin would be `null`.
fn html(status: StatusCode, page: String, policy: HeaderValue) -> Response {
    let mut response = web::answer(status, "text/html; charset=utf-8", page);
    let set: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    response.headers_mut().extend(set);
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use login_page::Brand;

    use super::*;

    const MARKUP: &str = "\"><script>'&";
    const AS_TEXT: &str = "&#34;&#62;&#60;script&#62;&#39;&#38;";
    const LANGUAGES: [Language; 2] = [Language::Chinese, Language::English];

    const TROUBLES: [Trouble; 9] = [
        Trouble::UnknownSite,
        Trouble::WrongRedirect,
        Trouble::Repeated,
        Trouble::TooLarge,
        Trouble::RequestGone,
        Trouble::OtherBrowser,
        Trouble::LoginGone,
        Trouble::Busy,
        Trouble::WrongForm("answer must be <yes> or <no>"),
    ];

    /// The markup, of a response that has the headers of every page.
    async fn read(response: Response) -> String {
        let (head, body) = response.into_parts();
        let header = |name: HeaderName| head.headers[name].to_str().unwrap();
        assert_eq!(header(http::header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(http::header::CACHE_CONTROL), "no-store");
        assert_eq!(header(X_FRAME_OPTIONS), "DENY");
        assert_eq!(header(REFERRER_POLICY), "same-origin");
        let policy = header(CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("form-action"), "{policy}");
        String::from_utf8(web::read_body(body, 65_536, Duration::from_secs(1)).await.unwrap()).unwrap()
    }

    fn has_chinese(text: &str) -> bool {
        text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter))
    }

    #[tokio::test]
    async fn every_trouble_has_words_in_both_languages_and_a_line_for_developers() {
        for trouble in TROUBLES {
            for language in LANGUAGES {
                let response = error(StatusCode::BAD_REQUEST, &trouble, language);
                assert_eq!(response.status(), StatusCode::BAD_REQUEST);
                let page = read(response).await;
                assert_eq!(has_chinese(&page), language == Language::Chinese, "{page}");
                assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())), "{page}");
                assert!(page.contains(trouble.words(language)), "{page}");
                assert!(page.contains("<p class=\"developer\" lang=\"en\">For the site"), "{page}");
            }
        }
        let page = read(error(StatusCode::BAD_REQUEST, &TROUBLES[8], Language::English)).await;
        assert!(page.contains("answer must be &#60;yes&#62; or &#60;no&#62;."), "{page}");
    }

    #[tokio::test]
    async fn the_question_is_answered_with_its_fields_which_are_text() {
        let fields = [("post_logout_redirect_uri", MARKUP), ("state", ""), (MARKUP, "x")];
        for language in LANGUAGES {
            let page = read(ask_logout(&fields, language)).await;
            assert!(page.contains("<form method=\"post\" action=\"/logout/confirm\""), "{page}");
            for field in [
                format!("name=\"post_logout_redirect_uri\" value=\"{AS_TEXT}\""),
                "name=\"state\" value=\"\"".to_owned(),
                format!("name=\"{AS_TEXT}\" value=\"x\""),
                "name=\"answer\" value=\"yes\"".to_owned(),
                "name=\"answer\" value=\"no\"".to_owned(),
            ] {
                assert!(page.contains(&field), "{field} is not in {page}");
            }
            assert!(!page.contains("<script"), "{page}");
        }
    }

    #[tokio::test]
    async fn what_came_of_it_is_said_in_both_languages() {
        for language in LANGUAGES {
            let (out, still) = (read(logged_out(language)).await, read(still_logged_in(language)).await);
            assert_ne!(out, still);
            for page in [out, still] {
                assert_eq!(has_chinese(&page), language == Language::Chinese, "{page}");
                assert!(!page.contains("<script") && !page.contains("<form"), "{page}");
            }
        }
    }

    #[tokio::test]
    async fn the_login_page_has_its_own_policy_and_what_a_site_wrote_is_text_in_it() {
        let page = ForRequest {
            site: MARKUP,
            gateway: "https://login.example.cn",
            request: MARKUP,
            account: None,
            language: None,
            cancel: MARKUP,
            pictures: &[],
            brand: &Brand::NONE,
        };
        let response = login(&page);
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("connect-src https://login.example.cn wss://login.example.cn;"), "{policy}");
        let page = read(response).await;
        assert!(!page.contains(MARKUP) && page.contains(AS_TEXT), "{page}");
    }
}
