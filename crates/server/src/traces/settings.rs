//! The standard variables of OpenTelemetry. The library would read them, too, but says nothing where one is wrong, and knows no
//! file for the headers.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use crate::settings::{SettingError, secret};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Where traces go, and under which name. The address may have a key in it, and the headers mostly have one.
pub(super) struct Settings {
    pub(super) endpoint: Url,
    pub(super) headers: HeaderMap,
    /// Limit for a request and its answer.
    pub(super) within: Duration,
    pub(super) sampler: Sampler,
    /// What every span has: the service's name and version, and what the operator adds.
    pub(super) resource: Resource,
}

/// Where traces go, if anywhere, and what an operator should know: something is set that is not spoken here.
pub(super) type Read = (Option<Settings>, Option<String>);

/// Reads the variables, for a service of this name.
///
/// # Errors
/// When one that is read is wrong. What the standard allows and is not spoken here is a warning, because such variables
/// may be set for a whole cluster.
pub(super) fn read(program: &str) -> Result<Read, SettingError> {
    read_from(program, secret(HEADERS)?.as_ref(), |name| std::env::var(name).ok())
}

fn read_from(
    program: &str,
    headers: Option<&SecretString>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Read, SettingError> {
    // An empty variable is none.
    let set =
        |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let Some(endpoint) = endpoint(&set)?.filter(|_| !is_off) else { return Ok((None, None)) };
    let own_protocol = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let protocol = own_protocol.into_iter().find(|name| set(name).is_some());
    for (name, spoken) in [(Some("OTEL_TRACES_EXPORTER"), "otlp"), (protocol, "http/protobuf")] {
        if let Some((name, other)) = name.and_then(|name| Some((name, set(name)?)))
            && other != spoken
        {
            let warning =
                format!("{name}: no traces are exported, because {other:?} is not spoken here; {spoken} is");
            return Ok((None, Some(warning)));
        }
    }
    let (sampler, warning) = sampler(&set)?;
    let within = set(TIMEOUT).map_or(Ok(10_000), |text| {
        let wrong = || SettingError::new(TIMEOUT, format!("{text:?} is no number of milliseconds above 0"));
        text.parse().ok().filter(|ms| *ms > 0).ok_or_else(wrong)
    })?;
    let settings = Settings {
        endpoint,
        headers: headers.map_or(Ok(HeaderMap::new()), |text| headers_of(text.expose_secret()))?,
        within: Duration::from_millis(within),
        sampler,
        resource: resource(program, &set)?,
    };
    Ok((Some(settings), warning))
}

fn endpoint(set: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>, SettingError> {
    let (name, text) = match (set(TRACES_ENDPOINT), set(ENDPOINT)) {
        (Some(text), _) => (TRACES_ENDPOINT, text),
        (None, Some(text)) => (ENDPOINT, format!("{}/v1/traces", text.trim_end_matches('/'))),
        (None, None) => return Ok(None),
    };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some).ok_or_else(|| SettingError::new(name, "is no address such as http://collector:4318"))
}

/// A sampler that is based on its parent is its root's, because no span comes from outside.
fn sampler(set: &impl Fn(&str) -> Option<String>) -> Result<(Sampler, Option<String>), SettingError> {
    let name = set(SAMPLER).unwrap_or_else(|| "always_on".to_owned());
    match name.strip_prefix("parentbased_").unwrap_or(&name) {
        "always_on" => Ok((Sampler::AlwaysOn, None)),
        "always_off" => Ok((Sampler::AlwaysOff, None)),
        "traceidratio" => {
            let share = set(SHARE).map_or(Some(1.0), |text| text.parse().ok());
            let share = share.filter(|share| (0.0..=1.0).contains(share));
            let wrong = || SettingError::new(SHARE, "is no share between 0 and 1, such as 0.1");
            Ok((Sampler::TraceIdRatioBased(share.ok_or_else(wrong)?), None))
        }
        _ => {
            let known = "always_on, always_off, traceidratio and those of parentbased_ are";
            let warning =
                format!("{SAMPLER}: every trace is exported, because {name:?} is not known here; {known}");
            Ok((Sampler::AlwaysOn, Some(warning)))
        }
    }
}

fn resource(program: &str, set: &impl Fn(&str) -> Option<String>) -> Result<Resource, SettingError> {
    let own = [("service.name", program), ("service.version", env!("CARGO_PKG_VERSION"))];
    let own = own.map(|(name, value)| KeyValue::new(name, value.to_owned()));
    let text = set(RESOURCE).unwrap_or_default();
    let added = pairs(&text).map(|pair| pair.map(|(name, value)| KeyValue::new(name.to_owned(), value)));
    let added = added.collect::<Result<Vec<_>, _>>().map_err(|pair| {
        SettingError::new(RESOURCE, format!("{pair:?} is no pair such as host.name=web-1"))
    })?;
    let named = set("OTEL_SERVICE_NAME").map(|name| KeyValue::new("service.name", name));
    // What comes later replaces what came before.
    let resource = Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector));
    Ok(resource.with_attributes(own.into_iter().chain(added).chain(named)).build())
}

