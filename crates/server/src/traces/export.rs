//! The queue of spans that have ended, and the requests that bring them to the collector.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::spans::Lost;
use super::{Settings, Span, encode};
use crate::tell;
use crate::told::Told;

/// Spans that wait for the collector. The next ones are dropped and counted.
const MOST_WAITING: usize = 2048;

/// Spans of one request.
const BATCH: usize = 512;

/// How long spans wait for others to go with them.
const GATHER: Duration = Duration::from_secs(1);

/// What is dropped is told once a minute.
static TOLD: LazyLock<Told> = LazyLock::new(Told::default);

/// Brings spans to the collector, one request at a time.
#[derive(Debug)]
pub(super) struct Exporter {
    ended: mpsc::Receiver<Span>,
    lost: Lost,
    http: Client,
    settings: Settings,
}

impl Exporter {
    /// The exporter, and the queue into which spans go.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(settings: Settings) -> Result<((mpsc::Sender<Span>, Lost), Self), String> {
        let client = Client::builder()
            .user_agent(concat!("saoma/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.within)
            .pool_max_idle_per_host(1)
            // The headers are for the address that the operator has written.
            .redirect(redirect::Policy::none());
        // No proxy can reach this machine's own addresses.
        let client = if is_loopback(&settings.endpoint) { client.no_proxy() } else { client };
        let http = client.build().map_err(|error| format!("traces cannot be exported: {error}"))?;
        let (queue, ended) = mpsc::channel(MOST_WAITING);
        let lost = Lost::default();
        Ok(((queue, lost.clone()), Self { ended, lost, http, settings }))
    }

    /// Exports what ends until `stopped`, and then what is left.
    pub(super) async fn run(mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        let mut spans = Vec::with_capacity(BATCH);
        loop {
            let stops = tokio::select! {
                () = &mut stopped => true,
                () = gather(&mut self.ended, &mut spans) => false,
            };
            if stops {
                break;
            }
            self.export(&mut spans).await;
        }
        self.ended.close();
        loop {
            while spans.len() < BATCH
                && let Ok(span) = self.ended.try_recv()
            {
                spans.push(span);
            }
            if spans.is_empty() {
                return;
            }
            self.export(&mut spans).await;
        }
    }

    /// Exports spans, or drops them: they are told of once, and nobody waits for a collector that is away.
    async fn export(&self, spans: &mut Vec<Span>) {
        let lost = self.lost.take();
        if lost > 0 {
            tell!(
                warn,
                TOLD,
                "full",
                "{lost} spans were dropped, because the collector of traces is too slow"
            );
        }
        if let Err(error) = self.post(spans).await {
            let (spans, at) = (spans.len(), self.settings.endpoint.origin().ascii_serialization());
            tell!(warn, TOLD, "export", "{spans} spans were dropped, because {at} takes no traces: {error}");
        }
        spans.clear();
    }

    async fn post(&self, spans: &[Span]) -> Result<(), String> {
        let Settings { endpoint, headers, resource, .. } = &self.settings;
        let request = self.http.post(endpoint.clone()).headers(headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf");
        let answer = request.body(encode::request(resource, spans)).send().await;
        // The address may have a key in it.
        let answer = answer.map_err(|error| format!("{:#}", anyhow::Error::from(error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it has answered {status}")),
        }
    }
}

/// Waits for spans, and a little longer for others. What was gathered stays where the future is dropped.
async fn gather(ended: &mut mpsc::Receiver<Span>, spans: &mut Vec<Span>) {
    if spans.is_empty() && ended.recv_many(spans, BATCH).await == 0 {
        // Nobody can send any more; the end of the process comes.
        return std::future::pending().await;
    }
    let until = Instant::now() + GATHER;
    while spans.len() < BATCH {
        let room = BATCH - spans.len();
        match timeout_at(until, ended.recv_many(spans, room)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
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

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::traces::settings::Settings;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn settings(at: &str, within: Duration) -> Settings {
        Settings {
            endpoint: Url::parse(&format!("http://{at}/v1/traces?key=k")).unwrap(),
            headers: [("x-team".parse().unwrap(), "a".parse().unwrap())].into_iter().collect(),
            within,
            sampler: super::super::sampler::Sampler::ALL,
            resource: Vec::new(),
        }
    }

    fn span(name: &str) -> Span {
        Span {
            trace: [1; 16],
            id: [2; 8],
            parent: None,
            name: name.to_owned(),
            start: 1,
            end: 2,
            attributes: Vec::new(),
            events: Vec::new(),
            has_failed: false,
        }
    }

    #[tokio::test]
    async fn spans_go_together_and_the_last_ones_before_the_end() {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = collector.local_addr().unwrap().to_string();
        let ((queue, _), exporter) = Exporter::new(settings(&at, PATIENCE)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        for name in ["the-first", "the-second"] {
            queue.try_send(span(name)).unwrap();
        }
        let exporting = tokio::spawn(exporter.run(async { drop(stopped.await) }));
        let mut heard = Vec::new();
        let (mut stream, _) = timeout(PATIENCE, collector.accept()).await.unwrap().unwrap();
        let mut until = async |words: &str| {
            while !String::from_utf8_lossy(&heard).contains(words) {
                assert!(timeout(PATIENCE, stream.read_buf(&mut heard)).await.unwrap().unwrap() > 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&std::mem::take(&mut heard)).into_owned()
        };
        let request = until("the-second").await;
        assert!(request.starts_with("POST /v1/traces?key=k HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("the-first") && request.contains("x-team: a"), "{request}");
        queue.try_send(span("the-last")).unwrap();
        stop.send(()).unwrap();
        until("the-last").await;
        timeout(PATIENCE, exporting).await.unwrap().unwrap();
        assert!(queue.try_send(span("too late")).is_err());
    }

    #[tokio::test]
    async fn a_collector_that_is_away_or_silent_costs_spans_and_nothing_else() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for at in [gone, silent.local_addr().unwrap()] {
            let settings = settings(&at.to_string(), Duration::from_millis(50));
            let ((_queue, _), exporter) = Exporter::new(settings).unwrap();
            let error = exporter.post(&[span("lost")]).await.unwrap_err();
            assert!(!error.contains("key=k"), "{error}");
            let mut spans = vec![span("lost")];
            exporter.export(&mut spans).await;
            assert_eq!(spans, []);
        }
    }

    #[tokio::test]
    async fn as_many_spans_wait_as_may() {
        let ((queue, _), _exporter) = Exporter::new(settings("127.0.0.1:1", PATIENCE)).unwrap();
        let taken = (0..).take_while(|_| queue.try_send(span("one")).is_ok()).count();
        assert_eq!(taken, MOST_WAITING);
    }
}
