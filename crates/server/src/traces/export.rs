//! The queue of spans that have ended, and the way to the collector, by the library. It is silent about what it drops, so here
//! that is counted and told.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use parking_lot::Mutex;
use reqwest::blocking::Client;
use reqwest::{Url, redirect};

use super::settings::Settings;
use crate::tell;
use crate::told::Told;

/// Spans that wait for the collector. The next ones are dropped and counted.
const MOST_WAITING: usize = 2048;

/// Spans of one request.
const BATCH: usize = 512;

/// How long spans wait for others to go with them.
const GATHER: Duration = Duration::from_secs(1);

/// Characters of a text.
const LONGEST: usize = 256;

/// How long the end of a program waits for a collector to take its last spans.
pub(super) const LAST_SPANS: Duration = Duration::from_secs(1);

/// What is known of the spans on their way.
#[derive(Debug, Default)]
struct OnTheWay {
    waiting: AtomicUsize,
    /// Spans that found no place.
    lost: AtomicU64,
    /// Why the last request was in vain.
    why: Mutex<Option<String>>,
    /// What is dropped is told once a minute.
    told: Told,
}

/// Takes the spans that end, as many as may wait.
#[derive(Debug)]
pub(super) struct Queue {
    batches: BatchSpanProcessor,
    on_the_way: Arc<OnTheWay>,
}

impl Queue {
    /// Starts the thread that exports.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn start(settings: Settings) -> Result<Self, String> {
        let exporter = Exporter::new(settings)?;
        let on_the_way = Arc::clone(&exporter.on_the_way);
        let batches = BatchConfigBuilder::default().with_max_queue_size(MOST_WAITING);
        let batches = batches.with_max_export_batch_size(BATCH).with_scheduled_delay(GATHER).build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        Ok(Self { batches, on_the_way })
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        let OnTheWay { waiting, lost, .. } = &*self.on_the_way;
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            waiting.fetch_sub(1, Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shorten(&mut span);
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The library limits how many fields and lines there are, and not how long.
fn shorten(span: &mut SpanData) {
    let end = |text: &str| text.char_indices().nth(LONGEST).map(|(at, _)| at);
    let shorten = |fields: &mut Vec<KeyValue>| {
        for KeyValue { value, .. } in fields {
            if let Value::String(text) = value
                && let Some(end) = end(text.as_str())
            {
                *value = text.as_str()[..end].to_owned().into();
            }
        }
    };
    shorten(&mut span.attributes);
    for line in &mut span.events.events {
        shorten(&mut line.attributes);
        if let Some(end) = end(&line.name) {
            line.name = Cow::Owned(line.name[..end].to_owned());
        }
    }
}

/// Exports by the library, and tells of what it cannot.
#[derive(Debug)]
struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    /// The collector, without what may be a key.
    at: String,
    on_the_way: Arc<OnTheWay>,
}

impl Exporter {
    fn new(settings: Settings) -> Result<Self, String> {
        let Settings { endpoint, headers, within, .. } = settings;
        let client = Client::builder()
            .default_headers(headers)
            .timeout(within)
            .pool_max_idle_per_host(1)
            // The headers are for the address that the operator has written.
            .redirect(redirect::Policy::none());
        // No proxy can reach this machine's own addresses.
        let client = if is_loopback(&endpoint) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| error.to_string())?;
        let on_the_way = Arc::<OnTheWay>::default();
        let http = Http { client, on_the_way: Arc::clone(&on_the_way) };
        let otlp = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(http);
        let otlp = otlp.with_protocol(Protocol::HttpBinary).with_timeout(within);
        // An error would show the address, which may have a key in it.
        let otlp = otlp
            .with_endpoint(endpoint.as_str())
            .build()
            .map_err(|_| "the library does not take the address")?;
        let at = endpoint.origin().ascii_serialization();
        Ok(Self { otlp, at, on_the_way })
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let (count, OnTheWay { waiting, lost, why, told }) = (spans.len(), &*self.on_the_way);
        waiting.fetch_sub(count, Ordering::Relaxed);
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tell!(
                warn,
                told,
                "full",
                "{lost} spans were dropped, because the collector of traces is too slow"
            );
        }
        let exported = self.otlp.export(spans).await;
        if let Err(error) = &exported {
            let why = why.lock().take().unwrap_or_else(|| error.to_string());
            tell!(
                warn,
                told,
                "export",
                "{count} spans were dropped, because {} takes no traces: {why}",
                self.at
            );
        }
        exported
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Sends the library's requests, and keeps why one was in vain, which the library does not say.
#[derive(Debug)]
struct Http {
    client: Client,
    on_the_way: Arc<OnTheWay>,
}

impl HttpClient for Http {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> BoxFuture<'f, Result<Response<Bytes>, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async {
            let answer = self.client.send_bytes(request).await;
            // The address may have a key in it.
            let answer = answer.map_err(|error| match error.downcast::<reqwest::Error>() {
                Ok(error) => format!("{:#}", anyhow::Error::from(error.without_url())).into(),
                Err(other) => other,
            });
            *self.on_the_way.why.lock() = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("it has answered {}", answer.status())),
                Err(error) => Some(error.to_string()),
            };
            answer
        })
    }
}

