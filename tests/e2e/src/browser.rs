//! A real browser for the tests: Chromium without a window, driven through chromedriver as Debian ships both.
//!
//! Each [`Browser`] has a chromedriver and a profile of its own, so that two of them are two people's
//! machines. It waits for what a page shows, looks at the page as a phone's camera does, and hears what the
//! console complains about: a refusal of the content security policy or a script's error fails no page by
//! itself.

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

/// How long a page may take to show what it should: a login takes well under a second, and a busy machine
/// is many times slower than an idle one.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a page is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(50);

/// How long chromedriver may take to end Chromium.
const GOODBYE: Duration = Duration::from_secs(5);

/// Chromium, until it is dropped.
pub struct Browser {
    /// The WebDriver session, for what has no method here.
    pub client: Client,
    session: String,
    http: reqwest::Client,
    // Fields are dropped in this order: the profile is removed when nobody writes to it any more.
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser whose person reads `language`, such as `zh-CN`.
    ///
    /// # Panics
    /// When Chromium or chromedriver does not start; the text says what to install.
    pub async fn start(language: &str) -> Self {
        let mut driver = Driver::start();
        let profile = tempfile::tempdir().unwrap();
        let wanted = json!({
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless=new",
                "--no-sandbox", // Tests run as root in containers, where Chromium has no sandbox.
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--window-size=1000,900",
                format!("--accept-lang={language}"),
                format!("--user-data-dir={}", profile.path().display()),
            ]},
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

    /// Has every page opened from now on run `script` before its own.
    pub async fn run_first(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// A command of the DevTools protocol, to the page in front.
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

    /// The text of an element, whether or not it is on show.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).textContent")).await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until a JavaScript expression is truthy in the page, and returns its value.
    ///
    /// # Panics
    /// When it does not become so in [`PATIENCE`]; the text says what the page shows instead.
    pub async fn until(&self, expression: &str) -> Value {
        let truthy = |value: &Value| {
            !(value.is_null() || value == &json!(false) || value == &json!(0) || value == &json!(""))
        };
        // Between two pages there is nothing to look at, which is no reason to stop looking.
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

    /// Holds a camera on an element until it reads a QR code that is none of `known`.
    ///
    /// # Panics
    /// When there is none in [`PATIENCE`].
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

    /// What the console has complained about since this was last asked: errors, warnings, and refusals of
    /// the content security policy, in every window.
    pub async fn complaints(&self) -> Vec<String> {
        let answer = self.chromiums_own("se/log", &json!({ "type": "browser" })).await;
        let entries = answer.as_array().unwrap();
        entries
            .iter()
            .filter(|entry| ["WARNING", "SEVERE"].contains(&entry["level"].as_str().unwrap_or_default()))
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// An element as the screen shows it, as a PNG file.
    ///
    /// # Errors
    /// When it is not there or not on show.
    pub async fn picture_of(&self, selector: &str) -> Result<Vec<u8>, CmdError> {
        let element = self.client.find(Locator::Css(selector)).await?;
        element.screenshot().await
    }

    async fn evaluate(&self, expression: &str) -> Result<Value, CmdError> {
        let script = format!("return ({expression})");
        self.client.execute(&script, Vec::new()).await
    }

    /// A command that is chromedriver's and not WebDriver's.
    async fn chromiums_own(&self, command: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/{command}", self.session)).json(body);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }
}

/// Looks again and again until there is something to see; `None` when [`PATIENCE`] is over.
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

/// How often chromedriver may fail to start before something else must be wrong.
const DRIVER_STARTS: u32 = 5;

/// chromedriver, a child of this process, and Chromium, a child of that.
struct Driver {
    process: Child,
    port: u16,
    chromium: Option<u64>,
    // Kept open: a program that writes to a closed pipe dies of it.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    /// Starts chromedriver on a free port. It takes one of IPv4 and wants the same of IPv6; where somebody has
    /// that in this moment, it ends at once, and another start finds another port.
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

    /// Has chromedriver end Chromium and then itself; it hangs up when Chromium has gone.
    fn ask_to_end(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(GOODBYE))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
    }
}

impl Drop for Driver {
    /// A test that failed ends its processes too.
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
