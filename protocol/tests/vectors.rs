//! The wire's test vectors against the codec, the messages and the proofs. Over sockets, against the gateway and every
//! client, they are played by `tests/clients`.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

#[allow(unreachable_pub, reason = "it is public where the other tests share it")]
#[path = "../../tests/clients/src/vectors.rs"]
mod vectors;

use std::collections::{BTreeSet, HashSet};

use bytes::BytesMut;
use protocol::codec::{Codec, FrameError, FromFrame};
use protocol::message::{ClientMessage, ServerMessage, Status};
use protocol::{Key, VERSION};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::codec::{Decoder, Encoder};
use vectors::{Bytes, End, Failure, Frame, Outcome, Then, ToClient, ToGateway, vectors};

/// Runs every vector of a group and says how many there were. All of them are run before the first fault is told.
fn each<V>(group: &str, vectors: &[V], name: impl Fn(&V) -> &str, test: impl Fn(&V) -> Result<(), String>) {
    let mut names = HashSet::new();
    let mut faults = Vec::new();
    for vector in vectors {
        assert!(names.insert(name(vector)), "two vectors of {group} have the name {:?}", name(vector));
        if let Err(fault) = test(vector) {
            faults.push(format!("{}: {fault}", name(vector)));
        }
    }
    assert!(!names.is_empty(), "{group} has no vectors");
    assert!(faults.is_empty(), "{group}: {} of {}:\n{}", faults.len(), names.len(), faults.join("\n"));
    eprintln!("{group}: {} vectors", names.len());
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(what: &str, is: &T, should_be: &T) -> Result<(), String> {
    if is == should_be { Ok(()) } else { Err(format!("{what} is {is:?} and should be {should_be:?}")) }
}

fn key(text: &str) -> Key {
    Key::new(&SecretString::from(text)).unwrap()
}

/// Every message in these bytes, and how they end: with the fault that ends the connection, or at the end of a frame.
fn read<M: FromFrame>(bytes: &[u8]) -> (Vec<M>, Option<FrameError>) {
    let mut codec = Codec::<M>::default();
    let mut bytes = BytesMut::from(bytes);
    let mut messages = Vec::new();
    loop {
        match codec.decode_eof(&mut bytes) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}

fn written<M: FromFrame + serde::Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    Codec::<M>::default().encode(message, &mut bytes).unwrap();
    bytes.to_vec()
}

#[test]
fn every_proof_holds() {
    let vectors = vectors();
    assert_eq!(vectors.version, VERSION);
    assert!(vectors.about.concat().contains("PROTOCOL.md"));
    each(
        "proofs",
        &vectors.proofs,
        |vector| &vector.name,
        |vector| {
            let key = key(&vector.key);
            same("the proof", &key.proof(&vector.challenge), &vector.proof)?;
            same("that it holds", &key.verifies(&vector.challenge, &vector.proof), &true)
        },
    );
}

#[test]
fn every_frame_is_read_and_written() {
    let vectors = vectors();
    each(
        "frames",
        &vectors.frames,
        |vector| &vector.name,
        |vector| match vector.from {
            End::Client => frame::<ClientMessage>(vector),
            End::Gateway => frame::<ServerMessage>(vector),
        },
    );
    covers_the_document(&vectors.frames);
}

fn frame<M: FromFrame + serde::Serialize + std::fmt::Debug>(vector: &Frame) -> Result<(), String> {
    let Bytes(frame) = &vector.frame;
    let object: Value = serde_json::from_slice(&frame[4..]).unwrap();
    same("the JSON in the frame", &object, &vector.object)?;
    let (messages, fault) = read::<M>(frame);
    let [message] = &messages[..] else { return Err(format!("it reads as {messages:?} and {fault:?}")) };
    let means = vector.means.as_ref().unwrap_or(&vector.object);
    if means.is_null() {
        return same("it", &format!("{message:?}"), &"Unknown".to_owned());
    }
    same("the message", &serde_json::to_value(message).unwrap(), means)?;
    let written = written(message);
    if vector.only_read {
        let (again, _) = read::<M>(&written);
        same("what is written and read again", &serde_json::to_value(&again[0]).unwrap(), means)
    } else {
        let as_text = |frame: &[u8]| String::from_utf8_lossy(&frame[4..]).into_owned();
        same("what is written", &as_text(&written), &as_text(frame))?;
        same("its length", &written[..4], &frame[..4])
    }
}

/// Every field, status and code that has a row in PROTOCOL.md's tables has a frame.
fn covers_the_document(frames: &[Frame]) {
    let mut seen = BTreeSet::new();
    for frame in frames {
        let object = frame.means.as_ref().unwrap_or(&frame.object).as_object();
        for (name, value) in object.into_iter().flatten() {
            seen.insert(name.clone());
            for (name, _) in value.as_object().into_iter().flatten() {
                seen.insert(format!("context.{name}"));
            }
            if ["type", "status", "state", "code"].contains(&name.as_str()) {
                seen.insert(value.as_str().unwrap().to_owned());
            }
        }
    }
    let document = include_str!("../PROTOCOL.md");
    let mut rows = 0;
    let mut section = "";
    for line in document.lines() {
        section = line.strip_prefix("##").unwrap_or(section);
        // A row whose first cell holds names and nothing else. Rights are no words of the wire.
        let cell = line.strip_prefix("| ").and_then(|row| row.split_once(" | ")).map_or("", |(cell, _)| cell);
        let word = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let names = cell.split(", ").map(|name| name.strip_prefix('`')?.strip_suffix('`'));
        let names: Option<Vec<_>> = names.map(|name| name.filter(|name| word(name))).collect();
        for name in names.filter(|_| !section.contains("Rights")).unwrap_or_default() {
            let name = if section.contains("Context") { format!("context.{name}") } else { name.to_owned() };
            assert!(seen.contains(&name), "no frame shows {name}, of {section}");
            rows += 1;
        }
    }
    assert!(rows > 40, "the document's tables are found: {rows}");
}

#[test]
fn first_bytes_that_are_not_believed() {
    each(
        "auth",
        &vectors().auth,
        |vector| &vector.name,
        |vector| {
            let (messages, fault) = read::<ClientMessage>(&vector.bytes.0);
            shows(vector)?;
            match (said(vector), &messages[..]) {
                // Whether a proof holds, and what comes too late, is the gateway's to say.
                ("unauthorized", []) => same("the fault", &codes(fault), &None),
                ("unauthorized", [ClientMessage::Auth { proof, .. }, ..]) => {
                    let documents = key(&vectors().proofs[0].key);
                    same("that it holds", &documents.verifies(&vectors().proofs[0].challenge, proof), &false)
                }
                ("unauthorized", [_, ..]) => Ok(()),
                (code, []) => same("the fault", &codes(fault).unwrap_or_default(), &code),
                (code, messages) => Err(format!("{code}, and yet there is {messages:?}")),
            }
        },
    );
}

#[test]
fn what_a_gateway_makes_of_bytes() {
    each(
        "to_gateway",
        &vectors().to_gateway,
        |vector| &vector.name,
        |vector| {
            let (messages, fault) = read::<ClientMessage>(&vector.bytes.0);
            shows(vector)?;
            let mut says: Vec<Value> = messages.iter().map(answer_to).collect();
            match fault {
                Some(FrameError::Cut) if vector.leaves => {}
                // A gateway that is told a length that it refuses waits for nothing more.
                Some(fault) => says.push(json!({"type": "error", "code": fault.code()})),
                None => {}
            }
            same("what is said", &says, &vector.says)?;
            let ends = vector.leaves || !said(vector).is_empty();
            same(
                "what becomes of the connection",
                &vector.then,
                if ends { &Then::Closes } else { &Then::Stays },
            )
        },
    );
}

/// What a gateway that knows no login says to a message behind a good auth.
fn answer_to(message: &ClientMessage) -> Value {
    let with = |mut answer: Value, id: Option<&String>| {
        if let Some(id) = id {
            answer["id"] = json!(id);
        }
        answer
    };
    match message {
        ClientMessage::Auth { .. } => json!({"type": "answer", "status": "bad"}),
        ClientMessage::Notice { id, .. } => with(json!({"type": "answer", "status": "unknown"}), id.as_ref()),
        ClientMessage::Ping { id } => with(json!({"type": "pong"}), id.as_ref()),
        ClientMessage::Bad { id, message } => {
            assert!(!message.is_empty());
            with(json!({"type": "answer", "status": "bad"}), id.as_ref())
        }
    }
}

/// The code of the error that is said; empty where none is.
fn said(vector: &ToGateway) -> &str {
    vector.says.last().and_then(|last| last["code"].as_str()).unwrap_or_default()
}

fn codes(fault: Option<FrameError>) -> Option<&'static str> {
    fault.and_then(|fault| fault.code())
}

