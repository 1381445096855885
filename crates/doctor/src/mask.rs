//! Makes a text fit to be shown to strangers: hosts, addresses, ids and what an operator has set are replaced by names that
//! say what stood there. The same always gets the same name, so that a reader can still follow.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Endings of hosts that everybody has: WeChat's own, and those of examples in our words.
const PUBLIC: [&str; 4] = ["weixin.qq.com", "wechat.com", "localhost", "example.cn"];

/// What ends a file's name, not a host's.
const FILES: [&str; 15] = [
    "conf", "md", "db", "toml", "pem", "crt", "key", "txt", "json", "png", "svg", "js", "css", "sock", "mmdb",
];

/// Letters of the shortest text that is replaced because an operator has set it. A shorter one is a word of any sentence.
const SHORTEST: usize = 4;

/// Replaces what is private.
#[derive(Debug)]
pub struct Mask {
    /// What an operator has set, longest first.
    private: Vec<String>,
    names: HashMap<String, String>,
    counts: HashMap<&'static str, u32>,
}

impl Mask {
    /// A mask that also replaces `private` texts, wherever they stand.
    #[must_use]
    pub fn new(private: impl IntoIterator<Item = String>) -> Self {
        let mut private: Vec<String> = private.into_iter().filter(|text| text.len() >= SHORTEST).collect();
        private.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        private.dedup();
        Self { private, names: HashMap::new(), counts: HashMap::new() }
    }

    /// The text with everything private replaced.
    pub fn mask(&mut self, text: &str) -> String {
        let mut masked = text.to_owned();
        for private in self.private.clone() {
            if masked.contains(&private) {
                let name = self.name("value", &private);
                masked = masked.replace(&private, &name);
            }
        }
        let mut shown = String::with_capacity(masked.len());
        let mut rest = masked.as_str();
        while let Some(begin) = rest.find(is_of_token) {
            shown.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
            let whole = &rest[..end];
            let token = whole.trim_end_matches(['.', ':', '-']);
            match self.replacement(token) {
                Some(name) => shown.push_str(&name),
                None => shown.push_str(token),
            }
            shown.push_str(&whole[token.len()..]);
            rest = &rest[end..];
        }
        shown.push_str(rest);
        shown
    }

    /// What stands in place of a token, if it is private by its form.
    fn replacement(&mut self, token: &str) -> Option<String> {
        if let Ok(address) = token.parse::<SocketAddr>() {
            let name = self.address(address.ip())?;
            return Some(format!("{name}:{}", address.port()));
        }
        if let Ok(address) = token.parse::<IpAddr>() {
            return self.address(address);
        }
        let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = token.strip_prefix("wx").filter(|rest| rest.len() == 16 && is_hex(rest));
        if id.or(token.strip_prefix("gh_")).is_some() {
            return Some(self.name("account", token));
        }
        if token.len() == 28 && token.starts_with('o') && token.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            return Some(self.name("openid", token));
        }
        let (host, port) = token.split_once(':').map_or((token, None), |(host, port)| (host, Some(port)));
        if !is_host(host) {
            return None;
        }
        let name = self.name("host", host);
        Some(port.map_or(name.clone(), |port| format!("{name}:{port}")))
    }

    /// Loopback and "everywhere" are everybody's.
    fn address(&mut self, address: IpAddr) -> Option<String> {
        let is_public = address.is_loopback() || address.is_unspecified();
        (!is_public).then(|| self.name("address", &address.to_string()))
    }

    fn name(&mut self, kind: &'static str, text: &str) -> String {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("<{kind} {count}>");
        self.names.insert(text.to_owned(), name.clone());
        name
    }
}

/// What hosts, addresses and ids consist of.
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_')
}

/// Whether it is the name of a host that not everybody has.
fn is_host(text: &str) -> bool {
    let mut labels = text.split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.contains('.')
        && labels.all(is_label)
        && last.len() >= 2
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !FILES.contains(&last)
        && !PUBLIC.iter().any(|public| {
            text.strip_suffix(public).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_by_its_form_or_was_set_is_replaced() {
        let mut mask =
            Mask::new(["gateway:9999", "/home/li/saoma", "me", "gateway:9999/x"].map(str::to_owned));
        for (text, masked) in [
            (
                "allow 203.0.113.9 (203.0.113.9:443), not 198.51.100.7.",
                "allow <address 1> (<address 1>:443), not <address 2>.",
            ),
            ("https://login.teahouse.example:8443/wechat?x=1", "https://<host 1>:8443/wechat?x=1"),
            ("login.teahouse.example. and api.weixin.qq.com", "<host 1>. and api.weixin.qq.com"),
            ("2001:db8::7 and ::1, 127.0.0.1:9999", "<address 3> and ::1, 127.0.0.1:9999"),
            ("[2001:db8::7]:80", "[<address 3>]:80"),
            ("gateway:9999 cannot be reached from me", "<value 1> cannot be reached from me"),
            ("/home/li/saoma/callback.db", "<value 2>/callback.db"),
            ("wx0123456789abcdef is gh_0123456789ab", "<account 1> is <account 2>"),
            ("oAbCdEfGhIjKlMnOpQrStUvWxYz0 scanned", "<openid 1> scanned"),
            (
                "see docs/doctor.md; version 0.1.0, 12.5 s, rid: 6a-7b",
                "see docs/doctor.md; version 0.1.0, 12.5 s, rid: 6a-7b",
            ),
            ("请放行 203.0.113.9。", "请放行 <address 1>。"),
        ] {
            assert_eq!(mask.mask(text), masked);
        }
    }
}
