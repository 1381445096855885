//! Sends a push to the software under test: up to three tries, each with WeChat's time limit.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Serialize, Serializer};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::envelope::Envelope;
use crate::people::Writer;
use crate::signature::sign;
use crate::{Simulator, lock, random, reply, unix_millis};

/// Tries of one push, the first one included.
pub const TRIES: u8 = 3;

/// The text that a person sees when the account's answer is missing or wrong.
pub const OUT_OF_ORDER: &str = "该公众号提供的服务出现故障";

/// The most bytes of an answer that are read. A text reply has at most a few thousand.
const MAX_ANSWER: usize = 64 * 1024;

/// The course of a push.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Delivery {
    /// What was pushed, before it was signed and encrypted: the same in every try.
    pub xml: String,
    /// Every try, in order. All but the last failed.
    pub attempts: Vec<Attempt>,
    /// The answers to the duplicates, when a switch asks for duplicates.
    pub copies: Vec<Attempt>,
    /// The text that the account replied; `None` for no reply or a failed push.
    pub reply: Option<String>,
    /// The last answer's body as it came.
    pub raw_reply: Option<String>,
}

/// One request to the push URL.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Attempt {
    /// The answer's HTTP status, when one came.
    pub status: Option<u16>,
    /// The time from opening the connection to the end of the answer; in JSON in milliseconds.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    pub took: Duration,
    /// Why WeChat does not accept the answer; `None` if it does.
    pub error: Option<String>,
    /// The text of the reply, even if a switch lost the answer afterwards.
    pub reply: Option<String>,
    /// The answer's body as it came.
    pub body: Option<String>,
}

impl Delivery {
    /// Whether WeChat accepts the answer to one of the tries.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.error.is_none())
    }
}

impl Simulator {
    /// Pushes `xml` unchanged, signed and encrypted as the mode asks, with WeChat's tries. The chat of `openid`
    /// shows the reply, or that there was none.
    ///
    /// Dropping the future stops the delivery where it is.
    pub async fn deliver(&self, xml: String, openid: &str) -> Delivery {
        self.deliver_by(xml, openid, 1).await
    }

    /// As [`Simulator::deliver`], but WeChat gets the answer at try `tries` and at none before.
    pub(crate) async fn deliver_by(&self, xml: String, openid: &str, tries: u8) -> Delivery {
        let delivery = self.bring(&xml, openid, tries).await;
        let mut people = lock(&self.state.people);
        match &delivery.reply {
            Some(text) => people.write(openid, Writer::Account, text, unix_millis()),
            None if delivery.is_ok() => {}
            None => people.write(openid, Writer::WeChat, OUT_OF_ORDER, unix_millis()),
        }
        delivery
    }

    /// Pushes what was pushed before, once more and at once: the same MsgId and CreateTime under a fresh signature. A
    /// repeat of WeChat's comes so when the answer was lost on its way. The conversation shows nothing of it.
    pub async fn repeat(&self, delivery: &Delivery, openid: &str) -> Delivery {
        self.bring(&delivery.xml, openid, 1).await
    }

    /// As [`Simulator::deliver_by`], without a conversation that shows the reply.
    pub(crate) async fn bring(&self, xml: &str, openid: &str, tries: u8) -> Delivery {
        // The semaphore is never closed.
        let _place = self.state.pushing.acquire().await.ok();
        let faults = self.state.switches.push();
        sleep(Duration::from_millis(faults.delay_ms)).await;
        let lost = faults.lose_answers.max(tries.saturating_sub(1));
        let mut delivery = Delivery { xml: xml.to_owned(), ..Delivery::default() };
        for number in 1..=TRIES {
            let next = Instant::now() + self.state.settings.answer_within;
            let tries = join_all((0..faults.duplicate.max(1)).map(|_| async {
                let envelope = self.seal(xml, openid);
                self.send(&envelope, openid).await
            }));
            let mut tried = tries.await.into_iter();
            let mut attempt = tried.next().unwrap_or_default();
            delivery.copies.extend(tried);
            if number <= lost {
                attempt.error = Some("the answer was lost on its way, as was asked for".to_owned());
            }
            if let Some(error) = &attempt.error {
                tracing::warn!(number, ?error, "a push failed");
            } else {
                delivery.reply.clone_from(&attempt.reply);
            }
            delivery.raw_reply.clone_from(&attempt.body);
            delivery.attempts.push(attempt);
            if delivery.is_ok() {
                return delivery;
            }
            if number < TRIES {
                // The next try comes no sooner after a fast failure than after a slow one.
                sleep_until(next).await;
                lock(&self.state.counters).retries += 1;
            }
        }
        lock(&self.state.counters).failed += 1;
        delivery
    }

