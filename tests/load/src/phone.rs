//! The visitors' phones. They scan through the offline WeChat's HTTP interface.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The number of people. It is large enough that hardly anybody scans twice at once, and small enough for the
/// offline WeChat, which keeps 20,000. The callback service counts something for each person, and this number
/// keeps that at a fixed size.
const PEOPLE: u64 = 2_000;

/// The reply to a recorded login contains one of these; see the texts of the callback service.
const LOGGED_IN: [&str; 2] = ["登录成功", "欢迎回来"];

/// The question for the page's number contains this.
const ASKED: &str = "正在请求登录";

/// All phones.
pub(crate) struct Phones {
    http: reqwest::Client,
    wechat: SocketAddr,
}

/// A person with a phone.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Person {
    /// By which sites know the person.
    pub(crate) openid: String,
    /// The name that the page should show.
    pub(crate) nickname: String,
}

/// The part of a push's result that a visitor needs.
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
    /// The person of visitor `number`.
    pub(crate) fn of(number: u64) -> Self {
        let number = number % PEOPLE;
        Self { openid: format!("o{number:0>27}"), nickname: format!("visitor {number}") }
    }
}

impl Phones {
    /// Adds all people to the offline WeChat at this address.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub(crate) async fn new(wechat: SocketAddr) -> anyhow::Result<Self> {
        // The other side closes connections that are idle for 5 s.
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2)).build()?;
        let phones = Self { http, wechat };
        for number in 0..PEOPLE {
            phones.post("/phone/people", &Person::of(number)).await?;
        }
        Ok(phones)
    }

    /// Sets the address of pushes from now on.
    ///
    /// # Errors
    /// As [`Phones::new`].
    pub(crate) async fn push_to(&self, callback: SocketAddr) -> anyhow::Result<()> {
        let change = json!({"push_url": format!("http://{callback}/wechat")});
        self.post("/control", &change).await.map(|_| ())
    }

    /// Scans a QR code for a person, and waits for the text on the phone.
    ///
    /// # Errors
    /// When the text is not that of a login, or the push took more than one try.
    pub(crate) async fn scan(&self, person: &Person, content: &str) -> anyhow::Result<()> {
        let scan = json!({"openid": person.openid, "text": content});
        self.is_told(self.post("/phone/scan", &scan).await?, &LOGGED_IN).await
    }

    /// As [`Phones::scan`], where the person is asked for the page's number.
    ///
    /// # Errors
    /// When they are not.
    pub(crate) async fn scan_and_be_asked(&self, person: &Person, content: &str) -> anyhow::Result<()> {
        let scan = json!({"openid": person.openid, "text": content});
        self.is_told(self.post("/phone/scan", &scan).await?, &[ASKED]).await
    }

    /// Types a number, and waits for the text on the phone.
    ///
    /// # Errors
    /// As [`Phones::scan`].
    pub(crate) async fn confirm(&self, person: &Person, number: &str) -> anyhow::Result<()> {
        let text = json!({"openid": person.openid, "text": number});
        self.is_told(self.post("/phone/say", &text).await?, &LOGGED_IN).await
    }

    /// The phone shows a text with one of these in it, after one try.
    async fn is_told(&self, answer: reqwest::Response, expected: &[&str]) -> anyhow::Result<()> {
        let delivery: Delivery = answer.json().await?;
        let failed = delivery.attempts.iter().find_map(|attempt| attempt.error.as_deref());
        ensure!(failed.is_none(), "a push failed: {}", failed.unwrap_or_default());
        let words = delivery.reply.unwrap_or_default();
        ensure!(expected.iter().any(|known| words.contains(known)), "a phone was told: {words}");
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
