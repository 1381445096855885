//! The [widget](login_page::WIDGET) for pages of sites: how it is served, and the lines that such a page needs.
//!
//! Browsers keep `/widget.v1.js` for a day. With its version behind it (`?v=`) they keep it for ever, because another
//! module has another version. A version that is not this gateway's, as it is asked for while gateways are being
//! upgraded, is not kept at all: under that name a browser would hold the wrong module.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use http::{StatusCode, Uri};
use login_page::{SCRIPT, WAYS, WIDGET, WIDGET_TYPES};
use server::http::{self as web, Response};

/// Digits of the hash that are a module's version: 64 bits tell any two of ours apart.
const VERSION: usize = 16;

const A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Where WeChat's own pictures are. The module shows one where it cannot show ours.
const WECHATS_PICTURES: &str = "https://mp.weixin.qq.com";

/// A file for pages of every origin: it is the same for everybody, and holds no secret.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    text: Bytes,
    content_type: &'static str,
    version: String,
    etag: HeaderValue,
}

impl OpenFile {
    /// The module.
    #[must_use]
    pub(crate) fn widget() -> Self {
        Self::new(module().into(), "text/javascript; charset=utf-8")
    }

    /// The second module, which the first one loads where a login has more than a QR code.
    #[must_use]
    pub(crate) fn ways() -> Self {
        Self::new(Bytes::from_static(WAYS.as_bytes()), "text/javascript; charset=utf-8")
    }

    /// What TypeScript knows of it.
    #[must_use]
    pub(crate) fn types() -> Self {
        Self::new(Bytes::from_static(WIDGET_TYPES.as_bytes()), "text/plain; charset=utf-8")
    }

    fn new(text: Bytes, content_type: &'static str) -> Self {
        let version = version(&text);
        // Hexadecimal digits may stand in a header.
        let etag =
            HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { text, content_type, version, etag }
    }

    /// The response to a request with this query and these headers.
    pub(crate) fn response(&self, query: Option<&str>, headers: &HeaderMap) -> Response {
        let mut response = match self.is_known(headers) {
            true => web::answer(StatusCode::NOT_MODIFIED, self.content_type, Bytes::new()),
            false => web::answer(StatusCode::OK, self.content_type, self.text.clone()),
        };
        let asked =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(name, _)| name == "v");
        let kept = match asked {
            None => A_DAY,
            Some((_, version)) if version == self.version => FOR_EVER,
            Some(_) => ASK_AGAIN,
        };
        let set = [
            (CACHE_CONTROL, kept),
            (ETAG, self.etag.clone()),
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
        ];
        for (name, value) in set {
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// Whether the browser has this very file. A proxy that compresses answers makes a weak tag of ours (RFC 9110, section
    /// 13.1.2, compares them weakly).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        let mut tags = tags.flat_map(|tags| tags.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes())
    }
}

fn version(text: impl AsRef<[u8]>) -> String {
    let hash = digest(&SHA384, text.as_ref());
    data_encoding::HEXLOWER.encode(hash.as_ref()).chars().take(VERSION).collect()
}

/// The module as it is served: it asks for the second one of this version.
fn module() -> String {
    WIDGET.replace("'./ways.v1.js'", &format!("'./ways.v1.js?v={}'", version(WAYS)))
}

/// The login page's own script, which asks for the module of this version: after an upgrade a browser may still keep
/// yesterday's under the plain name.
pub(crate) fn page_script() -> Bytes {
    let module = format!("'./widget.v1.js?v={}'", version(module()));
    Bytes::from(SCRIPT.replace("'./widget.v1.js'", &module))
}

/// The gateway as browsers see it, such as `https://login.example.com`.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl {
    origin: String,
    /// Empty, or a path without a slash at its end.
    path: String,
}

impl PublicUrl {
    /// The origin of its pages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_of_this_host(&self) -> bool {
        self.origin.starts_with("http://")
    }

    /// The address of something there, such as `/ws`.
    pub(crate) fn at(&self, place: &str) -> String {
        format!("{}{}{place}", self.origin, self.path)
    }
}

impl std::str::FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "is no address of a gateway; write for example https://login.example.com";
        // It goes into an attribute and a policy as it is.
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&letter);
        if !text.bytes().all(is_plain) {
            return Err(wrong.to_owned());
        }
        let url: Uri = text.parse().map_err(|_| wrong)?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong.to_owned());
        };
        let host = authority.host();
        let is_own = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        match scheme {
            "https" => {}
            "http" if is_own => {}
            "http" => {
                return Err("must begin with https://: browsers log nobody in on a page without it, but for addresses of \
                            this machine"
                    .to_owned());
            }
            _ => return Err(wrong.to_owned()),
        }
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { origin: format!("{scheme}://{authority}"), path })
    }
}

