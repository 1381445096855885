//! A real browser for the tests: Chromium without a window, driven through chromedriver as Debian ships both.
//!
//! Each [`Browser`] has its own chromedriver and profile, so two browsers are like two people's machines. It
//! waits for what a page shows, reads the page as a phone's camera does, and collects the console's complaints.
//! A refusal of the content security policy or a script's error does not fail a page by itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::picture;

/// Limit for a page to show something. A login takes well under a second, but a busy machine is many times
/// slower than an idle one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at a page.
const GLANCE: Duration = Duration::from_millis(50);

/// Limit for chromedriver to end Chromium.
const GOODBYE: Duration = Duration::from_secs(5);

/// A running Chromium. Dropping it ends it.
pub struct Browser {
    /// The WebDriver session, for commands without a method here.
    pub client: Client,
    session: String,
    http: reqwest::Client,
    // Fields are dropped in this order: the profile is removed after the last program that writes to it.
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser whose person reads `language`, such as `zh-CN`.
    ///
    /// # Panics
    /// When Chromium or chromedriver does not start; the text says what to install.
    pub async fn start(language: &str) -> Self {
        Self::start_with(language, &[]).await
    }

    /// As [`Browser::start`], with trust in the certificates of these public keys, which are given by their SHA-256 in
    /// base64.
    ///
    /// # Panics
    /// As [`Browser::start`].
    pub async fn start_trusting(language: &str, pins: &[&str]) -> Self {
        Self::start_with(language, &[format!("--ignore-certificate-errors-spki-list={}", pins.join(","))])
            .await
    }

    async fn start_with(language: &str, more: &[String]) -> Self {
        let mut driver = Driver::start();
        let profile = tempfile::tempdir().unwrap();
        let mut flags = [
            "--headless=new",
            "--no-sandbox", // Tests run as root in containers, where Chromium has no sandbox.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1000,900",
        ]
        .map(str::to_owned)
        .to_vec();
        flags.push(format!("--accept-lang={language}"));
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.extend_from_slice(more);
        let wanted = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": flags },
        });
        let url = format!("http://{}:{}", Ipv4Addr::LOCALHOST, driver.port);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(wanted).unwrap())
            .connect(&url)
            .await
            .unwrap_or_else(|error| panic!("chromium does not start: {error}; {INSTALL}"));
        driver.chromium =
            client.capabilities().and_then(|it| it.get("goog:processID")).and_then(Value::as_u64);
        let session = client.session_id().await.unwrap().unwrap();
        Self {
            client,
            session: format!("{url}/session/{session}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            _driver: driver,
            _profile: profile,
        }
    }

    /// Makes every page that is opened from now on run `script` before its own scripts.
    pub async fn run_first(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Sends a DevTools command to the front page.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.chromiums_own("goog/cdp/execute", &body).await
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The value of a JavaScript expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.evaluate(expression).await.unwrap()
    }

    /// The text of an element, visible or not.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).textContent")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until a JavaScript expression is truthy in the page, and returns its value.
    ///
    /// # Panics
    /// When it is not truthy within [`PATIENCE`]; the text says what the page shows instead.
    pub async fn until(&self, expression: &str) -> Value {
        let truthy = |value: &Value| {
            !(value.is_null() || value == &json!(false) || value == &json!(0) || value == &json!(""))
        };
        // Between two pages there is no value, and then the next look is tried.
        let found = watch(async || self.evaluate(expression).await.ok().filter(truthy)).await;
        if let Some(value) = found {
            return value;
        }
        let shown = self.evaluate("document.documentElement.innerText").await;
        panic!("not within {PATIENCE:?}: {expression}; the page shows {shown:?}");
    }

    /// Waits until `body[data-state]` says `state`, as the login page's does.
    pub async fn until_state(&self, state: &str) {
        self.until(&format!("document.body.dataset.state === {state:?}")).await;
    }

    /// Reads an element's picture until it has a QR code that is not one of `known`.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`].
    pub async fn read_code(&self, selector: &str, known: &[String]) -> String {
        let found = watch(async || {
            let text = picture::scan(&self.picture_of(selector).await.ok()?)?;
            (!known.contains(&text)).then_some(text)
        })
        .await;
        found.unwrap_or_else(|| panic!("no QR code is legible in {selector}, or none but {known:?}"))
    }

    /// Clicks an element as a mouse does.
    pub async fn click(&self, selector: &str) {
        let element = self.client.find(Locator::Css(selector)).await.unwrap();
        element.click().await.unwrap();
    }

    /// The console's complaints since the last call: errors, warnings, and refusals of the content security
    /// policy, in every window.
    pub async fn complaints(&self) -> Vec<String> {
        let answer = self.chromiums_own("se/log", &json!({ "type": "browser" })).await;
        let entries = answer.as_array().unwrap();
        entries
            .iter()
            .filter(|entry| ["WARNING", "SEVERE"].contains(&entry["level"].as_str().unwrap_or_default()))
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// An element as it looks on the screen, as a PNG file.
    ///
    /// # Errors
    /// When it does not exist or is not visible.
    pub async fn picture_of(&self, selector: &str) -> Result<Vec<u8>, CmdError> {
        let element = self.client.find(Locator::Css(selector)).await?;
        element.screenshot().await
    }

    async fn evaluate(&self, expression: &str) -> Result<Value, CmdError> {
        let script = format!("return ({expression})");
        self.client.execute(&script, Vec::new()).await
    }

    /// Sends a command that chromedriver has beyond WebDriver.
    async fn chromiums_own(&self, command: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/{command}", self.session)).json(body);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }
}

/// Looks again and again until there is a result; `None` after [`PATIENCE`].
async fn watch<T>(look: impl AsyncFn() -> Option<T>) -> Option<T> {
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        if let Some(seen) = look().await {
            return Some(seen);
        }
        tokio::time::sleep(GLANCE).await;
    }
    None
}

const INSTALL: &str = "on Debian: apt-get install chromium chromium-driver fonts-noto-cjk";

/// The most attempts to start chromedriver.
const DRIVER_STARTS: u32 = 5;

/// chromedriver, a child of this process, and Chromium, a child of that.
struct Driver {
    process: Child,
    port: u16,
    chromium: Option<u64>,
    // Kept open: a program that writes to a closed pipe is killed.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    /// Starts chromedriver on a free port. It takes a port of IPv4 and needs the same one of IPv6. If that is
    /// taken, it ends at once, and the next start takes another port.
    fn start() -> Self {
        let mut said = String::new();
        for _ in 0..DRIVER_STARTS {
            let mut process = Command::new("chromedriver")
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("chromedriver does not start: {error}; {INSTALL}"));
            let mut output = BufReader::new(process.stdout.take().unwrap());
            said.clear();
            while output.read_line(&mut said).unwrap() > 0 {
                let port = said.split("successfully on port ").nth(1);
                if let Some(port) = port.and_then(|port| port.trim().trim_end_matches('.').parse().ok()) {
                    return Self { process, port, chromium: None, _output: output };
                }
            }
            process.wait().unwrap();
        }
        panic!("chromedriver names no port, {DRIVER_STARTS} times; it says: {said}");
    }

    /// Asks chromedriver to end Chromium and then itself. It closes the connection when Chromium has ended.
    fn ask_to_end(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(GOODBYE))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
    }
}

impl Drop for Driver {
    /// Ends the processes of a failed test too.
    fn drop(&mut self) {
        if self.ask_to_end().is_err()
            && let Some(chromium) = self.chromium
        {
            let _ = Command::new("kill").args(["-9", &chromium.to_string()]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
