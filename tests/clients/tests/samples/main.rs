//! The sample clients as people run them: every conversation of the test vectors, TLS with right and wrong
//! certificates, a real gateway, and errors on the command line.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod certificates;
mod conversations;
mod copied;
mod gateway;
mod program;
mod secrecy;

use serde_json::{Value, json};
use test_clients::samples::{Question, Run, Sample, samples};
use test_clients::vectors::{Outcome, ToClient, vectors};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of samples. Each test checks that none is left out.
const SAMPLES: usize = 5;

/// Clients that run at a time. More would only wait for each other, and each has only five seconds.
static PLACES: Semaphore = Semaphore::const_new(6);

/// Runs a check on each client, and panics with all faults.
async fn each<F>(what: impl Fn(&'static Sample) -> F)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let faults = faults_of_each(what).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Runs a check on each client, a few at a time.
async fn faults_of_each<F>(what: impl Fn(&'static Sample) -> F) -> Vec<String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for sample in samples() {
        let asked = what(sample);
        tasks.spawn(async move {
            let _place = PLACES.acquire().await.unwrap();
            asked.await.map_err(|fault| format!("{}: {fault}", sample.file))
        });
    }
    let done = tasks.join_all().await;
    assert_eq!(done.len(), SAMPLES);
    done.into_iter().filter_map(Result::err).collect()
}

/// Checks that the answer is on a line of its own, and that the exit code fits its status.
fn answered(run: &Run, answer: &Value) -> Result<(), String> {
    let fine = [json!("ok"), json!("delivered"), json!("stored"), json!(null)].contains(&answer["status"]);
    let code = if fine { 0 } else { 1 };
    let line = run.stdout.strip_suffix('\n').filter(|line| !line.contains('\n'));
    let said: Option<Value> = line.and_then(|line| serde_json::from_str(line).ok());
    if run.code == Some(code) && said.as_ref() == Some(answer) && run.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("code {code} and {answer} are right, not {run:?}"))
}

/// Checks that there is no answer, and one line with the reason that contains this word.
fn failed(run: &Run, word: &str) -> Result<(), String> {
    let line = run.stderr.strip_suffix('\n').filter(|line| !line.contains('\n'));
    let told = line.is_some_and(|line| line.starts_with("notify: ") && line.contains(word));
    if run.code == Some(2) && run.stdout.is_empty() && told {
        return Ok(());
    }
    Err(format!("code 2 and one line with {word:?} are right, not {run:?}"))
}

/// A conversation that ends with an answer.
fn ordinary() -> ToClient {
    let mut vectors = vectors().to_client.into_iter();
    vectors.find(|vector| matches!(vector.outcome, Outcome::Answer { .. })).unwrap()
}

/// A question that needs nothing special.
fn question(address: &impl ToString) -> Question<'static> {
    Question {
        address: address.to_string(),
        client: "callback",
        key: demo::NOTIFY_KEY,
        notice: json!({"type": "ping", "id": "1"}).to_string(),
        files: Vec::new(),
    }
}
