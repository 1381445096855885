//! The visitors' phones: the offline WeChat's, asked over HTTP to scan.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many people there are: enough that hardly anybody scans twice at once, and few enough for the offline
/// WeChat, which keeps 20,000. What the callback service counts for each stays as large as they are many.
const PEOPLE: u64 = 2_000;

/// The words of a recorded login hold one of these; see the texts of the callback service.
const LOGGED_IN: [&str; 2] = ["登录成功", "欢迎回来"];

/// Every phone.
pub(crate) struct Phones {
    http: reqwest::Client,
    wechat: SocketAddr,
}

/// Somebody with a phone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Person {
    openid: String,
    /// What the page should call them.
    pub(crate) nickname: String,
}

/// How a push went, as far as a visitor is interested.
#[derive(Debug, Deserialize)]
struct Delivery {
    reply: Option<String>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    error: Option<String>,
}

impl Person {
    /// The person who comes as the visitor with this number.
    pub(crate) fn of(number: u64) -> Self {
        let number = number % PEOPLE;
        Self { openid: format!("o{number:0>27}"), nickname: format!("visitor {number}") }
    }
}

impl Phones {
    /// Introduces everybody to the offline WeChat at this address.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub(crate) async fn new(wechat: SocketAddr) -> anyhow::Result<Self> {
        // The other side drops what is idle for 5 s.
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2)).build()?;
        let phones = Self { http, wechat };
        for number in 0..PEOPLE {
            phones.post("/phone/people", &Person::of(number)).await?;
        }
        Ok(phones)
    }

    /// Says where pushes go from now on.
    ///
    /// # Errors
    /// As [`Phones::new`].
    pub(crate) async fn push_to(&self, callback: SocketAddr) -> anyhow::Result<()> {
        let change = json!({"push_url": format!("http://{callback}/wechat")});
        self.post("/control", &change).await.map(|_| ())
    }

    /// Lets a person scan a QR code, and waits for what the phone shows.
    ///
    /// # Errors
    /// When that is anything but a login, or took more than one try.
    pub(crate) async fn scan(&self, person: &Person, content: &str) -> anyhow::Result<()> {
        let scan = json!({"openid": person.openid, "text": content});
        let delivery: Delivery = self.post("/phone/scan", &scan).await?.json().await?;
        let failed = delivery.attempts.iter().find_map(|attempt| attempt.error.as_deref());
        ensure!(failed.is_none(), "a push failed: {}", failed.unwrap_or_default());
        let words = delivery.reply.unwrap_or_default();
        ensure!(LOGGED_IN.iter().any(|known| words.contains(known)), "a phone was told: {words}");
        Ok(())
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<reqwest::Response> {
        let url = format!("http://{}{path}", self.wechat);
        let answer = self.http.post(url).json(body).send().await.context("the offline WeChat is gone")?;
        let status = answer.status();
        ensure!(status.is_success(), "the offline WeChat answers {path} with {status}");
        Ok(answer)
    }
}