/// Whether an address is this machine's own.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{self, Read as _, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Instant;

    use futures_util::FutureExt as _;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing::subscriber::with_default;
    use tracing::{Level, info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::super::spans;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn settings(at: &str, within: Duration) -> Settings {
        Settings {
            endpoint: Url::parse(&format!("http://{at}/v1/traces?key=k")).unwrap(),
            headers: [("x-team".parse().unwrap(), "a".parse().unwrap())].into_iter().collect(),
            within,
            sampler: Sampler::AlwaysOn,
            resource: Resource::builder_empty().build(),
        }
    }

    /// What exports to a collector at this address, and what it knows of the spans on their way.
    fn exporting(at: &str, within: Duration) -> (SdkTracerProvider, Arc<OnTheWay>) {
        let queue = Queue::start(settings(at, within)).unwrap();
        let on_the_way = Arc::clone(&queue.on_the_way);
        (spans::provider(queue, Sampler::AlwaysOn, Resource::builder_empty().build()), on_the_way)
    }

    /// Spans of these steps end.
    fn end(provider: &SdkTracerProvider, steps: &[&str]) {
        with_default(registry().with(spans::listening(provider)), || {
            for step in steps {
                let span = info_span!("login", id = "cd2abeeaa545d6de4cd772515432c561", step);
                span.in_scope(|| info!(long = "长".repeat(10_000), "{}", "话".repeat(10_000)));
            }
        });
    }

    /// A request up to these words, which is answered.
    fn request(stream: &mut TcpStream, words: &str) -> String {
        let (mut heard, mut more) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&heard).contains(words) {
            let length = stream.read(&mut more).unwrap();
            assert!(length > 0, "it ends before {words}");
            heard.extend_from_slice(&more[..length]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }

    #[test]
    fn spans_go_together_and_the_last_ones_before_the_end() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let (provider, _) = exporting(&collector.local_addr().unwrap().to_string(), PATIENCE);
        end(&provider, &["the-first", "the-second"]);
        let (mut stream, _) = collector.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let first = request(&mut stream, "the-second");
        assert!(first.starts_with("POST /v1/traces?key=k HTTP/1.1\r\n"), "{first}");
        assert!(first.contains("the-first") && first.contains("x-team: a"), "{first}");
        let count = |what: &str| first.matches(what).count();
        assert_eq!(
            (count("长"), count("话")),
            (2 * LONGEST, 2 * LONGEST),
            "no text is longer than its limit"
        );
        end(&provider, &["the-last"]);
        let heard = thread::spawn(move || request(&mut stream, "the-last"));
        provider.shutdown_with_timeout(PATIENCE).unwrap();
        heard.join().unwrap();
    }

    #[test]
    fn a_collector_that_is_away_or_silent_costs_spans_and_nothing_else() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        for at in [gone, silent.local_addr().unwrap()] {
            let (provider, on_the_way) = exporting(&at.to_string(), Duration::from_millis(50));
            end(&provider, &["lost"]);
            let began = Instant::now();
            let _ = provider.force_flush();
            assert!(began.elapsed() < PATIENCE);
            assert_eq!(on_the_way.waiting.load(Ordering::Relaxed), 0);
            let (provider, _) = exporting(&at.to_string(), Duration::from_secs(60));
            end(&provider, &["lost"]);
            let began = Instant::now();
            let _ = provider.shutdown_with_timeout(Duration::from_millis(100));
            assert!(began.elapsed() < PATIENCE, "the end waits no longer than it may");
        }
    }

    #[test]
    fn as_many_spans_wait_as_may_and_the_others_are_counted() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let (provider, on_the_way) = exporting(&silent.local_addr().unwrap().to_string(), PATIENCE);
        end(&provider, &["one"]);
        // That one is on its way, which takes all the patience there is.
        let _asked = silent.accept().unwrap();
        end(&provider, &["one"; MOST_WAITING + 3]);
        let OnTheWay { waiting, lost, .. } = &*on_the_way;
        assert_eq!((waiting.load(Ordering::Relaxed), lost.load(Ordering::Relaxed)), (MOST_WAITING, 3));
        let _ = provider.shutdown_with_timeout(Duration::ZERO);
    }

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_collector_does_not_take_is_told_once_with_why_and_without_its_key() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
        for (at, why) in [(gone, "Connection refused"), (refusing.local_addr().unwrap(), "404 Not Found")] {
            let exporter = Exporter::new(settings(&at.to_string(), PATIENCE)).unwrap();
            let written = Log::default();
            let to = written.clone();
            let subscriber =
                tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(move || to.clone());
            exporter.on_the_way.lost.store(7, Ordering::Relaxed);
            let refusing = refusing.try_clone().unwrap();
            if at != gone {
                thread::spawn(move || {
                    let (mut stream, _) = refusing.accept().unwrap();
                    for _ in 0..2 {
                        let _ = stream.read(&mut [0; 4096]).unwrap();
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
                    }
                });
            }
            with_default(subscriber.finish(), || {
                for _ in 0..2 {
                    exporter.export(Vec::new()).now_or_never().unwrap().unwrap_err();
                }
            });
            let log = String::from_utf8(written.0.lock().clone()).unwrap();
            assert_eq!(
                log.matches("7 spans were dropped, because the collector of traces is too slow").count(),
                1
            );
            let words = format!("0 spans were dropped, because http://{at} takes no traces: ");
            assert_eq!(log.matches(&words).count(), 1, "{log}");
            assert!(log.contains(why) && !log.contains("key=k"), "{log}");
        }
    }
}
