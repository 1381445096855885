//! The standard variables of OpenTelemetry that are read, and what is done about the others.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::sampler::{Sampler, Unread};
use crate::settings::{SettingError, secret};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// What `OTEL_EXPORTER_OTLP_TIMEOUT` is unless it is set.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Where traces go, and under which name.
#[derive(Clone)]
pub struct Settings {
    pub(super) endpoint: Url,
    pub(super) headers: HeaderMap,
    /// Limit for a request and its answer.
    pub(super) within: Duration,
    pub(super) sampler: Sampler,
    /// What every span has: the service's name and version, and what the operator adds.
    pub(super) resource: Vec<(String, String)>,
}

/// A collector's address may have a key in it, and its headers mostly have one.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("endpoint", &self.endpoint.origin()).finish_non_exhaustive()
    }
}

/// What the environment says.
#[derive(Debug, Default)]
pub struct Read {
    /// Where traces go; nothing where they go nowhere.
    pub settings: Option<Settings>,
    /// What an operator should know: something is set that is not spoken here.
    pub warning: Option<String>,
}

/// Reads the variables, for a service of this name.
///
/// # Errors
/// When one that is read is wrong. What the standard allows and is not spoken here is a warning, because such variables
/// may be set for a whole cluster.
pub fn read(program: &str) -> Result<Read, SettingError> {
    let headers = secret(HEADERS)?;
    read_from(program, headers.as_ref(), |name| std::env::var(name).ok())
}

