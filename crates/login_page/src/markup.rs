//! The markup, of which there is one for both services. Whatever a person or a site wrote becomes text in it.

use askama::Template;

use crate::language::Language;
use crate::policy;

/// Where browsers fetch WeChat's pictures.
const WECHATS_PICTURES: &str = "https://mp.weixin.qq.com";

/// The page as the gateway serves it.
#[derive(Debug, Clone, Copy)]
pub struct ForGateway<'a> {
    /// The operator's title.
    pub title: &'a str,
    /// The address of the operator's logo.
    pub logo: Option<&'a str>,
}

impl ForGateway<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        markup(&Page { title: self.title, logo: self.logo, language: Language::default(), request: None })
    }

    /// What it may run and load, for Content-Security-Policy. `pictures` are the addresses of WeChat's pictures and of the
    /// logo, and `host` is the request's Host header.
    #[must_use]
    pub fn policy(pictures: &[impl AsRef<str>], host: Option<&str>) -> String {
        policy::of_gateway(pictures, host)
    }
}

/// The page as the callback service serves it at `/authorize`, for one request of a site. Its parts are at `/login.js`,
/// `/login.css` and `/authorize.js`, and it posts `request` and `code` to `/authorize/continue`.
#[derive(Debug, Clone, Copy)]
pub struct ForRequest<'a> {
    /// The name of the site, as people read it.
    pub site: &'a str,
    /// The gateway as browsers see it, such as `https://login.example.cn`.
    pub gateway: &'a str,
    /// The handle under which the request is kept.
    pub request: &'a str,
    /// The language that somebody wished. Without one the page goes by what its browser says.
    pub language: Option<Language>,
    /// Where the link back to the site leads.
    pub cancel: &'a str,
    /// Where WeChat's pictures are, if it is not where they always are.
    pub pictures: &'a [String],
}

impl ForRequest<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let language = self.language.unwrap_or_default();
        // As login.js says it when the language is switched.
        let title = match language {
            Language::Chinese => format!("登录 {}", self.site),
            Language::English => format!("Log in to {}", self.site),
        };
        // The script puts names of its own behind a slash.
        let request = ForRequest { gateway: self.gateway.trim_end_matches('/'), ..*self };
        markup(&Page { title: &title, logo: None, language, request: Some(&request) })
    }

    /// What it may run and load, for Content-Security-Policy.
    #[must_use]
    pub fn policy(&self) -> String {
        if self.pictures.is_empty() {
            policy::of_request(&[WECHATS_PICTURES], self.gateway)
        } else {
            policy::of_request(self.pictures, self.gateway)
        }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    title: &'a str,
    logo: Option<&'a str>,
    language: Language,
    request: Option<&'a ForRequest<'a>>,
}

fn markup(page: &Page<'_>) -> String {
    page.render().expect("a text takes every other text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{REQUEST_SCRIPT, SCRIPT, WIDGET};

    const MARKUP: &str = "</title><script>\"&'";
    const AS_TEXT: &str = "&#60;/title&#62;&#60;script&#62;&#34;&#38;&#39;";

    const REQUEST: ForRequest<'_> = ForRequest {
        site: "示例商店",
        gateway: "https://login.example.cn/",
        request: "h4ndle",
        language: Some(Language::English),
        cancel: "com.example.app:/cb?error=access_denied&state=a%22b",
        pictures: &[],
    };

    #[test]
    fn title_and_logo_are_text() {
        let page = ForGateway { title: MARKUP, logo: Some("https://a/\"onerror=x") }.html();
        assert_eq!(page.matches(AS_TEXT).count(), 2, "{page}");
        assert!(page.contains("src=\"https://a/&#34;onerror=x\""), "{page}");
        assert!(!page.contains(MARKUP) && !page.contains("{{") && !page.contains("data-gateway"), "{page}");
    }

    #[test]
    fn a_page_for_a_request_says_whose_it_is_and_where_its_gateway_is() {
        let page = REQUEST.html();
        for part in [
            "<html lang=\"en\">",
            "<title>Log in to 示例商店</title>",
            "<h1 id=\"title\">Log in to 示例商店</h1>",
            "data-gateway=\"https://login.example.cn\"",
            "data-request=\"h4ndle\"",
            "data-site=\"示例商店\"",
            "data-lang=\"en\"",
            "<form id=\"continue\" method=\"post\" action=\"/authorize/continue\"",
            "<input type=\"hidden\" name=\"request\" value=\"h4ndle\">",
            "<input type=\"hidden\" name=\"code\">",
            "href=\"com.example.app:/cb?error=access_denied&#38;state=a%22b\">Back to 示例商店</a>",
            "href=\"/login.css\"",
            "src=\"/login.js\"",
            "src=\"/authorize.js\"",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        // Without a wish the script chooses, and until then it is Chinese.
        let page = ForRequest { language: None, ..REQUEST }.html();
        for part in ["<html lang=\"zh-CN\">", "<title>登录 示例商店</title>", ">返回 示例商店</a>"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("data-lang"), "{page}");
    }

    #[test]
    fn whatever_a_site_wrote_is_text() {
        let (site, cancel) = (MARKUP, MARKUP);
        let page = ForRequest { site, cancel, gateway: MARKUP, request: MARKUP, ..REQUEST }.html();
        assert!(!page.contains(MARKUP) && page.matches(AS_TEXT).count() == 8, "{page}");
        assert_eq!(page.matches("<script").count(), 2, "{page}");
    }

    #[test]
    fn wechats_pictures_are_where_they_always_are_or_elsewhere() {
        let policy = REQUEST.policy();
        assert!(policy.contains("img-src 'self' data: https://mp.weixin.qq.com;"), "{policy}");
        assert!(policy.contains("connect-src https://login.example.cn wss://login.example.cn;"), "{policy}");
        let pictures = ["http://127.0.0.1:8090/cgi-bin/showqrcode".to_owned()];
        let policy = ForRequest { pictures: &pictures, ..REQUEST }.policy();
        assert!(policy.contains("img-src 'self' data: http://127.0.0.1:8090;"), "{policy}");
    }

    #[test]
    fn nothing_in_the_page_needs_more_than_the_policy_allows() {
        for page in [ForGateway { title: "", logo: None }.html(), REQUEST.html()] {
            assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"));
            assert!(page.split("<script").skip(1).all(|script| script.starts_with(" src=")), "{page}");
        }
        for script in [SCRIPT, REQUEST_SCRIPT, WIDGET] {
            assert!(!script.contains("innerHTML") && !script.contains("eval("));
        }
    }
}
