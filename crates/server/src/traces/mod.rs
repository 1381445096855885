//! Traces of logins by OpenTelemetry's library, where the standard variables `OTEL_…` name a collector and the program is built
//! with the feature `otlp`.
//!
//! [`settings`] reads those variables. [`spans`] listens to `tracing`: a span with the fields `step` and `id`, 32 hexadecimal
//! digits, is exported under the name of its step, in the trace of that id. So processes that know the same id have their
//! spans in one trace, and nothing has to be said between them. [`export`] is the way to the collector.
//!
//! Nobody waits for a collector: spans go through a bounded queue to a thread of the library, and are dropped when it is full
//! or nobody takes them. The library's own log lines are not compiled in: they may show an address with a key in it.

#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod settings;
#[cfg(feature = "otlp")]
mod spans;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::Layer;

use crate::settings::SettingError;

/// What listens to `tracing`, whatever `RUST_LOG` says.
pub(crate) type Listening = Box<dyn Layer<Registry> + Send + Sync>;

/// What exports the spans that are left at the end of a program, and waits for that, but not for long.
pub(crate) type Finish = Box<dyn FnOnce()>;

/// What `OTEL_…` have started.
#[derive(Default)]
pub(crate) struct Started {
    pub(crate) listening: Option<Listening>,
    pub(crate) finish: Option<Finish>,
    /// What an operator should know: something is set that does nothing here.
    pub(crate) warning: Option<String>,
}

/// Prepares the export to where the environment says, for a program of this name. Nothing is connected yet.
///
/// # Errors
/// When a variable is wrong, or TLS cannot be set up.
#[cfg(feature = "otlp")]
pub(crate) fn start(program: &str) -> Result<Started, SettingError> {
    let (settings, warning) = settings::read(program)?;
    let Some(settings) = settings else { return Ok(Started { warning, ..Started::default() }) };
    let (sampler, resource) = (settings.sampler.clone(), settings.resource.clone());
    let queue = export::Queue::start(settings).map_err(|problem| {
        SettingError::new("OTEL_EXPORTER_OTLP_ENDPOINT", format!("traces cannot be exported: {problem}"))
    })?;
    let provider = spans::provider(queue, sampler, resource);
    let listening = Some(spans::listening(&provider));
    // An error here means that the collector did not take the last spans in time.
    let finish = Box::new(move || drop(provider.shutdown_with_timeout(export::LAST_SPANS)));
    Ok(Started { listening, finish: Some(finish), warning })
}

/// As with the feature, of which a collector that is named would hear nothing.
///
/// # Errors
/// There are none.
#[cfg(not(feature = "otlp"))]
pub(crate) fn start(_program: &str) -> Result<Started, SettingError> {
    Ok(Started { warning: is_missed(|name| std::env::var(name).ok()), ..Started::default() })
}

/// What to say where a collector is named, and nothing is there that would export to it.
#[cfg(any(test, not(feature = "otlp")))]
fn is_missed(lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let named = names.into_iter().find(|name| lookup(name).is_some_and(|value| !value.trim().is_empty()))?;
    Some(format!("{named}: no traces are exported, because this program was built without the feature otlp"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_without_traces_says_which_feature_is_missing() {
        let is_missed = |named: &str, value: &str| {
            super::is_missed(|name| if name == named { Some(value.to_owned()) } else { None })
        };
        let warning = is_missed("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318").unwrap_or_default();
        assert!(
            warning.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && warning.ends_with("feature otlp"),
            "{warning}"
        );
        assert_eq!(is_missed("OTEL_EXPORTER_OTLP_ENDPOINT", ""), None);
        assert_eq!(is_missed("OTEL_SERVICE_NAME", "x"), None);
    }
}
