//! The clients as programs: valid command lines, time limits, and error messages.

use std::time::{Duration, Instant};

use serde_json::json;
use test_clients::player::{Client, Port, patiently};
use test_clients::samples::{Question, Run, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{answered, each, failed, ordinary, question};

/// An address where no program listens: the port is an old privileged one.
const NOBODY: &str = "127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_is_told_in_one_line() {
    each(|sample| async move {
        let Question { notice, key, .. } = question(&NOBODY);
        let full = [NOBODY, "callback", &notice, "ca.pem", "cert.pem", "key.pem", "more"];
        let run_with = async |key: Option<&str>, arguments: &[&str]| -> Run {
            let mut command = sample.bare();
            command.args(arguments);
            if let Some(key) = key {
                command.env("NOTIFY_KEY", key);
            }
            tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
        };
        failed(&run_with(None, &full[..3]).await, "usage: NOTIFY_KEY=")?;
        failed(&run_with(Some(""), &full[..3]).await, "usage: NOTIFY_KEY=")?;
        for count in [0, 1, 2, 5, 7] {
            failed(&run_with(Some(key), &full[..count]).await, "usage: NOTIFY_KEY=")?;
        }
        for notice in ["", "hello", "[]", "7", "null", "{"] {
            let run = sample.ask(&Question { notice: notice.to_owned(), ..question(&NOBODY) }).await;
            failed(&run, "").map_err(|fault| format!("{notice:?}: {fault}"))?;
        }
        for address in [NOBODY, "127.0.0.1", "127.0.0.1:", ":", "", "127.0.0.1:x", "[::1]"] {
            let run = sample.ask(&question(&address)).await;
            failed(&run, "").map_err(|fault| format!("{address:?}: {fault}"))?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_seconds_are_for_everything() {
    each(|sample| async move {
        let port = Port::open(None).await;
        // A gateway that keeps sending messages, but never the answer.
        let chatters = async {
            let mut stream = port.accept().await.unwrap();
            let mut pace = tokio::time::interval(Duration::from_millis(500));
            stream.write_all(&ordinary().hello[0].0).await.unwrap();
            let weather = e2e::raw::framed(r#"{"type":"weather"}"#);
            while stream.write_all(&weather).await.is_ok() {
                pace.tick().await;
            }
        };
        let began = Instant::now();
        let asked = question(&port.address());
        let (run, ()) = tokio::join!(sample.ask(&asked), patiently(chatters));
        failed(&run, "within 5 s")?;
        let took = began.elapsed();
        if took >= Duration::from_secs(5) { Ok(()) } else { Err(format!("it gives up after {took:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_told_in_one_line() {
    each(|sample| async move {
        let port = Port::open(None).await;
        let resets = async {
            let mut stream = port.accept().await.unwrap();
            stream.write_all(&ordinary().hello[0].0).await.unwrap();
            // The rest of the client's bytes stays unread in the kernel, so the close becomes a reset.
            stream.read_exact(&mut [0]).await.unwrap();
        };
        let asked = question(&port.address());
        let (run, ()) = tokio::join!(sample.ask(&asked), patiently(resets));
        failed(&run, "")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_fields_and_numbers_stay_what_they_are() {
    let notice = json!({"type": "ping", "later": {}, "more": [], "number": 1.5, "large": 1_790_000_000});
    each(|sample| {
        let mut vector = ordinary();
        vector.notice = notice.clone();
        vector.sends[1] = notice.clone();
        async move {
            let pong =
                json!({"type": "pong", "later": {}, "more": [], "number": 0.5, "large": 1_790_000_000});
            vector.reply[0].0 = e2e::raw::framed(pong.to_string());
            let port = Port::open(None).await;
            let asked = Question {
                client: &vector.client,
                key: &vector.key,
                notice: vector.notice.to_string(),
                ..question(&port.address())
            };
            let (run, played) = tokio::join!(sample.ask(&asked), port.play(&vector, Client::OneShot));
            answered(&run, &pong).and(played)
        }
    })
    .await;
}
