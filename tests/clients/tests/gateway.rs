//! The real gateway's internal port gets the bytes of all test vectors, at once and byte by byte, and must
//! react as they say.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::net::SocketAddr;

use demo::{Options, Stack};
use e2e::raw::{End, Raw};
use serde_json::{Value, json};
use test_clients::player::patiently;
use test_clients::vectors::{Then, ToGateway, vectors};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

/// The longest bytes that are also sent one by one. Longer ones would be tens of thousands of packets and show
/// nothing more.
const SHORT: usize = 4096;

/// Vectors sent together, each on two connections at most: one address may have 16 that have not proved a key.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn first_bytes_that_are_not_believed() {
    send_all("auth", vectors().auth, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_good_auth() {
    send_all("to_gateway", vectors().to_gateway, true).await;
}

/// Sends every vector of a group on a connection of its own, or on two.
async fn send_all(group: &str, vectors: Vec<ToGateway>, proves: bool) {
    let stack = Stack::start(Options::default()).await.unwrap();
    let notices = stack.gateway.notices;
    let count = vectors.len();
    let mut sent = Vec::new();
    for vectors in vectors.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for vector in vectors {
            let ways: &[bool] = if vector.bytes.0.len() <= SHORT { &[true, false] } else { &[true] };
            for at_once in ways.iter().copied() {
                let vector = vector.clone();
                tasks.spawn(async move {
                    let held = send(notices, &vector, proves, at_once).await;
                    held.map(|()| at_once).map_err(|fault| {
                        format!(
                            "{}, {}: {fault}",
                            vector.name,
                            if at_once { "at once" } else { "byte by byte" }
                        )
                    })
                });
            }
        }
        sent.extend(tasks.join_all().await);
    }
    let faults: Vec<_> = sent.iter().filter_map(|sent| sent.as_ref().err().cloned()).collect();
    assert!(faults.is_empty(), "{group}: {} of {}:\n{}", faults.len(), sent.len(), faults.join("\n"));
    let at_once = sent.iter().filter(|sent| **sent == Ok(true)).count();
    eprintln!("{group}: {at_once} vectors at once, {} byte by byte", sent.len() - at_once);
    assert_eq!(at_once, count);
}

async fn send(notices: SocketAddr, vector: &ToGateway, proves: bool, at_once: bool) -> Result<(), String> {
    let mut client = Raw::connect(notices).await;
    client.0.set_nodelay(true).unwrap();
    match proves {
        true => client.prove().await,
        false => _ = client.message().await.ok_or("no hello")?,
    }
    let (mut reading, mut writing) = client.0.into_split();
    let writes = async {
        // The gateway may close before it has read everything.
        if at_once {
            let _ = writing.write_all(&vector.bytes.0).await;
        } else {
            for byte in &vector.bytes.0 {
                let _ = writing.write_all(&[*byte]).await;
            }
        }
        if vector.leaves {
            let _ = writing.shutdown().await;
        }
    };
    let reads = async {
        let mut said = Vec::new();
        for _ in &vector.says {
            said.push(message(&mut reading).await?.ok_or("the gateway says less")?);
        }
        Ok::<_, String>(said)
    };
    let ((), said) = tokio::join!(writes, reads);
    are_the_same(&vector.says, said?)?;
    if vector.then == Then::Stays {
        let ping = json!({"type": "ping", "id": "still here"}).to_string();
        writing.write_all(&e2e::raw::framed(ping)).await.map_err(|error| error.to_string())?;
        let pong = message(&mut reading).await?;
        return expect(&pong, &Some(json!({"type": "pong", "id": "still here"})));
    }
    expect(&message(&mut reading).await?, &None)?;
    let mut client = Raw(reading.reunite(writing).unwrap());
    expect(&client.ended().await, &End::Closed)
}

/// Compares messages in any order, with an error last, and without the texts for people.
fn are_the_same(expected: &[Value], mut said: Vec<Value>) -> Result<(), String> {
    let told = format!("{said:?}");
    for message in &mut said {
        let words = message.as_object_mut().unwrap().remove("message");
        let is_for_people = message["type"] == "error" || message["status"] == "bad";
        if words.is_some() != is_for_people {
            return Err(format!("words for people belong to errors and to bad answers alone: {told}"));
        }
    }
    if said.last() != expected.last() && said.iter().any(|message| message["type"] == "error") {
        return Err(format!("an error comes last: {told}"));
    }
    for expected in expected {
        let place = said.iter().position(|said| said == expected);
        said.swap_remove(place.ok_or_else(|| format!("{expected} is missing in {told}"))?);
    }
    Ok(())
}

/// The next message; `None` at the end of the stream.
async fn message(reading: &mut tokio::net::tcp::OwnedReadHalf) -> Result<Option<Value>, String> {
    use tokio::io::AsyncReadExt;
    let mut length = [0; 4];
    if patiently(reading.read(&mut length[..1])).await.map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    patiently(reading.read_exact(&mut length[1..])).await.map_err(|error| error.to_string())?;
    let mut json = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
    patiently(reading.read_exact(&mut json)).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map(Some).map_err(|error| error.to_string())
}

fn expect<T: PartialEq + std::fmt::Debug>(is: &T, should_be: &T) -> Result<(), String> {
    if is == should_be { Ok(()) } else { Err(format!("{should_be:?} is right, not {is:?}")) }
}
