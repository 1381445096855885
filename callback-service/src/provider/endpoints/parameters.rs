//! The parameters of a request: from the query, from a form, or from a JSON object, which some clients send to the token
//! endpoint. They are limited in size, and each that has a meaning may be there once.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use hyper::body::Incoming as Body;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use server::http::{BodyError, read_body};

use crate::provider::pages::Trouble;

/// Bytes of a form. It must fit into the head of a request that repeats it.
const MAX_FORM: usize = 8 * 1024;

/// A form must have come within this.
const FORM_WITHIN: Duration = Duration::from_secs(5);

/// Parameters in one request.
const MOST: usize = 100;

/// Names and values, in their order.
#[derive(Clone, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// The names alone: values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why there are no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    /// It did not come in time, or was cut off.
    Cut(StatusCode),
    /// It has another form.
    NotAForm,
}

impl Unread {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Cut(status) => status,
            Self::NotAForm => StatusCode::BAD_REQUEST,
        }
    }

    /// For a page.
    pub(super) fn words(self) -> Trouble {
        match self {
            Self::TooLarge => Trouble::TooLarge,
            Self::Cut(_) => Trouble::WrongForm("the body was cut off or came too slowly"),
            Self::NotAForm => Trouble::WrongForm("the body is no form (application/x-www-form-urlencoded)"),
        }
    }

    /// For a back end.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::Cut(_) => "the body was cut off or came too slowly",
            Self::NotAForm => "the body is neither a form nor a JSON object of texts",
        }
    }
}

impl From<BodyError> for Unread {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            other => Self::Cut(other.status()),
        }
    }
}

impl Parameters {
    pub(crate) fn of_query(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().take(MOST).collect())
    }

    /// # Errors
    /// When the body is too large, or does not come.
    pub(crate) async fn of_form(body: Body) -> Result<Self, Unread> {
        let bytes = read_body(body, MAX_FORM, FORM_WITHIN).await?;
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().take(MOST).collect()))
    }

    /// Reads a form, or a JSON object of texts where the request says that it is one.
    ///
    /// # Errors
    /// When the body is too large, does not come, or is neither.
    pub(super) async fn of_form_or_json(headers: &HeaderMap, body: Body) -> Result<Self, Unread> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => {
                let bytes = read_body(body, MAX_FORM, FORM_WITHIN).await?;
                serde_json::from_slice::<Members>(&bytes)
                    .map(|members| Self(members.0))
                    .map_err(|_| Unread::NotAForm)
            }
            "application/x-www-form-urlencoded" | "" => Self::of_form(body).await,
            _ => {
                server::http::discard(body).await;
                Err(Unread::NotAForm)
            }
        }
    }

    /// The value of a parameter. One without a value counts as left out (RFC 6749, section 3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, value)| other == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Whether one of these is there twice, which no parameter that has a meaning may be.
    pub(crate) fn repeats_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.iter().filter(|(other, _)| other == name).count() > 1)
    }

    /// The same parameters behind a path.
    pub(super) fn behind(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        format!("{path}?{}", query.finish())
    }
}

/// An address with parameters behind it, also where it has a query already.
pub(super) fn with(uri: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return uri.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, before)) if before.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{}", query.finish())
}

/// The members of a JSON object, each as often as it is there. Those that are no texts are none of ours.
struct Members(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    match map.next_value::<TextOrNot>()? {
                        TextOrNot::Text(text) if members.len() < MOST => members.push((name, text)),
                        TextOrNot::Text(_) | TextOrNot::Other(_) => {}
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum TextOrNot {
    Text(String),
    Other(IgnoredAny),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_empty_is_not_there_and_what_is_there_twice_is_seen() {
        let parameters = Parameters::of_query("state=&scope=openid&x=1&x=2&state=%E6%89%AB");
        assert_eq!((parameters.get("state"), parameters.get("nonce")), (Some("扫"), None));
        assert!(parameters.repeats_any(&["state"]) && !parameters.repeats_any(&["scope", "nonce"]));
        assert_eq!(format!("{parameters:?}"), r#"["state", "scope", "x", "x", "state"]"#);
    }

    #[test]
    fn a_json_object_has_the_same_rules() {
        let of = |text: &str| serde_json::from_str::<Members>(text).map(|members| Parameters(members.0));
        let parameters = of(r#"{"code":"a","n":7,"o":{"code":"b"},"code":"c"}"#).unwrap();
        assert!(parameters.repeats_any(&["code"]));
        assert_eq!(parameters.get("n"), None);
        for wrong in ["", "[]", "\"x\"", "{", "[[\"code\",\"a\"]]"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parameters_are_added_to_what_is_there() {
        let added = [("code", "a b"), ("state", "扫&=")];
        for (uri, expected) in [
            ("https://a/cb", "https://a/cb?code=a+b&state=%E6%89%AB%26%3D"),
            ("https://a/cb?", "https://a/cb?code=a+b&state=%E6%89%AB%26%3D"),
            ("https://a/cb?x=1", "https://a/cb?x=1&code=a+b&state=%E6%89%AB%26%3D"),
            ("com.example:/cb", "com.example:/cb?code=a+b&state=%E6%89%AB%26%3D"),
        ] {
            assert_eq!(with(uri, &added), expected);
        }
        assert_eq!(with("https://a/", &[]), "https://a/");
    }
}
