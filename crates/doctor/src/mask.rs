//! Makes a text fit to be shown to strangers: hosts, addresses, ids and what an operator has set are replaced by names that
//! say what stood there. The same always gets the same name, so that a reader can still follow.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::names;

/// Endings of hosts that everybody has: WeChat's own, and those of examples in our words.
const PUBLIC: [&str; 4] = ["weixin.qq.com", "wechat.com", "localhost", "example.cn"];

/// What ends a file's name, not a host's.
const FILES: [&str; 15] = [
    "conf", "md", "db", "toml", "pem", "crt", "key", "txt", "json", "png", "svg", "js", "css", "sock", "mmdb",
];

/// Letters of the shortest text that is replaced because an operator has set it. A shorter one is a word of any sentence.
const SHORTEST: usize = 4;

/// Words in quotation marks that are of our own messages.
const OURS: [&str; 2] = ["quotes", "callback"];

/// Folders that everybody has, of our own messages.
const FOLDERS: [&str; 2] = ["docs/", "deploy/"];

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

    /// As [`Mask::mask`], for what is wrong about a setting: it repeats what an operator has written, in quotation marks, and
    /// names files.
    pub fn mask_problem(&mut self, text: &str) -> String {
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let follows_a_word = shown.ends_with(char::is_alphanumeric);
            if is_mark(first)
                && !follows_a_word
                && let Some(end) = closing(rest, first)
            {
                let quoted = &rest[1..end];
                let name = if is_ours(quoted) { quoted.to_owned() } else { self.name("value", quoted) };
                shown.extend([&rest[..1], &name, &rest[end..=end]]);
                rest = &rest[end + 1..];
                continue;
            }
            let end = rest.find(|c: char| c.is_whitespace() || is_mark(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end.max(first.len_utf8()));
            let path = word.trim_start_matches(['(', '[']).trim_end_matches([':', ';', ',', '.', ')', ']']);
            match path.contains('/') && !is_known_path(path) {
                true => shown.push_str(&word.replace(path, &self.name("value", path))),
                false => shown.push_str(word),
            }
            rest = after;
        }
        self.mask(&shown)
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

fn is_mark(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// Where the quotation ends that begins a text. A mark behind a backslash, or before a letter, is none.
fn closing(text: &str, mark: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == mark && !text[at + 1..].starts_with(char::is_alphanumeric) => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether a quoted text is a setting's name, its flag, a small number, or a word of ours.
fn is_ours(quoted: &str) -> bool {
    let flag = quoted.strip_prefix("--").and_then(|flag| flag.split([' ', '=']).next());
    let is_flag = flag.is_some_and(|flag| names::is_setting(&flag.replace('-', "_").to_ascii_uppercase()));
    let has_value = quoted.contains('=');
    let is_number = quoted.len() <= 6 && quoted.bytes().all(|byte| byte.is_ascii_digit());
    (is_flag && !has_value) || names::is_setting(quoted) || is_number || OURS.contains(&quoted)
}

/// Whether a path, or an address, is one of our own messages.
fn is_known_path(path: &str) -> bool {
    let host = path.split_once("://").map(|(_, rest)| rest.split(['/', ':']).next().unwrap_or_default());
    FOLDERS.iter().any(|folder| path.starts_with(folder)) || host.is_some_and(is_public)
}

/// What hosts, addresses and ids consist of.
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_')
}

/// Whether it is the name of a host that not everybody has.
fn is_host(text: &str) -> bool {
    let mut labels = text.split('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    // Names in other letters than ASCII are written with xn--, also the last label.
    let is_top = last.bytes().all(|byte| byte.is_ascii_alphabetic()) || last.starts_with("xn--");
    text.contains('.')
        && labels.all(is_label)
        && last.len() >= 2
        && is_top
        && !FILES.contains(&last)
        && !is_public(text)
}

/// Whether it is a host that everybody has.
fn is_public(host: &str) -> bool {
    let is_of =
        |public: &str| host.strip_suffix(public).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    PUBLIC.iter().any(|public| is_of(public))
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
            (
                "https://id.xn--fiqs8s/wechat, https://xn--fiqs8s.xn--fiqs8s",
                "https://<host 2>/wechat, https://<host 3>",
            ),
            ("my_gateway.internal:9999", "<host 4>:9999"),
            ("请放行 203.0.113.9。", "请放行 <address 1>。"),
        ] {
            assert_eq!(mask.mask(text), masked);
        }
    }

    #[test]
    fn what_is_wrong_about_a_setting_is_shown_without_what_the_operator_has_written() {
        let mut mask = Mask::new([]);
        for (text, masked) in [
            (
                "CALLBACK_SITES: /etc/li/sites.toml: site 1 (\"teahouse\"): redirect_uris: \"https://a\\\"b\" is no address",
                "CALLBACK_SITES: <value 1>: site 1 (\"<value 2>\"): redirect_uris: \"<value 3>\" is no address",
            ),
            (
                "WECHAT_TOKEN_FILE: secrets/li/token: No such file; see docs/settings.md.",
                "WECHAT_TOKEN_FILE: <value 4>: No such file; see docs/settings.md.",
            ),
            (
                "CALLBACK_LISTEN: invalid value 'teahouse' for '--callback-listen <CALLBACK_LISTEN>': it's no address",
                "CALLBACK_LISTEN: invalid value '<value 2>' for '--callback-listen <CALLBACK_LISTEN>': it's no address",
            ),
            ("invalid value '8' for '--wechat-tokn=li'", "invalid value '8' for '<value 5>'"),
            (
                "unknown field `li's`, texts stand in \"quotes\"; both services' NOTIFY_KEY",
                "unknown field `<value 6>`, texts stand in \"quotes\"; both services' NOTIFY_KEY",
            ),
            (
                "write for example https://id.example.cn, not https://id.li.example/x",
                "write for example https://id.example.cn, not <value 7>",
            ),
            ("an open \"quotation /home/li", "an open \"quotation <value 8>"),
            ("以“安全模式”接入：'商店'", "以“安全模式”接入：'<value 9>'"),
        ] {
            assert_eq!(mask.mask_problem(text), masked);
        }
    }
}
