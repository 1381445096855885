//! `ExportTraceServiceRequest` of OTLP 1, as protocol buffers: the fields that are used here, and no others.
//!
//! The numbers are those of opentelemetry-proto 1 (`trace/v1/trace.proto`, `common/v1/common.proto`), which are stable.

use super::{Attribute, Event, Span, Value};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u64 = 1;

/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// The name of the instrumentation scope.
const SCOPE: &str = "saoma";

/// The body of a request: these spans, of a process with this resource.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    of_version(env!("CARGO_PKG_VERSION"), resource, spans)
}

fn of_version(version: &str, resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut of_resource = Message::default();
    for (name, value) in resource {
        of_resource.message(1, &key_value(name, &Value::Text(value.clone())));
    }
    let mut scope = Message::default();
    scope.text(1, SCOPE).text(2, version);
    let mut of_scope = Message::default();
    of_scope.message(1, &scope);
    for span in spans {
        of_scope.message(2, &of_span(span));
    }
    let mut resource_spans = Message::default();
    resource_spans.message(1, &of_resource).message(2, &of_scope);
    let mut request = Message::default();
    request.message(1, &resource_spans);
    request.0
}

fn of_span(span: &Span) -> Message {
    let Span { trace, id, parent, name, start, end, attributes, events, has_failed } = span;
    let mut message = Message::default();
    message.bytes(1, trace).bytes(2, id);
    if let Some(parent) = parent {
        message.bytes(4, parent);
    }
    message.text(5, name).number(6, INTERNAL).fixed(7, *start).fixed(8, *end);
    for (name, value) in attributes {
        message.message(9, &key_value(name, value));
    }
    for event in events {
        message.message(11, &of_event(event));
    }
    if *has_failed {
        let mut status = Message::default();
        status.number(3, ERROR);
        message.message(15, &status);
    }
    message
}

fn of_event(event: &Event) -> Message {
    let mut message = Message::default();
    message.fixed(1, event.at).text(2, &event.name);
    for (name, value) in &event.attributes as &[Attribute] {
        message.message(3, &key_value(name, value));
    }
    message
}

fn key_value(name: &str, value: &Value) -> Message {
    let mut any = Message::default();
    match value {
        Value::Text(text) => any.text(1, text),
        Value::Flag(flag) => any.number(2, u64::from(*flag)),
        // A negative number is ten bytes, as protocol buffers write an int64.
        Value::Int(number) => any.number(3, number.cast_unsigned()),
    };
    let mut message = Message::default();
    message.text(1, name).message(2, &any);
    message
}

/// A message that is being written. Each method adds a field.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, number: u64) -> &mut Self {
        self.varint(field << 3).varint(number)
    }

    fn fixed(&mut self, field: u64, number: u64) -> &mut Self {
        self.varint(field << 3 | 1).0.extend(number.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2).varint(bytes.len() as u64).0.extend(bytes);
        self
    }

    fn text(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(&mut self, field: u64, message: &Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    /// Seven bits a byte, the lowest first; all but the last byte have the highest bit.
    fn varint(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
        self
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// The same request as OpenTelemetry's own `opentelemetry-proto` 1.45.2 for Python writes it.
    const OFFICIAL: &str = concat!(
        "0af7030a370a1c0a0c736572766963652e6e616d65120c0a0a77732d676174657761790a170a09686f73742e6e616d65",
        "120a0a08e7bd91e585b32d3112bb030a100a0573616f6d61120756455253494f4e12e0020a10cd2abeeaa545d6de4cd7",
        "72515432c561120801020304050607082a047363616e30013900002a36fe9c97174180b21045fe9c97174a0e0a037761",
        "7912070a0574797065644a130a046c656674120b18d4fdffffffffffffff015a82020900e11f3cfe9c97171213612073",
        "63616e2077617320616e7377657265641a0b0a056669727374120210011ad4010a046c6f6e6712cb010ac80178787878",
        "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "7878787812440a10cd2abeeaa545d6de4cd772515432c56112080b0c0d0e0f101112220801020304050607082a046465",
        "6e79300139ffffffffffffffff41ffffffffffffffff7a021802",
    );

    #[test]
    fn a_request_is_byte_for_byte_the_official_one() {
        let mut trace = [0; 16];
        HEXLOWER.decode_mut(b"cd2abeeaa545d6de4cd772515432c561", &mut trace).expect("hexadecimal digits");
        let first = Span {
            trace,
            id: [1, 2, 3, 4, 5, 6, 7, 8],
            parent: None,
            name: "scan".to_owned(),
            start: 1_700_000_000_000_000_000,
            end: 1_700_000_000_250_000_000,
            attributes: vec![("way", Value::Text("typed".to_owned())), ("left", Value::Int(-300))],
            events: vec![Event {
                at: 1_700_000_000_100_000_000,
                name: "a scan was answered".to_owned(),
                attributes: vec![("first", Value::Flag(true)), ("long", Value::Text("x".repeat(200)))],
            }],
            has_failed: false,
        };
        let second = Span {
            trace,
            id: [11, 12, 13, 14, 15, 16, 17, 18],
            parent: Some([1, 2, 3, 4, 5, 6, 7, 8]),
            name: "deny".to_owned(),
            start: u64::MAX,
            end: u64::MAX,
            attributes: Vec::new(),
            events: Vec::new(),
            has_failed: true,
        };
        let resource = [("service.name", "ws-gateway"), ("host.name", "网关-1")];
        let resource = resource.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = of_version("VERSION", &resource, &[first, second]);
        assert_eq!(HEXLOWER.encode(&request), OFFICIAL);
    }
}
