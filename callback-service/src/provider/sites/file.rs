//! The file of sites, `CALLBACK_SITES`: TOML with one `[[site]]` for each. What is wrong is told in one line that names
//! the site and the key, and never shows a secret.

use std::path::Path;

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use serde::Deserialize;
use toml::Value;
use url::Url;

use super::{Site, Subject, Webhook, is_loopback};
use crate::account::names::Directory;

/// Sites in one file.
const MOST_SITES: usize = 1000;

/// Bytes of the file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Characters of an id, and of a name for people.
const MAX_NAME: usize = 64;

/// Addresses of one kind for one site.
const MOST_ADDRESSES: usize = 64;

/// Bytes of an address.
const MAX_ADDRESS: usize = 1024;

/// Bytes of a webhook's key, at least.
const MIN_KEY: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    site: Vec<Entry>,
}

/// A site as it is written. What may hold a secret is read by hand: the parser's own errors show values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    name: String,
    secret_sha256: Option<Value>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    #[serde(default)]
    origins: Vec<String>,
    confirm: Option<bool>,
    subject: Option<String>,
    account: Option<String>,
    email_domain: Option<String>,
    email_verified: Option<bool>,
    #[serde(default)]
    id_token_claims: bool,
    backchannel_logout_uri: Option<String>,
    webhook_url: Option<String>,
    webhook_key: Option<Value>,
}

/// Reads the file. Sites may name these official accounts.
///
/// # Errors
/// What is wrong, in one line.
pub(in crate::provider) fn read(path: &Path, officials: &Directory) -> Result<Vec<Site>, String> {
    let told = |problem: String| format!("{}: {problem}", path.to_string_lossy().escape_debug());
    let text = server::file::read_text(path, MAX_FILE).map_err(|error| told(error.to_string()))?;
    let sites = parse(&text).map_err(told)?;
    match sites.iter().find(|site| officials.get(site.account.as_deref()).is_none()) {
        None => Ok(sites),
        Some(site) => {
            let account = site.account.as_deref().unwrap_or_default();
            Err(told(format!(
                "site {:?}: account: there is no account {account:?} in WECHAT_ACCOUNTS",
                site.id
            )))
        }
    }
}

/// Reads the sites.
///
/// # Errors
/// What is wrong, in one line.
pub(in crate::provider) fn parse(text: &str) -> Result<Vec<Site>, String> {
    let File { site: entries } = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let written = text.lines().nth(line - 1).unwrap_or_default().trim();
        if written == "[site]" {
            return format!("line {line}: write [[site]], because there may be several");
        }
        // The key says more than the kind of its value.
        let key = written.split_once('=').map(|(key, _)| format!(" ({})", key.trim())).unwrap_or_default();
        format!("line {line}{key}: {}", error.message().lines().next().unwrap_or_default())
    })?;
    if entries.is_empty() {
        return Err("it has no [[site]]; callback-service new-site NAME prints one".to_owned());
    }
    if entries.len() > MOST_SITES {
        return Err(format!("it has {} sites; at most {MOST_SITES} are taken", entries.len()));
    }
    let mut sites: Vec<Site> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let named = format!("site {} ({:?})", index + 1, entry.id);
        let site = site(entry).map_err(|problem| format!("{named}: {problem}"))?;
        if sites.iter().any(|other| other.id == site.id) {
            return Err(format!("{named}: id: there is another site of this id"));
        }
        sites.push(site);
    }
    Ok(sites)
}

