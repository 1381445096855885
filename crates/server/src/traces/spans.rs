//! What listens to `tracing`, and gives the library each span with a step, in the trace of the login.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, SpanId, TraceContextExt as _, TraceId, Tracer, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span, SpanProcessor,
};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer as _;

use super::Listening;

/// Log lines that are kept of a span, and fields of each of both.
const MOST_EVENTS: u32 = 16;
const MOST_FIELDS: u32 = 16;

/// The field by which a span is exported, and under whose value.
const STEP: &str = "step";

/// The field that names the trace.
const ID: &str = "id";

/// What makes spans, within limits, and gives them to `queue`.
pub(super) fn provider(
    queue: impl SpanProcessor + 'static,
    sampler: Sampler,
    resource: Resource,
) -> SdkTracerProvider {
    let provider = SdkTracerProvider::builder().with_span_processor(queue).with_sampler(sampler);
    let provider = provider.with_id_generator(LoginIds::default()).with_resource(resource);
    let provider = provider.with_max_events_per_span(MOST_EVENTS).with_max_attributes_per_event(MOST_FIELDS);
    provider.with_max_attributes_per_span(MOST_FIELDS).build()
}

/// The layer of a subscriber, which takes spans with a step and log lines of level info or above. Places in the source and
/// threads are nothing that an operator needs.
pub(super) fn listening(provider: &SdkTracerProvider) -> Listening {
    let wanted = |of: &Metadata<'_>| match of.is_span() {
        true => of.fields().field(STEP).is_some(),
        false => *of.level() <= Level::INFO,
    };
    let listening = tracing_opentelemetry::layer().with_tracer(Steps(provider.tracer("saoma")));
    let listening = listening.with_location(false).with_threads(false).with_target(false);
    let listening = listening.with_tracked_inactivity(false);
    listening.with_filter(filter_fn(wanted).with_max_level_hint(LevelFilter::INFO)).boxed()
}

thread_local! {
    /// The trace of the span that is being made on this thread.
    static TRACE: Cell<TraceId> = const { Cell::new(TraceId::INVALID) };
}

/// Makes spans of a step, in the trace of its id.
struct Steps(SdkTracer);

impl Tracer for Steps {
    type Span = Span;

    fn build_with_context(&self, mut builder: SpanBuilder, around: &Context) -> Span {
        let mut fields = builder.attributes.take().unwrap_or_default();
        let mut take = |name| {
            let at = fields.iter().position(|field| field.key.as_str() == name)?;
            Some(fields.remove(at).value.as_str().into_owned())
        };
        let (step, id) = (take(STEP), take(ID).filter(|id| id.len() == 32));
        let (Some(step), Some(Ok(trace))) = (step, id.map(|id| TraceId::from_hex(&id))) else {
            // It is no step of a login, so it is not exported.
            return self.0.build_with_context(builder, &Context::new().with_telemetry_suppressed());
        };
        TRACE.set(trace);
        (builder.name, builder.attributes) = (step.into(), Some(fields));
        // Without a span around it the library asks for the id of a trace. A login's work inside another's is no part of that.
        match around.span().span_context().trace_id() == trace {
            true => self.0.build_with_context(builder, around),
            false => self.0.build_with_context(builder, &Context::new()),
        }
    }
}

/// Gives the id of the login as that of a trace.
#[derive(Debug, Default)]
struct LoginIds(RandomIdGenerator);

