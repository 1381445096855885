//! The markup, of which there is one for both services. Whatever a person or a site wrote becomes text in it.

use askama::Template;

use crate::brand::Brand;
use crate::language::Language;
use crate::policy;

/// Where browsers fetch WeChat's pictures.
const WECHATS_PICTURES: &str = "https://mp.weixin.qq.com";

/// The page as the gateway serves it.
#[derive(Debug, Clone, Copy)]
pub struct ForGateway<'a> {
    /// The operator's title.
    pub title: &'a str,
    /// What else the operator put on it.
    pub brand: &'a Brand,
}

impl ForGateway<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        markup(&Page { title: self.title, brand: self.brand, language: Language::default(), request: None })
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
    /// The official account that the login is for, by its name in the settings, where there are several.
    pub account: Option<&'a str>,
    /// The language that somebody wished. Without one the page goes by what its browser says.
    pub language: Option<Language>,
    /// Where the link back to the site leads.
    pub cancel: &'a str,
    /// Where WeChat's pictures are, if it is not where they always are.
    pub pictures: &'a [String],
    /// What the operator put on it.
    pub brand: &'a Brand,
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
        markup(&Page { title: &title, brand: self.brand, language, request: Some(&request) })
    }

    /// What it may run and load, for Content-Security-Policy.
    #[must_use]
    pub fn policy(&self) -> String {
        let mut pictures: Vec<&str> = self.pictures.iter().map(String::as_str).collect();
        if pictures.is_empty() {
            pictures.push(WECHATS_PICTURES);
        }
        pictures.extend(self.brand.logo.as_deref());
        policy::of_request(&pictures, self.gateway)
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    title: &'a str,
    brand: &'a Brand,
    language: Language,
    request: Option<&'a ForRequest<'a>>,
}

fn markup(page: &Page<'_>) -> String {
    page.render().expect("a text takes every other text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brand::{Link, Links};
    use crate::{REQUEST_SCRIPT, SCRIPT, WIDGET};

    const MARKUP: &str = "</title><script>\"&'";
    const AS_TEXT: &str = "&#60;/title&#62;&#60;script&#62;&#34;&#38;&#39;";

    const REQUEST: ForRequest<'_> = ForRequest {
        site: "示例商店",
        gateway: "https://login.example.cn/",
        request: "h4ndle",
        account: None,
        language: Some(Language::English),
        cancel: "com.example.app:/cb?error=access_denied&state=a%22b",
        pictures: &[],
        brand: &Brand::NONE,
    };

    /// A brand with everything, all of it hostile.
    fn brand() -> Brand {
        let link = || Link { text: MARKUP.to_owned(), address: "https://a/\"onclick=x".to_owned() };
        Brand {
            logo: Some("https://logo.example/\"onerror=x".to_owned()),
            accent: None,
            line: Some(MARKUP.to_owned()),
            links: Links(vec![link(), link()]),
            account: Some(MARKUP.to_owned()),
        }
    }

    #[test]
    fn title_and_brand_are_text() {
        let brand = brand();
        for (page, texts) in [
            // The title is there twice, and the account's name in both languages.
            (ForGateway { title: MARKUP, brand: &brand }.html(), 2 + 1 + 2 + 2),
            (ForRequest { brand: &brand, ..REQUEST }.html(), 1 + 2 + 2),
        ] {
            assert_eq!(page.matches(AS_TEXT).count(), texts, "{page}");
            assert!(page.contains("src=\"https://logo.example/&#34;onerror=x\" alt=\"\""), "{page}");
            assert!(page.contains("href=\"https://a/&#34;onclick=x\""), "{page}");
            assert!(page.contains("扫码即关注公众号“"), "{page}");
            assert!(page.contains("By scanning you follow the official account “"), "{page}");
            assert!(!page.contains(MARKUP) && !page.contains("{{"), "{page}");
        }
        let page = ForGateway { title: MARKUP, brand: &brand }.html();
        assert!(!page.contains("data-gateway"), "{page}");
    }

    #[test]
    fn without_a_brand_nothing_of_it_is_there() {
        for page in [ForGateway { title: "", brand: &Brand::NONE }.html(), REQUEST.html()] {
            for part in ["class=\"logo\"", "class=\"line\"", "class=\"account\"", "class=\"links\""] {
                assert!(!page.contains(part), "{page}");
            }
        }
    }

    #[test]
    fn the_policies_name_the_logos_host() {
        let brand = brand();
        let policy = ForRequest { brand: &brand, ..REQUEST }.policy();
        let pictures = "img-src 'self' data: https://mp.weixin.qq.com https://logo.example;";
        assert!(policy.contains(pictures), "{policy}");
    }

    #[test]
    fn a_page_for_a_request_says_whose_it_is_and_where_its_gateway_is() {
        let page = REQUEST.html();
        for part in [
            "<html lang=\"en\">",
            "<title>Log in to 示例商店</title>",
            "<h1 id=\"title\" dir=\"auto\">Log in to 示例商店</h1>",
            "data-gateway=\"https://login.example.cn\"",
            "data-request=\"h4ndle\"",
            "data-site=\"示例商店\"",
            "data-lang=\"en\"",
            "<form id=\"continue\" method=\"post\" action=\"/authorize/continue\"",
            "<input type=\"hidden\" name=\"request\" value=\"h4ndle\">",
            "<input type=\"hidden\" name=\"code\">",
            "href=\"com.example.app:/cb?error=access_denied&#38;state=a%22b\" dir=\"auto\">Back to 示例商店</a>",
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
        assert!(!page.contains("data-lang") && !page.contains("data-account"), "{page}");
        let page = ForRequest { account: Some("agency-7"), ..REQUEST }.html();
        assert!(page.contains(" data-account=\"agency-7\""), "{page}");
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
        for page in [ForGateway { title: "", brand: &Brand::NONE }.html(), REQUEST.html()] {
            assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"));
            for script in page.split("<script").skip(1) {
                let (tag, text) = script.split_once('>').unwrap_or_default();
                assert!(tag.contains(" src=\"") && text.starts_with("</script>"), "{page}");
            }
        }
        for script in [SCRIPT, REQUEST_SCRIPT, WIDGET] {
            assert!(!script.contains("innerHTML") && !script.contains("eval("));
        }
    }
}