fn site(entry: Entry) -> Result<Site, String> {
    let Entry { id, name, secret_sha256, public, redirect_uris, post_logout_redirect_uris, origins, .. } =
        entry;
    let is_unreserved = |letter: char| letter.is_ascii_alphanumeric() || "._~-".contains(letter);
    if !(1..=MAX_NAME).contains(&id.len()) || !id.chars().all(is_unreserved) {
        return Err(format!("id: up to {MAX_NAME} of the letters A-Z a-z 0-9 . _ ~ -"));
    }
    if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(format!("name: what people call the site, up to {MAX_NAME} characters"));
    }
    let secrets = secrets(secret_sha256)?;
    match (public, secrets.is_empty()) {
        (true, false) => {
            return Err("public: a public site has no secret; take secret_sha256 away or public".to_owned());
        }
        (false, true) => {
            return Err(
                "secret_sha256: is missing; write the SHA-256 of the site's secret, or public = true for an app or a \
                 page that can keep none"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if redirect_uris.is_empty() && origins.is_empty() {
        return Err(
            "redirect_uris: is missing, and there are no origins either; logins could go nowhere".to_owned()
        );
    }
    let subject = match entry.subject.as_deref() {
        None | Some("openid") => Subject::Openid,
        Some("unionid") => Subject::Unionid,
        Some(_) => return Err("subject: write \"openid\" or \"unionid\"".to_owned()),
    };
    if entry.email_verified.is_some() && entry.email_domain.is_none() {
        return Err("email_verified: means nothing without email_domain".to_owned());
    }
    Ok(Site {
        id,
        name,
        secrets,
        redirect_uris: all("redirect_uris", redirect_uris, redirect_uri)?,
        post_logout_redirect_uris: all("post_logout_redirect_uris", post_logout_redirect_uris, redirect_uri)?,
        origins: all("origins", origins, origin)?,
        // A scan is not consent: whoever gets somebody to scan a forwarded code would be logged in as that person.
        confirm: entry.confirm.unwrap_or(true),
        subject,
        account: entry.account,
        email_domain: entry.email_domain.map(email_domain).transpose()?,
        email_verified: entry.email_verified,
        id_token_claims: entry.id_token_claims,
        backchannel_logout_uri: entry
            .backchannel_logout_uri
            .map(|uri| {
                back_end(&uri).map(|()| uri).map_err(|problem| format!("backchannel_logout_uri: {problem}"))
            })
            .transpose()?,
        webhook: webhook(entry.webhook_url, entry.webhook_key)?,
    })
}

fn secrets(value: Option<Value>) -> Result<Vec<[u8; 32]>, String> {
    let form = || {
        "secret_sha256: write 64 lower-case hex digits, or a list of two while one secret takes the other's place; \
         printf %s \"$SECRET\" | sha256sum prints them"
            .to_owned()
    };
    let values = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(values)) if (1..=2).contains(&values.len()) => values,
        Some(one @ Value::String(_)) => vec![one],
        Some(_) => return Err(form()),
    };
    let hash = |value: &Value| HEXLOWER.decode(value.as_str()?.as_bytes()).ok()?.try_into().ok();
    let hashes: Option<Vec<[u8; 32]>> = values.iter().map(hash).collect();
    match hashes.ok_or_else(form)? {
        hashes if hashes.len() == 2 && hashes[0] == hashes[1] => {
            Err("secret_sha256: both are the same".to_owned())
        }
        hashes => Ok(hashes),
    }
}

fn all(
    key: &str,
    addresses: Vec<String>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    if addresses.len() > MOST_ADDRESSES {
        return Err(format!("{key}: at most {MOST_ADDRESSES}"));
    }
    for address in &addresses {
        let shown: String = address.chars().take(100).collect();
        check(address).map_err(|problem| format!("{key}: {shown:?} {problem}"))?;
    }
    Ok(addresses)
}

/// An address to which browsers are sent. It is compared as text, so it has to be written as browsers write it.
fn redirect_uri(text: &str) -> Result<(), String> {
    if text.contains('*') {
        return Err("has a *, which stands for nothing here; write each address out".to_owned());
    }
    let url = address(text)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("is http, which is for this machine's own addresses only; write https".to_owned());
        }
        // Schemes of apps (RFC 8252, section 7.1); others such as javascript: or data: are none.
        scheme if scheme.contains('.') => return Ok(()),
        _ => {
            return Err(
                "has a scheme that is neither https nor an app's own, such as com.example.app:".to_owned()
            );
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name in it".to_owned());
    }
    Ok(())
}

fn address(text: &str) -> Result<Url, String> {
    if text.len() > MAX_ADDRESS {
        return Err(format!("is longer than {MAX_ADDRESS} bytes"));
    }
    if text.contains('#') {
        return Err("has a fragment (#…), which no answer can go to".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "has spaces or characters beyond ASCII; write them as browsers do (%20, xn--…)".to_owned()
        );
    }
    let url = Url::parse(text).map_err(|error| format!("is no address: {error}"))?;
    match url.as_str() == text {
        true => Ok(url),
        false => Err(format!("would be sent as {:?}; write it so", url.as_str())),
    }
}

