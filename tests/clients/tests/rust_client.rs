//! The Rust client and the conversations of the test vectors. It outlives a connection: if one ends without an
//! answer, it makes another one and sends its notice again, until the caller's deadline.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::time::Duration;

use protocol::client::{Link, Settings};
use protocol::codec::FromFrame;
use protocol::message::{ClientMessage, ServerMessage};
use protocol::{Client, Key, NoAnswer, Notice};
use serde_json::Value;
use test_clients::player::{self, PATIENCE, Port};
use test_clients::vectors::{Failure, Outcome, ToClient, vectors};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The caller's deadline in conversations without an answer.
const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation() {
    let vectors = vectors().to_client;
    let count = vectors.len();
    let mut tasks = JoinSet::new();
    let mut inapplicable = 0;
    for vector in vectors {
        let Some(notice) = notice(&vector) else {
            inapplicable += 1;
            continue;
        };
        tasks.spawn(async move {
            play(&vector, notice).await.map_err(|fault| format!("{}: {fault}", vector.name))
        });
    }
    let played = tasks.join_all().await;
    let faults: Vec<_> = played.iter().filter_map(|played| played.as_ref().err().cloned()).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), played.len(), faults.join("\n"));
    eprintln!("{} conversations, and {inapplicable} that a lasting client cannot have", played.len());
    assert_eq!((played.len() + inapplicable, inapplicable), (count, 3));
}

/// The notice; `None` if the client would never send it. The client makes its own pings, and gives every notice
/// an `id`.
fn notice(vector: &ToClient) -> Option<Notice> {
    match ClientMessage::from_frame(vector.notice.to_string().as_bytes()).unwrap() {
        ClientMessage::Notice { id: Some(_), notice } => Some(notice),
        _ => None,
    }
}

async fn play(vector: &ToClient, notice: Notice) -> Result<(), String> {
    let port = Port::open(None).await;
    let client = Client::start(Settings {
        name: vector.client.clone(),
        key: Key::new(&vector.key.as_str().into()).unwrap(),
        addresses: vec![port.address().to_string()],
        tls: None,
    });
    let plays = async {
        loop {
            if let Err(fault) = port.play(vector, player::Client::Lasting).await {
                return fault;
            }
        }
    };
    match &vector.outcome {
        Outcome::Answer { answer } => {
            let asks = client.send(notice, Instant::now() + PATIENCE);
            let said = tokio::select! {
                fault = plays => return Err(fault),
                said = asks => said.map_err(|error| error.to_string())?,
            };
            same(said, answer)
        }
        Outcome::Failure { failure, code } => {
            let asks = async {
                if *failure != Failure::Time {
                    tokio::select! {
                        outcome = client.send(notice.clone(), Instant::now() + PATIENCE) => return outcome,
                        _ = client.wait_for(|link| tells(link, *failure, code.as_deref())) => {}
                    }
                }
                client.send(notice, Instant::now() + SHORT).await
            };
            let outcome = tokio::select! {
                fault = plays => return Err(fault),
                outcome = asks => outcome,
            };
            // If nothing was sent, nothing can be recorded.
            let nothing = if vector.sends.is_empty() { NoAnswer::NotSent } else { NoAnswer::Unknown };
            match outcome {
                Err(no_answer) if no_answer == nothing => Ok(()),
                outcome => Err(format!("{nothing:?} is right, not {outcome:?}, and {:?}", client.link())),
            }
        }
    }
}

/// Compares the answer, except the `id`, which the client chose, and fields of a later version.
fn same(said: protocol::Answer, answer: &Value) -> Result<(), String> {
    let mut said = serde_json::to_value(ServerMessage::Answer(said)).unwrap();
    said["id"] = answer["id"].clone();
    let mut answer = answer.clone();
    let known = |name: &str| !name.starts_with("later") && name != name.to_uppercase();
    answer.as_object_mut().unwrap().retain(|name, _| known(name));
    if said == answer { Ok(()) } else { Err(format!("{answer} is right, not {said}")) }
}

/// Whether the client's link state tells this failure.
fn tells(link: &Link, failure: Failure, code: Option<&str>) -> bool {
    let words: &[&str] = match failure {
        Failure::Refused => return matches!(link, Link::Refused { code: said, .. } if Some(&**said) == code),
        Failure::Version => &["version"],
        Failure::Hello => &["hello", "`challenge`", "invalid type"],
        Failure::Frame => &["a frame of"],
        Failure::Json => &["JSON object"],
        Failure::Closed => &["closed the connection", "ended inside a frame"],
        Failure::Time => &[],
    };
    matches!(link, Link::Broken(said) if words.iter().any(|word| said.contains(word)))
}