/// What is shown to people is what is in the frame.
fn shows(vector: &ToGateway) -> Result<(), String> {
    let Some(text) = &vector.text else { return Ok(()) };
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    same("the frame of the text", &vector.bytes.0, &[&length, text.as_bytes()].concat())
}

#[test]
fn what_a_client_makes_of_bytes() {
    each("to_client", &vectors().to_client, |vector| &vector.name, conversation);
    let outcomes: Vec<_> = vectors().to_client.into_iter().map(|vector| vector.outcome).collect();
    for status in
        ["ok", "delivered", "stored", "unknown", "expired", "taken", "forbidden", "busy", "unsure", "bad"]
    {
        let has =
            |outcome: &Outcome| matches!(outcome, Outcome::Answer { answer } if answer["status"] == status);
        assert!(outcomes.iter().any(has), "no client is answered {status}");
    }
}

fn conversation(vector: &ToClient) -> Result<(), String> {
    let stream = |writes: &[Bytes]| writes.iter().flat_map(|Bytes(bytes)| bytes.clone()).collect::<Vec<_>>();
    let (hello, reply) = (stream(&vector.hello), stream(&vector.reply));
    let (mut messages, fault) = read::<ServerMessage>(&[hello, reply].concat());
    if let Some(auth) = vector.sends.first() {
        let Some(ServerMessage::Hello(hello)) = messages.first() else { return Err("no hello".to_owned()) };
        same("the version", &hello.version, &VERSION)?;
        let proof = key(&vector.key).proof(&hello.challenge);
        same("auth", auth, &json!({"type": "auth", "client": vector.client, "proof": proof}))?;
        same("the notice", &vector.sends[1..], std::slice::from_ref(&vector.notice))?;
    }
    let closes = |failure: Failure| matches!(failure, Failure::Closed | Failure::Refused);
    let closes = matches!(vector.outcome, Outcome::Failure { failure, .. } if closes(failure));
    same("that the gateway closes", &vector.closes, &closes)?;
    let last = messages.pop();
    match &vector.outcome {
        Outcome::Answer { answer } => {
            let Some(last) = last else { return Err("nothing is said".to_owned()) };
            // What a later version adds is not in our types.
            let mut answer = answer.clone();
            answer
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !name.starts_with("later") && *name != name.to_uppercase());
            same("the last message", &serde_json::to_value(last).unwrap(), &answer)?;
            same("the fault", &codes(fault), &None)
        }
        Outcome::Failure { failure, code } => match (failure, fault, last) {
            (Failure::Frame, Some(FrameError::Empty | FrameError::TooLong), _)
            | (Failure::Json, Some(FrameError::NotAnObject(_)), _)
            | (
                Failure::Closed,
                Some(FrameError::Cut) | None,
                None | Some(ServerMessage::Hello(_) | ServerMessage::Bye),
            )
            | (Failure::Hello, None, Some(ServerMessage::Pong { .. }))
            | (Failure::Time, None, _) => Ok(()),
            // It is no hello of ours, and our types do not tell why; it ends the connection all the same.
            (Failure::Hello, Some(FrameError::NotAnObject(_)), None) => Ok(()),
            (Failure::Version, None, Some(ServerMessage::Hello(hello))) if hello.version != VERSION => Ok(()),
            (Failure::Refused, None, Some(ServerMessage::Error { code: is, .. })) => {
                same("the code", &Some(is), code)
            }
            (failure, fault, last) => Err(format!("no {failure:?}: {fault:?} behind {last:?}")),
        },
    }
}

#[test]
fn every_status_of_the_document_is_ours() {
    for answer in vectors().frames.iter().filter(|vector| vector.object["type"] == "answer") {
        let status: Status = serde_json::from_value(answer.object["status"].clone()).unwrap();
        assert_eq!(status.as_str(), answer.object["status"], "{}", answer.name);
    }
}