    /// Sends one request once, and checks the answer as a reply to `openid`.
    pub async fn send(&self, envelope: &Envelope, openid: &str) -> Attempt {
        lock(&self.state.counters).pushes += 1;
        let began = Instant::now();
        let mut attempt = Attempt::default();
        let limit = began + self.state.settings.answer_within;
        let answered = timeout_at(limit, self.exchange(envelope, &mut attempt)).await;
        attempt.took = began.elapsed();
        match answered {
            Err(_) => {
                let limit = self.state.settings.answer_within;
                attempt.error = Some(format!("no answer within {limit:?}"));
            }
            Ok(Err(error)) => attempt.error = Some(format!("{error:#}")),
            Ok(Ok(body)) => {
                attempt.body = Some(String::from_utf8_lossy(&body).into_owned());
                match reply::read(&body, openid, &self.state.settings, &self.state.key) {
                    _ if attempt.status != Some(200) => {
                        attempt.error = Some("the answer's status is not 200".to_owned());
                    }
                    Ok(reply) => attempt.reply = reply,
                    Err(error) => attempt.error = Some(error.to_string()),
                }
            }
        }
        attempt
    }

    async fn exchange(&self, envelope: &Envelope, attempt: &mut Attempt) -> anyhow::Result<Vec<u8>> {
        let url = self.required_push_url()?;
        let request = self.state.http.post(url).query(&envelope.query);
        let request = request.header(http::header::CONTENT_TYPE, self.state.settings.format.media_type());
        let request = request.body(envelope.body.clone());
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        attempt.status = Some(response.status().as_u16());
        body_of(response).await
    }

    /// Sends the GET with which WeChat checks the push URL when its settings are saved.
    ///
    /// # Errors
    /// When the answer is not the `echostr` alone, with status 200, in time.
    pub async fn verify_url(&self) -> anyhow::Result<()> {
        let url = self.required_push_url()?;
        let (timestamp, nonce) = (self.now().to_string(), random::nonce());
        let echo = u64::from_be_bytes(random::bytes()).to_string();
        let query = [
            ("signature", sign([&self.state.settings.token, &timestamp, &nonce])),
            ("timestamp", timestamp),
            ("nonce", nonce),
            ("echostr", echo.clone()),
        ];
        let exchange = async {
            let response = self.state.http.get(url).query(&query).send().await;
            let response = response.map_err(reqwest::Error::without_url)?;
            let status = response.status();
            anyhow::ensure!(status == http::StatusCode::OK, "the answer's status is {status}");
            body_of(response).await
        };
        let limit = Instant::now() + self.state.settings.answer_within;
        let body = timeout_at(limit, exchange).await??;
        anyhow::ensure!(body == echo.as_bytes(), "the answer is not the echostr alone");
        Ok(())
    }

    fn required_push_url(&self) -> anyhow::Result<String> {
        let url = lock(&self.state.push_url).clone();
        url.ok_or_else(|| anyhow::anyhow!("no push URL is set: nobody knows where pushes go"))
    }
}

async fn body_of(mut response: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        anyhow::ensure!(body.len() <= MAX_ANSWER, "the answer is longer than 64 KiB");
    }
    Ok(body)
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_millis())
}