impl IdGenerator for LoginIds {
    fn new_trace_id(&self) -> TraceId {
        TRACE.get()
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use opentelemetry::KeyValue;
    use opentelemetry::trace::Status;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SimpleSpanProcessor, SpanData, SpanExporter};
    use tracing::subscriber::with_default;
    use tracing::{debug, error, info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    const TRACE: &str = "cd2abeeaa545d6de4cd772515432c561";
    const OTHER: &str = "00000000000000000000000000000001";

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(spans);
            Ok(())
        }
    }

    /// The spans that end while `work` is done.
    fn spans(sampler: Sampler, work: impl FnOnce()) -> Vec<SpanData> {
        let kept = Kept::default();
        let queue = SimpleSpanProcessor::new(kept.clone());
        let provider = provider(queue, sampler, Resource::builder_empty().build());
        with_default(registry().with(listening(&provider)), work);
        std::mem::take(&mut *kept.0.lock().unwrap())
    }

    fn trace(span: &SpanData) -> String {
        span.span_context.trace_id().to_string()
    }

    #[test]
    fn a_span_with_a_step_is_exported_in_the_trace_of_its_id_with_its_lines() {
        let spans = spans(Sampler::AlwaysOn, || {
            let _around = info_span!("login", id = %TRACE, step = "scan", way = "typed").entered();
            info!(outcome = "logged_in", first = true, count = 3, "a scan was {}", "answered");
            debug!("nobody needs this");
            let _quiet = info_span!("login", id = %TRACE).entered();
            info_span!("login", id = %TRACE, step = "answer").in_scope(|| error!("no store"));
            info_span!("login", id = %OTHER, step = "deny").in_scope(|| {});
            info!("also through a span that is not exported");
        });
        let [answer, deny, scan] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&*scan.name, &*answer.name, &*deny.name), ("scan", "answer", "deny"));
        assert_eq!((trace(scan), trace(answer), trace(deny)), (TRACE.into(), TRACE.into(), OTHER.into()));
        let (none, of_scan) = (SpanId::INVALID, scan.span_context.span_id());
        assert_eq!((scan.parent_span_id, answer.parent_span_id, deny.parent_span_id), (none, of_scan, none));
        assert_eq!(scan.attributes, [KeyValue::new("way", "typed")]);
        let [line, other] = &scan.events[..] else { panic!("{scan:?}") };
        assert_eq!(
            (&*line.name, &*other.name),
            ("a scan was answered", "also through a span that is not exported")
        );
        let own = [("level", "INFO"), ("target", module_path!()), ("outcome", "logged_in")];
        let own = own.map(|(name, value)| KeyValue::new(name, value));
        let all = own.into_iter().chain([KeyValue::new("first", true), KeyValue::new("count", 3)]);
        assert_eq!(line.attributes, all.collect::<Vec<_>>());
        assert!(matches!((&answer.status, &scan.status), (Status::Error { .. }, Status::Unset)));
        assert!(scan.start_time <= answer.start_time && answer.end_time <= scan.end_time);
    }

    #[test]
    fn no_more_is_kept_of_a_span_than_its_limit() {
        let spans = spans(Sampler::AlwaysOn, || {
            let span = info_span!("login", id = %TRACE, step = "scan");
            span.in_scope(|| (0..100).for_each(|_| info!("a line")));
        });
        assert_eq!(spans[0].events.len(), MOST_EVENTS as usize);
    }

    #[test]
    fn what_has_no_trace_or_is_not_sampled_is_not_exported() {
        let work = || {
            info_span!("login", id = "short", step = "scan").in_scope(|| {});
            info_span!("login", step = "scan").in_scope(|| {});
            info_span!("login", id = %TRACE).in_scope(|| info!("a line"));
        };
        assert_eq!(spans(Sampler::AlwaysOn, work), []);
        let work = || info_span!("login", id = %TRACE, step = "scan").in_scope(|| info!("a line"));
        assert_eq!(spans(Sampler::AlwaysOff, work), []);
    }

    #[test]
    fn a_share_of_all_ids_is_taken_by_the_id_alone() {
        let work = || {
            for n in 0..1000_u64 {
                let id = format!("{:032x}", u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                info_span!("login", %id, step = "scan").in_scope(|| {});
            }
        };
        let taken = || spans(Sampler::TraceIdRatioBased(0.25), work).iter().map(trace).collect::<Vec<_>>();
        assert!((230..270).contains(&taken().len()), "{}", taken().len());
        assert_eq!(taken(), taken());
    }
}