/// The origin of a page.
fn origin(text: &str) -> Result<(), String> {
    let form =
        || "is no origin; write for example \"https://shop.example.cn\", without a path or slash".to_owned();
    let url = Url::parse(text).map_err(|_| form())?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("is http, which is for this machine's own addresses only; write https".to_owned());
        }
        _ => return Err(form()),
    }
    match url.origin().ascii_serialization() == text {
        true => Ok(()),
        false => Err(form()),
    }
}

/// An address that this service calls: also by plain http, because a back end may be next door.
fn back_end(text: &str) -> Result<(), String> {
    // Such an address may hold a secret.
    let url = address(text).map_err(|_| {
        "is no address as it would be sent: no spaces, no fragment, host in small letters, / behind it"
            .to_owned()
    })?;
    match (url.scheme(), url.has_host()) {
        ("https" | "http", true) => Ok(()),
        _ => Err("write an https address".to_owned()),
    }
}

fn email_domain(text: String) -> Result<String, String> {
    let is_good =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
    let labels =
        text.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    match text.contains('.') && labels && text.len() <= 200 && text.chars().all(is_good) {
        true => Ok(text),
        false => Err("email_domain: a lower-case domain that you own, such as \"wx.example.cn\"".to_owned()),
    }
}

fn webhook(url: Option<String>, key: Option<Value>) -> Result<Option<Webhook>, String> {
    let (url, key) = match (url, key) {
        (None, None) => return Ok(None),
        (Some(url), Some(key)) => (url, key),
        (Some(_), None) => return Err("webhook_key: is missing, and webhook_url is there".to_owned()),
        (None, Some(_)) => return Err("webhook_url: is missing, and webhook_key is there".to_owned()),
    };
    back_end(&url).map_err(|problem| format!("webhook_url: {problem}"))?;
    match key {
        Value::String(key) if key.len() >= MIN_KEY => Ok(Some(Webhook { url, key: SecretString::from(key) })),
        _ => Err(format!("webhook_key: write a text of at least {MIN_KEY} bytes")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::account::names::Names;

    const HASH: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

    fn entry(more: &str) -> String {
        format!(
            "[[site]]\nid = \"shop\"\nname = \"示例商店\"\nsecret_sha256 = \"{HASH}\"\n\
             redirect_uris = [\"https://shop.example/cb\"]\n{more}\n"
        )
    }

    #[test]
    fn every_key_is_read() {
        let text = entry(
            "post_logout_redirect_uris = [\"https://shop.example/bye\"]\norigins = [\"https://shop.example\"]\n\
             confirm = false\nsubject = \"unionid\"\naccount = \"agency\"\nemail_domain = \"wx.shop.example\"\nemail_verified = false\n\
             id_token_claims = true\nbackchannel_logout_uri = \"http://shop.internal:8000/logout\"\n\
             webhook_url = \"https://shop.example/hook\"\nwebhook_key = \"0123456789abcdef0123456789abcdef\"",
        );
        let sites = parse(&text).unwrap();
        let site = &sites[0];
        assert_eq!((site.id.as_str(), site.name.as_str(), site.secrets.len()), ("shop", "示例商店", 1));
        assert_eq!((site.subject, site.account.as_deref()), (Subject::Unionid, Some("agency")));
        assert_eq!(
            (site.email_domain.as_deref(), site.email_verified),
            (Some("wx.shop.example"), Some(false))
        );
        assert!(site.id_token_claims && site.webhook.is_some() && site.backchannel_logout_uri.is_some());
        assert_eq!((site.origins.len(), site.post_logout_redirect_uris.len()), (1, 1));
    }

    #[test]
    fn apps_have_schemes_of_their_own() {
        let text = entry("").replace("https://shop.example/cb", "com.example.app:/cb");
        assert!(parse(&text).is_ok());
        let text = entry("").replace("https://shop.example/cb", "http://localhost:3000/cb?a=b");
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn a_fault_is_told_in_one_line_that_names_it_and_shows_no_secret() {
        let with_uri = |uri: &str| entry("").replace("https://shop.example/cb", uri);
        for (text, say) in [
            (String::new(), "no [[site]]"),
            ("site = 1".to_owned(), "line 1 (site): "),
            ("[[sites]]\nid = \"x\"".to_owned(), "unknown field `sites`"),
            (entry("redirect_uri = \"x\""), "line 6 (redirect_uri): unknown field `redirect_uri`"),
            (entry("").replace("id = \"shop\"\n", ""), "missing field `id`"),
            (entry("").replace("\"shop\"", "\"sh op\""), "site 1 (\"sh op\"): id: "),
            (entry("").replace("示例商店", ""), "name: "),
            (entry("").replace(HASH, &HASH.to_uppercase()), "secret_sha256: write"),
            (entry("").replace(HASH, "s3cret"), "secret_sha256: write"),
            (
                entry("").replace(&format!("\"{HASH}\""), &format!("[\"{HASH}\", \"{HASH}\"]")),
                "both are the same",
            ),
            (entry("").replace(&format!("secret_sha256 = \"{HASH}\"\n"), ""), "secret_sha256: is missing"),
            (entry("public = true"), "public: a public site has no secret"),
            (entry("confirm = 1"), "confirm"),
            (entry("").replace("[\"https://shop.example/cb\"]", "[]"), "redirect_uris: is missing"),
            (with_uri("http://shop.example/cb"), "write https"),
            (with_uri("https://shop.example/cb#x"), "fragment"),
            (with_uri("https://shop.example"), "write it so"),
            (with_uri("https://SHOP.example/cb"), "write it so"),
            (with_uri("https://u:p@shop.example/cb"), "user name"),
            (with_uri("javascript:alert(1)"), "scheme"),
            (with_uri("https://*.shop.example/cb"), "write each address out"),
            (
                entry("").replace("[\"https://shop.example/cb\"]", "\"https://shop.example/cb\""),
                "line 5 (redirect_uris): ",
            ),
            (entry("").replace("[[site]]", "[site]"), "write [[site]]"),
            (with_uri("/cb"), "no address"),
            (with_uri("https://shop.example/扫码"), "beyond ASCII"),
            (entry("origins = [\"https://shop.example/\"]"), "origins: "),
            (entry("origins = [\"null\"]"), "origins: "),
            (entry("origins = [\"http://shop.example\"]"), "write https"),
            (entry("subject = \"openId\""), "subject: "),
            (entry("email_domain = \"Example\""), "email_domain: "),
            (entry("email_verified = true"), "email_verified: means nothing"),
            (entry("backchannel_logout_uri = \"ftp://x/\""), "backchannel_logout_uri: "),
            (entry("webhook_url = \"https://shop.example/\""), "webhook_key: is missing"),
            (
                entry("webhook_url = \"https://shop.example/\"\nwebhook_key = \"s3cret\""),
                "webhook_key: write",
            ),
            (entry("webhook_url = \"https://shop.example/\"\nwebhook_key = 53237"), "webhook_key: write"),
            (entry("") + &entry(""), "site 2 (\"shop\"): id: there is another"),
        ] {
            let problem = parse(&text).unwrap_err();
            assert!(problem.contains(say), "{text}\n{problem}");
            assert!(
                !problem.contains('\n') && !problem.contains("s3cret") && !problem.contains("53237"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_site_of_an_account_that_is_not_there_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), entry("account = \"agency\"")).unwrap();
        let of = |account| {
            let names = [Names::new(Some(account), "wx2")];
            read(file.path(), &Directory::new(Names::new(None, "wx1"), names)).map(|sites| sites.len())
        };
        assert_eq!(of("agency"), Ok(1));
        let gone = of("Agency").unwrap_err();
        assert!(
            gone.ends_with(": site \"shop\": account: there is no account \"agency\" in WECHAT_ACCOUNTS"),
            "{gone}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let problem = read(Path::new("/nowhere/sites.toml"), &Directory::one("wx1")).unwrap_err();
        assert!(problem.starts_with("/nowhere/sites.toml: "));
    }
}
