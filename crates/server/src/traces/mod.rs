//! Traces by OpenTelemetry's protocol (OTLP), where the standard variables `OTEL_…` name a collector.
//!
//! [`settings`] reads those variables. [`Spans`] listens to `tracing`: a span with the fields `step` and `id`, 32 hexadecimal
//! digits, is exported under the name of its step, in the trace of that id. So processes that know the same id have their
//! spans in one trace, and nothing has to be said between them. [`encode`] writes what OTLP asks for, [`export`] posts it.
//!
//! Nobody waits for a collector: spans go through a bounded queue, and are dropped when it is full or nobody takes them.
//! The SDK of OpenTelemetry is not used. It would add a dozen crates for what is here, and a span's trace could not be named.

mod encode;
mod export;
mod sampler;
pub mod settings;
mod spans;

use self::export::Exporter;
pub use self::settings::Settings;
pub use self::spans::Spans;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    /// The span of the same trace around it.
    parent: Option<[u8; 8]>,
    name: String,
    /// Nanoseconds since 1970, as all times here.
    start: u64,
    end: u64,
    attributes: Vec<Attribute>,
    events: Vec<Event>,
    /// An error was logged in it.
    has_failed: bool,
}

/// A log line in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    at: u64,
    name: String,
    attributes: Vec<Attribute>,
}

type Attribute = (&'static str, Value);

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Int(i64),
    Flag(bool),
}

/// What a process exports: one half listens, the other delivers.
#[derive(Debug)]
pub struct Traces {
    /// What listens.
    pub spans: Spans,
    exporter: Exporter,
}

impl Traces {
    /// Prepares the export to where `settings` say. Nothing is connected yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let sampler = settings.sampler;
        let (queue, exporter) = Exporter::new(settings)?;
        Ok(Self { spans: Spans::new(queue, sampler), exporter })
    }

    /// Both halves: what listens, and the work that delivers until `stopped`, and then what is left.
    pub fn split(self, stopped: impl Future<Output = ()>) -> (Spans, impl Future<Output = ()>) {
        (self.spans, self.exporter.run(stopped))
    }
}