fn headers_of(text: &str) -> Result<HeaderMap, SettingError> {
    let header = |pair: Result<(&str, String), _>| {
        let (name, value) = pair.ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    // It may be a key, so it is not shown.
    let wrong = "has no pairs such as authorization=Bearer%20…, with commas between them";
    pairs(text).map(header).collect::<Option<_>>().ok_or_else(|| SettingError::new(HEADERS, wrong))
}

/// `name=value` with commas between them, the values percent-encoded (W3C Baggage). An error is the pair that is none.
fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, String), &str>> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or(pair)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| pair)?;
        Ok((name.trim(), value.into_owned()))
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
        let (settings, warning) = of(variables).unwrap();
        assert_eq!(warning, None);
        settings.unwrap()
    }

    /// Of the resource.
    fn said(settings: &Settings, name: &'static str) -> Option<String> {
        settings.resource.get(&name.into()).map(|value| value.to_string())
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
            let (settings, warning) = of(variables).unwrap();
            assert!(settings.is_none() && warning.is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_standards_variables_mean_what_it_says() {
        let plain = settings(&[(ENDPOINT, "http://c:4318/")]);
        assert_eq!(plain.endpoint.as_str(), "http://c:4318/v1/traces");
        assert_eq!((plain.within, plain.headers.len()), (Duration::from_secs(10), 0));
        assert!(matches!(plain.sampler, Sampler::AlwaysOn));
        assert_eq!(said(&plain, "service.name").unwrap(), "ws-gateway");
        assert_eq!(said(&plain, "service.version").unwrap(), env!("CARGO_PKG_VERSION"));

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
        assert!(matches!(all.sampler, Sampler::TraceIdRatioBased(0.5)));
        assert_eq!(said(&all, "deployment.environment.name").unwrap(), "pro,duction");
        assert_eq!(said(&all, "service.name").unwrap(), "mine");
        let other = settings(&[(ENDPOINT, "http://c"), (RESOURCE, "service.name=other"), (SAMPLER, "")]);
        assert_eq!(said(&other, "service.name").unwrap(), "other");
    }

    #[test]
    fn what_is_not_spoken_here_is_a_warning_that_names_it() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            (SAMPLER, "jaeger_remote"),
        ] {
            let (settings, warning) = of(&[(ENDPOINT, "http://c:4318"), (name, value)]).unwrap();
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
            .err()
            .unwrap()
            .to_string();
            assert!(problem.starts_with(name) && !problem.contains("s3cret"), "{problem}");
        }
        for share in ["-0.1", "1.5", "half", "NaN"] {
            let wrong = [(ENDPOINT, "http://c:4318"), (SAMPLER, "traceidratio"), (SHARE, share)];
            assert!(of(&wrong).err().unwrap().to_string().starts_with(SHARE));
        }
    }
}
