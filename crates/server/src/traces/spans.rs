//! What listens to `tracing`, and makes a [`Span`] of each span with a step.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::sampler::Sampler;
use super::{Attribute, Event, Span, Value};

/// Log lines that are kept of a span, and fields of each of both.
const MOST_EVENTS: usize = 16;
const MOST_FIELDS: usize = 16;

/// Characters of a text.
const LONGEST: usize = 256;

/// Listens to spans and to the log lines in them, and puts what has ended into the exporter's queue.
#[derive(Debug, Clone)]
pub struct Spans {
    queue: mpsc::Sender<Span>,
    /// Spans that found no place in the queue.
    lost: Arc<AtomicU64>,
    sampler: Sampler,
}

/// Spans that found no place, for whoever tells of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost(Arc<AtomicU64>);

impl Lost {
    /// How many there were since the last time.
    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The field by which a span is exported, and under whose value.
const STEP: &str = "step";

/// The field that names the trace.
const ID: &str = "id";

impl Spans {
    pub(super) fn new((queue, lost): (mpsc::Sender<Span>, Lost), sampler: Sampler) -> Self {
        Self { queue, lost: lost.0, sampler }
    }

    /// The layer of a subscriber, which takes spans with a step and log lines of level info or above, whatever
    /// `RUST_LOG` says.
    pub(crate) fn filtered<S>(self) -> impl Layer<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let wanted = |of: &Metadata<'_>| match of.is_span() {
            true => of.fields().field(STEP).is_some(),
            false => *of.level() <= Level::INFO,
        };
        self.with_filter(filter_fn(wanted).with_max_level_hint(LevelFilter::INFO))
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let (name, trace) = (fields.take(STEP), fields.take(ID));
        let trace = trace.and_then(|trace| HEXLOWER.decode(trace.as_bytes()).ok()?.try_into().ok());
        let (Some(name), Some(trace)) = (name, trace) else { return };
        if !self.sampler.takes(trace) {
            return;
        }
        let around = span.parent().into_iter().flat_map(|parent| parent.scope());
        let parent = around.filter_map(|span| {
            let around = span.extensions();
            around.get::<Span>().filter(|around| around.trace == trace).map(|around| around.id)
        });
        let (parent, now) = (parent.into_iter().next(), nanoseconds());
        span.extensions_mut().insert(Span {
            trace,
            id: fastrand::u64(1..).to_be_bytes(),
            parent,
            name,
            start: now,
            end: now,
            attributes: fields.known,
            events: Vec::new(),
            has_failed: false,
        });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(span) = span.extensions_mut().get_mut::<Span>() {
            let mut fields = Fields { known: std::mem::take(&mut span.attributes), message: None };
            record.record(&mut fields);
            span.attributes = fields.known;
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        for span in context.event_scope(event).into_iter().flatten() {
            let mut extensions = span.extensions_mut();
            let Some(span) = extensions.get_mut::<Span>() else { continue };
            let level = *event.metadata().level();
            span.has_failed |= level == Level::ERROR;
            if span.events.len() < MOST_EVENTS {
                let mut fields = Fields::default();
                fields.add("level", Value::Text(level.to_string()));
                event.record(&mut fields);
                let name = fields.message.unwrap_or_default();
                span.events.push(Event { at: nanoseconds(), name, attributes: fields.known });
            }
            return;
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut span) = span.extensions_mut().remove::<Span>() else { return };
        span.end = nanoseconds();
        if self.queue.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The fields of a span or of a log line, within the limits.
#[derive(Debug, Default)]
struct Fields {
    known: Vec<Attribute>,
    /// A log line's words.
    message: Option<String>,
}

impl Fields {
    fn add(&mut self, name: &'static str, value: Value) {
        if self.known.len() < MOST_FIELDS {
            self.known.push((name, value));
        }
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = Shortened { text: String::new(), room: LONGEST };
        // It fails where there is no more room.
        let _ = text.write_fmt(value);
        match field.name() {
            "message" => self.message = Some(text.text),
            name => self.add(name, Value::Text(text.text)),
        }
    }

    /// Takes the text of a field out.
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.known.iter().position(|(other, _)| *other == name)?;
        match self.known.remove(at).1 {
            Value::Text(text) => Some(text),
            Value::Int(_) | Value::Flag(_) => None,
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), Value::Flag(value));
    }
}

