//! A push as it came, to be passed on byte for byte.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};

/// Whoever passes a push on says so, and does not pass on what has it: two relays would send it round and round.
pub(crate) const HOPS: HeaderName = HeaderName::from_static("saoma-relayed");

/// Where the push came from, as proxies say it. Some back ends take pushes from WeChat's addresses only.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A believed push, as WeChat sent it.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    /// With the signatures.
    query: String,
    content_type: Option<HeaderValue>,
    from: IpAddr,
    /// As it came: encrypted in safe mode.
    body: Bytes,
}

impl Original {
    /// Keeps what a target needs to check the push by itself.
    #[must_use]
    pub(crate) fn new(query: &str, headers: &HeaderMap, from: IpAddr, body: Vec<u8>) -> Self {
        let content_type = headers.get(CONTENT_TYPE).cloned();
        Self { query: query.to_owned(), content_type, from, body: body.into() }
    }

    /// The address of the request: the target's own query, if it has one, and WeChat's behind it.
    pub(super) fn at(&self, url: &Url) -> Url {
        let mut at = url.clone();
        match url.query().filter(|own| !own.is_empty()) {
            Some(own) => at.set_query(Some(&format!("{own}&{}", self.query))),
            None => at.set_query(Some(&self.query)),
        }
        at
    }

    /// Fills a request.
    pub(super) fn fill(&self, request: RequestBuilder) -> RequestBuilder {
        let content_type = self.content_type.clone().unwrap_or(HeaderValue::from_static("text/xml"));
        request
            .header(CONTENT_TYPE, content_type)
            .header(FORWARDED_FOR, self.from.to_string())
            .header(HOPS, "1")
            .body(self.body.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn wechats_query_stands_unchanged_behind_the_targets_own() {
        let query = "signature=ab&timestamp=1&nonce=%2B2+&openid=o-_1&encrypt_type=aes&msg_signature=cd&x=";
        let original = Original::new(query, &HeaderMap::new(), IpAddr::from([192, 0, 2, 1]), Vec::new());
        for (url, expected) in [
            ("http://old/wx", format!("http://old/wx?{query}")),
            ("http://old/wx?", format!("http://old/wx?{query}")),
            ("http://old/wx?app=%E5%BA%97", format!("http://old/wx?app=%E5%BA%97&{query}")),
        ] {
            assert_eq!(original.at(&url.parse().unwrap()).as_str(), expected);
        }
    }
}
