//! Where Redis is, as an operator writes it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use secrecy::{ExposeSecret, SecretString};

use crate::sentinel::Sentinels;

/// What a wrong place is answered with; the text itself may hold a password and is not repeated.
const FORMS: &str =
    "write redis://host:6379, rediss://host:6379 (TLS), or redis+sentinel://host1:26379,host2:26379/name";

/// The port of a Sentinel that is named without one.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is: `redis://`, `rediss://` (TLS), or `redis+sentinel://host1,host2/name`, with
/// `rediss+sentinel://` where Redis and the Sentinels speak TLS. It prints without its password.
#[derive(Clone)]
pub struct Place {
    pub(crate) server: Box<ConnectionInfo>,
    pub(crate) sentinels: Option<Arc<Sentinels>>,
}

impl Place {
    /// Reads a place, whose password comes with the text or apart from it.
    ///
    /// # Errors
    /// When the text is no place; the error does not repeat it, because it may hold a password.
    pub fn of(text: &str, password: Option<&SecretString>) -> Result<Self, &'static str> {
        let mut place: Self = text.parse()?;
        if let Some(password) = password {
            let settings = place.server.redis_settings().clone().set_password(password.expose_secret());
            place.server = Box::new(place.server.set_redis_settings(settings));
        }
        Ok(place)
    }

    /// The same, whose Sentinels are asked with a password of their own.
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
        // Whoever is the master gets its address from the Sentinels; user and password are for it.
        let server = speaks_resp3(at(hosts.split(',').next()?.trim(), user)?);
        let is_name = !name.is_empty() && !name.contains(['/', '?', '#']);
        is_name
            .then(|| Self { server, sentinels: Some(Arc::new(Sentinels::new(sentinels, name.to_owned()))) })
    }
}

impl FromStr for Place {
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

/// With RESP3 what is published comes over the same connection as everything else, and lives and dies with it.
fn speaks_resp3(server: ConnectionInfo) -> Box<ConnectionInfo> {
    let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Box::new(server.set_redis_settings(settings))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentinels {
            Some(sentinels) => sentinels.fmt(f),
            None => self.server.addr().fmt(f),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn places_are_read_and_print_without_a_password() {
        for (text, shown) in [
            ("redis://127.0.0.1", "127.0.0.1:6379"),
            ("redis://saoma:hunter2@cache:6380/3", "cache:6380"),
            ("rediss://:hunter2@cache", "cache:6379"),
            ("redis+sentinel://:hunter2@a,b:7,c/main", "a:26379, b:7, c:26379 (main)"),
            ("rediss+sentinel://[::1]:7/main", "::1:7 (main)"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), shown, "{text}");
            assert!(!format!("{place:?}").contains("hunter2"));
        }
        let place: Place = "redis+sentinel://saoma:hunter2@a/main".parse().unwrap();
        assert_eq!(place.server.redis_settings().password(), Some("hunter2"));
        let other = SecretString::from("other");
        let place = Place::of("redis+sentinel://saoma:hunter2@a/main", Some(&other)).unwrap();
        assert_eq!(place.server.redis_settings().username(), Some("saoma"));
        assert_eq!(place.server.redis_settings().password(), Some("other"));
        let place = place.with_sentinel_password(&"sesame".into()).unwrap();
        assert!(!format!("{place:?}").contains("sesame"));
        let plain: Place = "redis://cache".parse().unwrap();
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
            let refused = text.parse::<Place>().unwrap_err();
            assert!(refused.contains("redis://") || refused.contains("SSL_CERT_FILE"), "{text}: {refused}");
        }
    }
}
