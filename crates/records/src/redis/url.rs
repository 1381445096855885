//! Where Redis is, as an operator writes it: the URL, its passwords, and its Sentinels.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use secrecy::{ExposeSecret, SecretString};

use super::sentinel::Sentinels;

/// The answer to a wrong URL. The URL itself may hold a password and is not repeated.
const FORMS: &str =
    "write redis://host:6379, rediss://host:6379 (TLS), or redis+sentinel://host1:26379,host2:26379/name";

/// The port of a Sentinel that is named without one.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is: `redis://`, `rediss://` (TLS), or `redis+sentinel://host1,host2/name`, with
/// `rediss+sentinel://` where Redis and the Sentinels speak TLS. It prints without its password.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) server: Box<ConnectionInfo>,
    pub(super) sentinels: Option<Arc<Sentinels>>,
}

impl RedisUrl {
    /// Reads a URL. The password stands in it or comes apart from it.
    ///
    /// # Errors
    /// When the text is no such URL. The error does not repeat it, because it may hold a password.
    pub fn of(text: &str, password: Option<&SecretString>) -> Result<Self, &'static str> {
        let mut url: Self = text.parse()?;
        if let Some(password) = password {
            let settings = url.server.redis_settings().clone().set_password(password.expose_secret());
            url.server = Box::new(url.server.set_redis_settings(settings));
        }
        Ok(url)
    }

    /// The same URL, with a password for the Sentinels.
    ///
    /// # Errors
    /// When there are no Sentinels.
    pub fn with_sentinel_password(mut self, password: &SecretString) -> Result<Self, &'static str> {
        let sentinels = self.sentinels.ok_or("names no Sentinels, whose password is set")?;
        self.sentinels = Some(Arc::new(sentinels.with_password(password.expose_secret())));
        Ok(self)
    }

    /// Whether Sentinels name the master, so that there are replicas.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        self.sentinels.is_some()
    }

    /// Reads `[user[:password]@]host[:port],…/name`.
    fn of_sentinels(text: &str, tls: bool) -> Option<Self> {
        let (hosts, name) = text.split_once('/')?;
        let (user, hosts) = hosts.rsplit_once('@').map_or(("", hosts), |(user, hosts)| (user, hosts));
        let scheme = if tls { "rediss" } else { "redis" };
        let at = |host: &str, user: &str| {
            let separator = if user.is_empty() { "" } else { "@" };
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
            format!("{scheme}://{user}{separator}{host}{port}").into_connection_info().ok()
        };
        let sentinels = hosts.split(',').map(|host| at(host.trim(), "")).collect::<Option<Vec<_>>>()?;
        // The Sentinels give the master's address. User and password are for the master.
        let server = speaks_resp3(at(hosts.split(',').next()?.trim(), user)?);
        let is_name = !name.is_empty() && !name.contains(['/', '?', '#']);
        is_name
            .then(|| Self { server, sentinels: Some(Arc::new(Sentinels::new(sentinels, name.to_owned()))) })
    }
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("redis+sentinel://") {
            return Self::of_sentinels(rest, false).ok_or(FORMS);
        }
        if let Some(rest) = text.strip_prefix("rediss+sentinel://") {
            return Self::of_sentinels(rest, true).ok_or(FORMS);
        }
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return Err(FORMS);
        }
        let server = text.into_connection_info().map_err(|_| FORMS)?;
        let is_insecure = matches!(server.addr(), ConnectionAddr::TcpTls { insecure: true, .. });
        if is_insecure {
            return Err(
                "#insecure switches the check of certificates off; name the CA with SSL_CERT_FILE instead",
            );
        }
        Ok(Self { server: speaks_resp3(server), sentinels: None })
    }
}

/// With RESP3, published messages come over the same connection as all answers.
fn speaks_resp3(server: ConnectionInfo) -> Box<ConnectionInfo> {
    let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Box::new(server.set_redis_settings(settings))
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentinels {
            Some(sentinels) => sentinels.fmt(f),
            None => self.server.addr().fmt(f),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn urls_are_read_and_print_without_a_password() {
        for (text, shown) in [
            ("redis://127.0.0.1", "127.0.0.1:6379"),
            ("redis://saoma:hunter2@cache:6380/3", "cache:6380"),
            ("rediss://:hunter2@cache", "cache:6379"),
            ("redis+sentinel://:hunter2@a,b:7,c/main", "a:26379, b:7, c:26379 (main)"),
            ("rediss+sentinel://[::1]:7/main", "::1:7 (main)"),
        ] {
            let url: RedisUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
        let url: RedisUrl = "redis+sentinel://saoma:hunter2@a/main".parse().unwrap();
        assert_eq!(url.server.redis_settings().password(), Some("hunter2"));
        let other = SecretString::from("other");
        let url = RedisUrl::of("redis+sentinel://saoma:hunter2@a/main", Some(&other)).unwrap();
        assert_eq!(url.server.redis_settings().username(), Some("saoma"));
        assert_eq!(url.server.redis_settings().password(), Some("other"));
        let url = url.with_sentinel_password(&"sesame".into()).unwrap();
        assert!(!format!("{url:?}").contains("sesame"));
        let plain: RedisUrl = "redis://cache".parse().unwrap();
        assert!(plain.with_sentinel_password(&"sesame".into()).unwrap_err().contains("Sentinels"));
    }

    #[test]
    fn other_forms_are_refused_in_words() {
        for text in [
            "",
            "redis:",
            "redis://",
            "localhost:6379",
            "http://cache",
            "redis://cache:port",
            "redis://cache/x",
            "redis+sentinel://a,b",
            "redis+sentinel://a/",
            "redis+sentinel:///main",
            "redis+sentinel://a,,b/main",
            "unix:/run/redis.sock",
            "rediss://cache/#insecure",
        ] {
            let refused = text.parse::<RedisUrl>().unwrap_err();
            assert!(refused.contains("redis://") || refused.contains("SSL_CERT_FILE"), "{text}: {refused}");
        }
    }
}