/// A text that takes no more than there is room for.
struct Shortened {
    text: String,
    /// Characters.
    room: usize,
}

impl fmt::Write for Shortened {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for character in more.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing::subscriber::with_default;
    use tracing::{debug, error, info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    const TRACE: &str = "cd2abeeaa545d6de4cd772515432c561";
    const OTHER: &str = "00000000000000000000000000000001";

    /// The spans that end while `work` is done, and how many found no place among `room`.
    fn spans(room: usize, sampler: Sampler, work: impl FnOnce()) -> (Vec<Span>, u64) {
        let (queue, mut ended) = mpsc::channel(room);
        let lost = Lost::default();
        let spans = Spans::new((queue, lost.clone()), sampler);
        with_default(registry().with(spans.filtered()), work);
        (std::iter::from_fn(|| ended.try_recv().ok()).collect(), lost.take())
    }

    fn text(name: &'static str, text: &str) -> Attribute {
        (name, Value::Text(text.to_owned()))
    }

    #[test]
    fn a_span_with_a_step_is_exported_in_the_trace_of_its_id_with_its_lines() {
        let (spans, lost) = spans(8, Sampler::ALL, || {
            let _around = info_span!("login", id = %TRACE, step = "scan", way = "typed").entered();
            info!(outcome = "logged_in", first = true, count = 3, "a scan was {}", "answered");
            debug!("nobody needs this");
            let _quiet = info_span!("login", id = %TRACE).entered();
            info_span!("login", id = %TRACE, step = "answer").in_scope(|| error!("no store"));
            info_span!("login", id = %OTHER, step = "deny").in_scope(|| {});
        });
        let [answer, deny, scan] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&*scan.name, &*answer.name, &*deny.name, lost), ("scan", "answer", "deny", 0));
        assert_eq!(HEXLOWER.encode(&scan.trace), TRACE);
        assert_eq!(
            (scan.parent, answer.parent),
            (None, Some(scan.id)),
            "also through a span that is not exported"
        );
        assert_eq!((deny.parent, HEXLOWER.encode(&deny.trace).as_str()), (None, OTHER));
        assert_eq!(scan.attributes, [text("way", "typed")]);
        let [line] = &scan.events[..] else { panic!("{scan:?}") };
        let (first, count) = (("first", Value::Flag(true)), ("count", Value::Int(3)));
        assert_eq!(line.name, "a scan was answered");
        assert_eq!(line.attributes, [text("level", "INFO"), text("outcome", "logged_in"), first, count]);
        assert!(answer.has_failed && !scan.has_failed);
        assert!(scan.start <= answer.start && answer.end <= scan.end);
    }

    #[test]
    fn nothing_is_longer_than_its_limit_and_what_finds_no_place_is_counted() {
        let (spans, lost) = spans(1, Sampler::ALL, || {
            let long = "长".repeat(10_000);
            info_span!("login", id = %TRACE, step = "scan", long).in_scope(|| {
                for _ in 0..100 {
                    info!("{long}");
                }
            });
            for _ in 0..3 {
                info_span!("login", id = %TRACE, step = "scan").in_scope(|| {});
            }
        });
        let [scan] = &spans[..] else { panic!("{spans:?}") };
        let short = "长".repeat(LONGEST);
        assert_eq!((scan.events.len(), &scan.events[0].name, lost), (MOST_EVENTS, &short, 3));
        assert_eq!(scan.attributes, [text("long", &short)]);
    }

    #[test]
    fn what_has_no_trace_or_is_not_sampled_is_not_exported() {
        let work = || {
            info_span!("login", id = "short", step = "scan").in_scope(|| {});
            info_span!("login", step = "scan").in_scope(|| {});
            info_span!("login", id = %TRACE).in_scope(|| info!("a line"));
        };
        assert_eq!(spans(8, Sampler::ALL, work), (vec![], 0));
        let none = Sampler::read("always_off", None).unwrap();
        let work = || info_span!("login", id = %TRACE, step = "scan").in_scope(|| info!("a line"));
        assert_eq!(spans(8, none, work), (vec![], 0));
    }
}
