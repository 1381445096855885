//! The login page: a few files that are part of the program.

/// The page's script.
pub(crate) const SCRIPT: &str = include_str!("../../page/login.js");

/// The page's style.
pub(crate) const STYLE: &str = include_str!("../../page/login.css");

/// Nothing runs or loads but our own two files; pictures may come from WeChat or the operator's host.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: https: http:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

const TEMPLATE: &str = include_str!("../../page/login.html");

/// The page with the operator's title and logo in it.
#[must_use]
pub(crate) fn render(title: &str, logo: Option<&str>) -> String {
    let logo =
        logo.map_or_else(String::new, |url| format!("<img class=\"logo\" src=\"{}\" alt=\"\">", escape(url)));
    TEMPLATE.replace("{{title}}", &escape(title)).replace("{{logo}}", &logo)
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_logo_are_text() {
        let page = render("<script>\"&'", Some("https://a/\"onerror=x"));
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;"), "{page}");
        assert!(page.contains("src=\"https://a/&quot;onerror=x\""), "{page}");
        assert!(!page.contains("{{"), "{page}");
    }

    #[test]
    fn nothing_in_the_page_needs_more_than_the_policy_allows() {
        assert!(
            !TEMPLATE.contains("<style") && !TEMPLATE.contains(" style=") && !TEMPLATE.contains(" onclick")
        );
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    }
}
