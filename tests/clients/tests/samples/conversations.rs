//! The conversations of the test vectors, with every client: all of them in plain text, and the ordinary ones over TLS.

use std::sync::Arc;

use test_clients::player::{Client, Port};
use test_clients::samples::{Question, Sample};
use test_clients::vectors::{Failure, Outcome, ToClient, vectors};

use super::certificates::Certificates;
use super::{answered, failed, faults_of_each};

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_in_plain_text() {
    play_all(None, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_with_an_answer_over_tls() {
    let has_an_answer = |vector: &ToClient| matches!(vector.outcome, Outcome::Answer { .. });
    play_all(Some(Arc::new(Certificates::new())), has_an_answer).await;
}

async fn play_all(certificates: Option<Arc<Certificates>>, is_played: impl Fn(&ToClient) -> bool) {
    let vectors: Vec<_> = vectors().to_client.into_iter().filter(is_played).collect();
    let games = vectors.iter().map(|vector| {
        let certificates = certificates.clone();
        faults_of_each(move |sample| {
            let (certificates, vector) = (certificates.clone(), vector.clone());
            async move {
                let played = play(sample, &vector, certificates.as_deref()).await;
                played.map_err(|fault| format!("{}: {fault}", vector.name))
            }
        })
    });
    let played = futures_util::future::join_all(games).await;
    eprintln!("{} conversations with each client", played.len());
    assert_eq!(played.len(), vectors.len());
    let faults = played.concat();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

async fn play(
    sample: &'static Sample,
    vector: &ToClient,
    certificates: Option<&Certificates>,
) -> Result<(), String> {
    let port = Port::open(certificates.map(|certificates| &certificates.gateway)).await;
    let question = Question {
        address: port.address().to_string(),
        client: &vector.client,
        key: &vector.key,
        notice: vector.notice.to_string(),
        files: certificates.iter().map(|certificates| certificates.ours.certificate.as_path()).collect(),
    };
    let (run, played) = tokio::join!(sample.ask(&question), port.play(vector, Client::OneShot));
    let ended = match &vector.outcome {
        Outcome::Answer { answer } => answered(&run, answer),
        Outcome::Failure { failure, code } => failed(&run, word(*failure, code.as_deref())),
    };
    let told = [&run.stdout, &run.stderr].iter().any(|text| text.contains(vector.key.trim()));
    ended.and(played).and(if told { Err("it tells the key".to_owned()) } else { Ok(()) })
}

/// A word that the client's line about this failure contains, so that another failure is not taken for it.
fn word(failure: Failure, code: Option<&str>) -> &str {
    match failure {
        Failure::Version => "version",
        Failure::Refused => code.unwrap(),
        Failure::Hello => "hello",
        Failure::Frame => "a frame of ",
        Failure::Json => "JSON object",
        Failure::Closed => "closed",
        Failure::Time => "within 5 s",
    }
}
