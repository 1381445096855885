//! What an operator sees of the calls: how many, how they ended, how long they took, and which of them WeChat refuses
//! just now.
//!
//! A request is counted when it ends, each try by itself: that is what WeChat counts, too. A caller that is answered by
//! an open breaker has sent nothing, and is not counted here.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::token::Tokens;
use super::{Breakers, Client, Error, call};

/// Bounds of a call's time, in seconds. WeChat answers in tens of milliseconds, and one try has 2.5 s.
const BUCKETS: [f64; 8] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The class of a request that succeeded.
const OK: &str = "ok";

/// The class of a request whose caller did not wait for its end.
const GIVEN_UP: &str = "given_up";

type ByApi = [(&'static str, &'static str); 1];

/// Counts the calls of any number of clients. Clones count together.
#[derive(Debug, Clone)]
pub struct CallMetrics {
    calls: Family<[(&'static str, &'static str); 2], Counter>,
    seconds: Family<ByApi, Histogram, fn() -> Histogram>,
    breakers: Arc<Mutex<Vec<Watched>>>,
}

impl Default for CallMetrics {
    fn default() -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        Self { calls: Family::default(), seconds, breakers: Arc::default() }
    }
}

/// The breakers of one client.
struct Watched {
    /// The account's name, which is the operator's; that of the variables has none.
    account: Option<String>,
    token: Weak<Tokens>,
    others: Weak<Breakers>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("account", &self.account).finish_non_exhaustive()
    }
}

impl CallMetrics {
    /// How many requests to `api`, such as `qrcode_create`, ended as `class`: `ok`, or as [`Class::name`](super::Class::name)
    /// says.
    #[must_use]
    pub fn calls(&self, api: &'static str, class: &'static str) -> u64 {
        self.calls.get(&[("api", api), ("class", class)]).map_or(0, |calls| calls.get())
    }

    /// Registers everything under the prefix of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "wechat_calls",
            "Requests to WeChat's API, each try, by how they ended: ok, or the class of the error",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "wechat_call",
            "From a request to WeChat's API to its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register_collector(Box::new(Refused(Arc::clone(&self.breakers))));
    }

    fn count(&self, call: &str, class: &'static str, began: Instant) {
        let api = call::name(call);
        self.calls.get_or_create(&[("api", api), ("class", class)]).inc();
        self.seconds.get_or_create(&[("api", api)]).observe(began.elapsed().as_secs_f64());
    }
}

/// Tells which calls WeChat refuses.
#[derive(Debug)]
struct Refused(Arc<Mutex<Vec<Watched>>>);

impl Collector for Refused {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // An idle lock: clients are added at the start alone.
        let watched = self.0.lock();
        let mut metric = encoder.encode_descriptor(
            "wechat_breaker_open",
            "1 while WeChat refuses a call and is only probed, by API and account",
            None,
            MetricType::Gauge,
        )?;
        for Watched { account, token, others } in watched.iter() {
            let Some((token, others)) = token.upgrade().zip(others.upgrade()) else { continue };
            for breaker in [token.breaker()].into_iter().chain(others.each()) {
                let account = account.as_deref().map(|account| ("account", account));
                let labels: Vec<_> =
                    [("api", call::name(breaker.call()))].into_iter().chain(account).collect();
                ConstGauge::new(i64::from(breaker.is_open())).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Client {
    /// Has the calls of this client and its clones counted from now on, under the account's name; once.
    pub fn count(&self, metrics: &CallMetrics, account: Option<&str>) {
        if self.api.counted.0.set(metrics.clone()).is_ok() {
            let (token, others) = (Arc::downgrade(&self.tokens), Arc::downgrade(&self.breakers));
            metrics.breakers.lock().push(Watched { account: account.map(str::to_owned), token, others });
        }
    }
}

/// Where requests are counted, if anywhere.
#[derive(Debug, Default)]
pub(super) struct Counted(OnceLock<CallMetrics>);

impl Counted {
    /// A request to `call` begins.
    pub(super) fn begin(&self, call: &'static str) -> Request<'_> {
        Request { metrics: self.0.get(), call, began: Instant::now() }
    }
}

/// A request under way. If it is dropped before its end, its caller has given it up.
pub(super) struct Request<'c> {
    metrics: Option<&'c CallMetrics>,
    call: &'static str,
    began: Instant,
}

impl Request<'_> {
    /// It has ended.
    pub(super) fn ended<T>(mut self, outcome: &Result<T, Error>) {
        self.count(outcome.as_ref().map_or_else(|error| error.class().name(), |_| OK));
    }

    fn count(&mut self, class: &'static str) {
        if let Some(metrics) = self.metrics.take() {
            metrics.count(self.call, class, self.began);
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.count(GIVEN_UP);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus_client::encoding::text::encode;

    use super::super::call::{QR_CODE, TOKEN, USER};
    use super::*;

    #[test]
    fn each_request_is_counted_by_its_end_also_where_nobody_waits_for_it() {
        let (metrics, counted) = (CallMetrics::default(), Counted::default());
        counted.begin(TOKEN).ended(&Ok(()));
        assert_eq!(metrics.calls("stable_token", OK), 0, "nobody counts yet");
        counted.0.set(metrics.clone()).unwrap();
        counted.begin(TOKEN).ended(&Ok(()));
        counted.begin(QR_CODE).ended::<()>(&Err(Error::Timeout { call: QR_CODE }));
        drop(counted.begin(USER));
        let calls = [("stable_token", OK), ("qrcode_create", "timeout"), ("user_info", GIVEN_UP)];
        assert_eq!(calls.map(|(api, class)| metrics.calls(api, class)), [1, 1, 1]);
    }

    #[test]
    fn the_accounts_breakers_are_told_apart_and_a_client_is_counted_once() {
        let settings = |app_id: &str| super::super::Settings {
            app_id: app_id.to_owned(),
            app_secret: "secret".into(),
            api_url: "http://127.0.0.1:1".to_owned(),
        };
        let metrics = CallMetrics::default();
        let (one, other) = (Client::new(settings("wx1")).unwrap(), Client::new(settings("wx2")).unwrap());
        one.count(&metrics, None);
        one.clone().count(&metrics, Some("again"));
        other.count(&metrics, Some("shop"));
        other.breakers.qr_code.failed(&Error::Api { code: 48001, message: String::new(), call: QR_CODE });
        let mut registry = Registry::with_prefix("gateway");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let open = |labels: &str| text.contains(&format!("gateway_wechat_breaker_open{{{labels}}} 1\n"));
        assert!(open("api=\"qrcode_create\",account=\"shop\""), "{text}");
        assert_eq!(text.matches("} 1\n").count(), 1, "{text}");
        assert_eq!(text.matches("wechat_breaker_open{").count(), 2 * 5, "the token's breaker, too: {text}");
    }
}