/// The lines that a page of a site needs, where the gateway is at this address.
pub(crate) fn lines(at: &PublicUrl) -> String {
    let PublicUrl { origin, path } = at;
    let module = module();
    let hash = |text: &str| STANDARD.encode(digest(&SHA384, text.as_bytes()));
    let (of_widget, of_ways) = (hash(&module), hash(WAYS));
    let address = format!("{origin}{path}/widget.v1.js?v={}", version(&module));
    let ways = format!("{origin}{path}/ways.v1.js?v={}", version(WAYS));
    let map = format!("{{\"integrity\":{{\"{ways}\":\"sha384-{of_ways}\"}}}}");
    let of_map = STANDARD.encode(digest(&SHA256, map.as_bytes()));
    let sockets = origin.replacen("http", "ws", 1);
    let mut lines = String::new();
    let _ = write!(
        lines,
        "In the page:\n\n\
         <script type=\"module\" src=\"{address}\"\n        integrity=\"sha384-{of_widget}\" crossorigin=\"anonymous\"></script>\n\n\
         A script of your own, behind that line, imports the same address:\n\n\
         import {{ mount }} from '{address}';\n\n\
         In the page's Content-Security-Policy, beside what it has:\n\n\
         script-src {origin}; connect-src {origin} {sockets}; img-src data: {WECHATS_PICTURES}\n\n\
         The hash is of that file. Where a login has more than a QR code, it loads ways.v1.js from the same place, and newer\n\
         browsers check that too if this stands before the first line, and 'sha256-{of_map}'\n\
         in script-src:\n\n\
         <script type=\"importmap\">{map}</script>\n\n\
         These lines are for the widget of ws-gateway {}. Another version may have another widget, and a page with an old\n\
         hash then loads nothing: print them again after an upgrade. To be spared that, leave out integrity and ?v=, or\n\
         serve copies of widget.v1.js and ways.v1.js yourself and say mount(…, {{ gateway: '{origin}{path}/' }}).\n",
        env!("CARGO_PKG_VERSION")
    );
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked(query: Option<&str>, known: &[&str]) -> (u16, String) {
        let mut headers = HeaderMap::new();
        for tag in known {
            headers.append(IF_NONE_MATCH, tag.parse().unwrap());
        }
        let response = OpenFile::widget().response(query, &headers);
        let of = |name: HeaderName| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(of(ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        assert_eq!(of(RESOURCE_POLICY), "cross-origin");
        assert_eq!(of("x-content-type-options".parse().unwrap()), "nosniff");
        assert_eq!(of(ETAG), format!("\"{}\"", version(module())));
        (response.status().as_u16(), of(CACHE_CONTROL))
    }

    #[test]
    fn a_version_is_kept_for_ever_and_a_wrong_one_not_at_all() {
        let own = format!("v={}", version(module()));
        for (query, kept) in [
            (None, "public, max-age=86400"),
            (Some(""), "public, max-age=86400"),
            (Some("x=1"), "public, max-age=86400"),
            (Some(&*own), "public, max-age=31536000, immutable"),
            (Some(&*format!("x=1&{own}")), "public, max-age=31536000, immutable"),
            (Some("v="), "no-cache"),
            (Some("v=0123456789abcdef"), "no-cache"),
            (Some(&*format!("{own}0")), "no-cache"),
            (Some(&*own.to_uppercase().replace("V=", "v=")), "no-cache"),
        ] {
            assert_eq!(asked(query, &[]), (200, kept.to_owned()), "{query:?}");
        }
    }

    #[test]
    fn who_has_it_is_told_so() {
        let etag = format!("\"{}\"", version(module()));
        let weak = format!("W/{etag}");
        for (known, status) in [
            (vec![], 200),
            (vec![&*etag], 304),
            (vec![&*weak], 304),
            (vec!["*"], 304),
            (vec!["\"a\"", &*etag], 304),
            (vec!["\"a\", W/\"b\""], 200),
            (vec![&etag[1..17]], 200),
        ] {
            assert_eq!(asked(None, &known).0, status, "{known:?}");
        }
    }

    #[test]
    fn the_lines_are_for_the_gateways_address() {
        for (url, module, policy) in [
            (
                "https://login.example.com",
                "https://login.example.com/widget.v1.js?v=",
                "script-src https://login.example.com; connect-src https://login.example.com wss://login.example.com; ",
            ),
            (
                "https://example.com:8443/saoma/",
                "https://example.com:8443/saoma/widget.v1.js?v=",
                "script-src https://example.com:8443; connect-src https://example.com:8443 wss://example.com:8443; ",
            ),
            (
                "http://[::1]:1099/",
                "http://[::1]:1099/widget.v1.js?v=",
                "script-src http://[::1]:1099; connect-src http://[::1]:1099 ws://[::1]:1099; ",
            ),
        ] {
            let lines = lines(&url.parse().unwrap());
            let gateway = format!("gateway: '{}'", module.trim_end_matches("widget.v1.js?v="));
            for part in [format!("src=\"{module}"), format!("from '{module}"), policy.to_owned(), gateway] {
                assert!(lines.contains(&part), "{part}: {lines}");
            }
        }
    }

    #[test]
    fn an_address_of_a_gateway_is_one_that_browsers_trust() {
        for (wrong, say) in [
            ("", "write for example"),
            ("login.example.com", "write for example"),
            ("/", "write for example"),
            ("wss://login.example.com", "write for example"),
            ("https://", "write for example"),
            ("https://user@login.example.com", "write for example"),
            ("https://login.example.com/?a", "write for example"),
            ("https://login.example.com/\"><script>", "write for example"),
            ("https://login.example.com; script-src *", "write for example"),
            ("http://login.example.com", "must begin with https://"),
            ("http://127.0.0.1.example.com", "must begin with https://"),
        ] {
            let said = wrong.parse::<PublicUrl>().unwrap_err();
            assert!(said.contains(say), "{wrong}: {said}");
        }
        for good in ["http://localhost:1099", "http://127.0.0.1:1099", "https://login.example.com/"] {
            assert!(good.parse::<PublicUrl>().is_ok(), "{good}");
        }
    }

    #[test]
    fn the_pages_own_script_asks_for_this_module() {
        let script = page_script();
        let script = std::str::from_utf8(&script).unwrap();
        assert!(!script.contains("'./widget.v1.js'"), "{script}");
        let module = module();
        assert!(script.contains(&format!("'./widget.v1.js?v={}'", version(&module))), "{script}");
        assert!(module.contains(&format!("'./ways.v1.js?v={}'", version(WAYS))), "{module}");
    }
}
