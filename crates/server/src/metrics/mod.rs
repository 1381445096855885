//! What every service tells Prometheus in the same way: which build it is, what its process uses, which limits were met,
//! and until when its certificates hold.
//!
//! A room that knows a thing counts it, in a small struct of its own, and registers that under the service's prefix. Names
//! are OpenMetrics': seconds and bytes as units, `_total` behind a counter. Values of labels come from our own code or from
//! the operator's settings, never from a stranger, so that nobody can make more series. A scrape reads what is in memory
//! and in /proc; it asks neither a store nor the network. docs/metrics.md lists everything, and a test compares it with
//! what the services say.

pub mod buckets;
mod expiry;
mod limits;
mod process;

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::expiry::Expiry;
pub use self::limits::Limits;
use self::process::Process;

/// Registers what is the same for every service, under the prefix of its registry: the build, and log lines that were
/// dropped.
pub fn register(registry: &mut Registry) {
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version that runs; always 1", build);
    registry.register(
        "log_lines_dropped",
        "Log lines dropped because nobody read the log in time, or it could not be written",
        crate::logging::lines_dropped(),
    );
}

/// What a scrape is answered: the service's own metrics, and those of its process under their customary names.
#[derive(Debug)]
pub(crate) struct Exposition {
    service: Registry,
    process: Registry,
}

impl Exposition {
    /// That of a service with this registry.
    pub(crate) fn of(service: Registry) -> Self {
        let mut process = Registry::default();
        process.register_collector(Box::new(Process::new()));
        Self { service, process }
    }

    /// OpenMetrics text 1.0.
    ///
    /// # Errors
    /// When a metric cannot be written, which would be our own mistake.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.process)?;
        text::encode_registry(&mut text, &self.service)?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_service_tells_its_build_under_its_prefix_and_its_process_under_the_customary_names() {
        let mut registry = Registry::with_prefix("gateway");
        register(&mut registry);
        let text = Exposition::of(registry).text().unwrap();
        let build = format!("gateway_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&build), "{text}");
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is missing in {text}")).parse().unwrap()
        };
        let now = crate::clock::unix_now() as f64;
        let start = value("process_start_time_seconds");
        assert!((now - 3600.0..=now + 2.0).contains(&start), "{start} and {now}");
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        let files = value("process_open_fds");
        assert!(files >= 3.0 && files <= value("process_max_fds"), "{files}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