fn read_from(
    program: &str,
    headers: Option<&SecretString>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Read, SettingError> {
    let set =
        |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(endpoint) = endpoint(&set)?.filter(|_| !is_off) else { return Ok(Read::default()) };
    let refused = |warning| Ok(Read { settings: None, warning: Some(warning) });
    match set("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(Read::default()),
        Some(other) => {
            return refused(format!(
                "OTEL_TRACES_EXPORTER: no traces are exported, because {other:?} is not otlp"
            ));
        }
    }
    let protocol = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    if let Some((name, other)) = protocol.iter().find_map(|name| Some((name, set(name)?)))
        && other != "http/protobuf"
    {
        return refused(format!(
            "{name}: no traces are exported, because {other:?} is not spoken here; set http/protobuf, which collectors \
             take at port 4318"
        ));
    }
    let (sampler, warning) = sampler(&set)?;
    let within = set(TIMEOUT).map_or(Ok(ANSWER_WITHIN), |text| {
        let wrong = || SettingError::new(TIMEOUT, format!("{text:?} is no number of milliseconds above 0"));
        text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(wrong)
    })?;
    let settings = Settings {
        endpoint,
        headers: headers.map_or(Ok(HeaderMap::new()), |text| pairs_of_headers(text.expose_secret()))?,
        within,
        sampler,
        resource: resource(program, &set)?,
    };
    Ok(Read { settings: Some(settings), warning })
}

fn endpoint(set: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>, SettingError> {
    let (name, text) = match (set(TRACES_ENDPOINT), set(ENDPOINT)) {
        (Some(text), _) => (TRACES_ENDPOINT, text),
        (None, Some(text)) => (ENDPOINT, format!("{}/v1/traces", text.trim_end_matches('/'))),
        (None, None) => return Ok(None),
    };
    // The address may have a key in it, so it is not shown.
    let wrong = || SettingError::new(name, "is no address such as http://collector:4318");
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(Some(url)) } else { Err(wrong()) }
}

fn sampler(set: &impl Fn(&str) -> Option<String>) -> Result<(Sampler, Option<String>), SettingError> {
    let Some(name) = set(SAMPLER) else { return Ok((Sampler::ALL, None)) };
    match Sampler::read(&name, set(SHARE).as_deref()) {
        Ok(sampler) => Ok((sampler, None)),
        Err(Unread::Share) => Err(SettingError::new(SHARE, "is no share between 0 and 1, such as 0.1")),
        Err(Unread::Name) => {
            let known = "always_on, always_off, traceidratio and those of parentbased_";
            Ok((
                Sampler::ALL,
                Some(format!(
                    "{SAMPLER}: every trace is exported, because {name:?} is not known here; {known} are"
                )),
            ))
        }
    }
}

fn resource(
    program: &str,
    set: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, SettingError> {
    let wrong =
        |pair: &str| SettingError::new(RESOURCE, format!("{pair:?} is no pair such as host.name=web-1"));
    let text = set(RESOURCE).unwrap_or_default();
    let mut all = pairs(&text).map(|pair| pair.map_err(wrong)).collect::<Result<Vec<_>, _>>()?;
    let is_named = |all: &[(String, String)], name| all.iter().any(|(other, _)| other == name);
    if let Some(service) = set("OTEL_SERVICE_NAME") {
        all.retain(|(name, _)| name != "service.name");
        all.push(("service.name".to_owned(), service));
    }
    for (name, value) in [("service.name", program), ("service.version", env!("CARGO_PKG_VERSION"))] {
        if !is_named(&all, name) {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(all)
}

fn pairs_of_headers(text: &str) -> Result<HeaderMap, SettingError> {
    let mut headers = HeaderMap::new();
    for pair in pairs(text) {
        // It may be a key, so it is not shown.
        let wrong = || {
            SettingError::new(
                HEADERS,
                "has no pairs such as authorization=Bearer%20…, with commas between them",
            )
        };
        let (name, value) = pair.map_err(|_| wrong())?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// `name=value` with commas between them, the values percent-encoded (W3C Baggage). An error is the pair that is none.
fn pairs(text: &str) -> impl Iterator<Item = Result<(String, String), &str>> {
    let all = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    all.map(|pair| {
        let (name, value) = pair.split_once('=').ok_or(pair)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| pair)?;
        let name = name.trim();
        if name.is_empty() { Err(pair) } else { Ok((name.to_owned(), value.into_owned())) }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Read, SettingError> {
        let headers = variables.iter().find(|(name, _)| *name == HEADERS).map(|(_, value)| (*value).into());
        let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
        read_from("ws-gateway", headers.as_ref(), |name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let Read { settings, warning } = of(variables).unwrap();
        assert_eq!(warning, None);
        settings.unwrap()
    }

    #[test]
    fn without_a_collector_nothing_is_exported() {
        for variables in [
            &[][..],
            &[(ENDPOINT, "")],
            &[("OTEL_SERVICE_NAME", "x"), (SAMPLER, "always_on")],
            &[(ENDPOINT, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
            &[(ENDPOINT, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            let Read { settings, warning } = of(variables).unwrap();
            assert!(settings.is_none() && warning.is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_standards_variables_mean_what_it_says() {
        let plain = settings(&[(ENDPOINT, "http://c:4318/")]);
        assert_eq!(plain.endpoint.as_str(), "http://c:4318/v1/traces");
        assert_eq!((plain.within, plain.sampler, plain.headers.len()), (ANSWER_WITHIN, Sampler::ALL, 0));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let version = pair("service.version", env!("CARGO_PKG_VERSION"));
        assert_eq!(plain.resource, [pair("service.name", "ws-gateway"), version.clone()]);

        let all = settings(&[
            (ENDPOINT, "http://nowhere"),
            (TRACES_ENDPOINT, "https://c/own/path?key=k"),
            (HEADERS, "authorization=Bearer%20abc, x-team = a"),
            (TIMEOUT, "1500"),
            (RESOURCE, "service.name=other,deployment.environment.name=pro%2Cduction"),
            ("OTEL_SERVICE_NAME", "mine"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            (SAMPLER, "parentbased_traceidratio"),
            (SHARE, "0.5"),
        ]);
        assert_eq!(all.endpoint.as_str(), "https://c/own/path?key=k");
        assert_eq!(
            (&all.headers["authorization"], &all.headers["x-team"]),
            (&"Bearer abc".parse().unwrap(), &"a".parse().unwrap())
        );
        assert_eq!(all.within, Duration::from_millis(1500));
        assert_eq!(all.sampler, Sampler::read("traceidratio", Some("0.5")).unwrap());
        let environment = pair("deployment.environment.name", "pro,duction");
        assert_eq!(all.resource, [environment, pair("service.name", "mine"), version]);
        let shown = format!("{all:?}");
        assert!(!shown.contains("key=k") && !shown.contains("Bearer"), "{shown}");
    }

    #[test]
    fn what_is_not_spoken_here_is_a_warning_that_names_it() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            (SAMPLER, "jaeger_remote"),
        ] {
            let Read { settings, warning } = of(&[(ENDPOINT, "http://c:4318"), (name, value)]).unwrap();
            let warning = warning.unwrap();
            assert!(warning.starts_with(name) && warning.contains(value), "{warning}");
            assert_eq!(settings.is_some(), name == SAMPLER, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        for (name, value) in [
            (ENDPOINT, "collector:4318"),
            (ENDPOINT, "ftp://s3cret@c"),
            (TRACES_ENDPOINT, "http://"),
            (HEADERS, "s3cret"),
            (HEADERS, "a b=s3cret"),
            (TIMEOUT, "0"),
            (TIMEOUT, "10s"),
            (RESOURCE, "nothing"),
        ] {
            let problem = of(&[(ENDPOINT, "http://c:4318"), (name, value)]
                .map(|pair| pair)
                .into_iter()
                .rev()
                .collect::<Vec<_>>())
            .unwrap_err()
            .to_string();
            assert!(problem.starts_with(name) && !problem.contains("s3cret"), "{problem}");
        }
        let wrong = [(ENDPOINT, "http://c:4318"), (SAMPLER, "traceidratio"), (SHARE, "2")];
        assert!(of(&wrong).unwrap_err().to_string().starts_with(SHARE));
    }
}
