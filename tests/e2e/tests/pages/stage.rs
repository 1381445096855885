//! Somebody who looks at pages: in one language, by day and by night, on a phone and on a desk. Of each page they keep how
//! it looks, and what is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::browser::Browser;
use e2e::picture::Pixels;
use serde_json::{Value, json};

use crate::look::{Look, Mask};
use crate::{axe, references};

/// What a page is shown on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

pub(crate) const PHONE: Screen = Screen { name: "phone", width: 390, height: 844 };
pub(crate) const DESK: Screen = Screen { name: "desk", width: 1000, height: 900 };

/// The smallest phone; also what WCAG 2.2 asks for (1.4.10).
pub(crate) const SMALL: Screen = Screen { name: "small", width: 320, height: 568 };

/// What must be true of every page on every screen. It gives what is not.
const CHECKS: &str = include_str!("checks.js");

pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) language: &'static str,
    screenshots: Option<PathBuf>,
    looks: BTreeMap<String, Look>,
    problems: Vec<String>,
}

impl Stage {
    /// A browser whose person reads `language`.
    pub(crate) async fn start(language: &'static str) -> Self {
        let screenshots = env::var_os("WRITE_SCREENSHOTS").map(PathBuf::from);
        if let Some(folder) = &screenshots {
            fs::create_dir_all(folder).unwrap();
        }
        let browser = Browser::start(language).await;
        browser.run_first(CHECKS).await;
        Self { browser, language, screenshots, looks: BTreeMap::new(), problems: Vec::new() }
    }

    /// Opens a page whose gateway is a played one, and leads it into a state.
    pub(crate) async fn play(&self, url: &str, steps: &[String]) {
        // By a finger, so that the second module is there in whatever state.
        self.show_on(PHONE).await;
        self.browser.open(url).await;
        // With a site the widget thinks of a verifier before it connects.
        self.browser.until("document.querySelector('.saoma-box') && world.look().attempts").await;
        for step in steps {
            self.does(step).await;
            if step.contains("qrcode_url") {
                self.browser.until("document.querySelector('.saoma-box[data-way]')").await;
            }
        }
    }

    /// Does something to a played page: what it then looks like.
    pub(crate) async fn does(&self, step: &str) -> Value {
        self.browser.value(&format!("world.{step}")).await
    }

    /// Turns day into night, or back. Nothing moves, so that every look at a page sees the same.
    pub(crate) async fn turn(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.browser.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Takes the page to another screen. A phone has a finger, and no mouse.
    pub(crate) async fn show_on(&self, screen: Screen) {
        let Screen { width, height, .. } = screen;
        let is_phone = screen.width < 500;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.browser.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        self.browser.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone })).await;
        // A page hears of it with its next picture.
        self.browser
            .value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            .await;
    }

    /// Calls the browser by another name, or by its own again.
    pub(crate) async fn agent(&self, name: &str) {
        self.browser.devtools("Emulation.setUserAgentOverride", json!({ "userAgent": name })).await;
    }

    /// The screen, as a PNG file.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let wish = json!({ "format": "png", "optimizeForSpeed": true });
        let taken = self.browser.devtools("Page.captureScreenshot", wish).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Keeps a picture of one element, where pictures are kept.
    pub(crate) async fn keep(&self, name: &str, selector: &str, scheme: &str, screen: Screen) {
        let Some(folder) = &self.screenshots else { return };
        self.turn(scheme).await;
        self.show_on(screen).await;
        let png = self.browser.picture_of(selector).await.unwrap();
        fs::write(folder.join(format!("{name}-{}.png", self.language)), png).unwrap();
    }

    /// How the page that was checked looks, and the picture.
    pub(crate) async fn picture(&self) -> (Look, Pixels, Vec<u8>) {
        let png = self.screenshot().await;
        let pixels = Pixels::read(&png);
        let masks = rectangles(&self.browser.value("checks.hidden()").await);
        (Look::of(pixels.clone(), &masks), pixels, png)
    }

    /// Looks at the page that is open, by day and by night and on every screen.
    pub(crate) async fn see(&mut self, page: &str) {
        for scheme in ["light", "dark"] {
            self.turn(scheme).await;
            for screen in [DESK, PHONE] {
                self.show_on(screen).await;
                self.look(&format!("{page}, {}, {scheme}, {}", self.language, screen.name), screen).await;
            }
            let found = axe::run(&self.browser, scheme == "dark").await;
            self.complain(&format!("{page}, {}, {scheme}", self.language), &found);
        }
        self.show_on(SMALL).await;
        self.check(&format!("{page}, {}, {}", self.language, SMALL.name), SMALL).await;
    }

    async fn look(&mut self, name: &str, screen: Screen) {
        self.check(name, screen).await;
        let (look, pixels, png) = self.picture().await;
        self.looks.insert(name.to_owned(), look);
        for code in rectangles(&self.browser.value("checks.codes()").await) {
            if !has_white_around(&pixels, code) {
                self.problems.push(format!("{name}: there is no white around the code"));
            }
        }
        if let Some(folder) = &self.screenshots {
            let file = format!("{}.png", name.replace(", ", "-").replace(' ', "_"));
            fs::write(folder.join(file), png).unwrap();
        }
    }

    /// Checks what must be true of every page, on the screen that it is shown on.
    pub(crate) async fn check(&mut self, name: &str, screen: Screen) {
        let found = self.browser.value(&format!("checks.all({})", screen.width)).await;
        self.complain(name, &found);
    }

    fn complain(&mut self, name: &str, found: &Value) {
        let found = found.as_array().unwrap().iter();
        self.problems.extend(found.map(|it| format!("{name}: {}", it.as_str().unwrap())));
    }

    /// Ends with what was wrong, if anything was, where there is nothing to compare.
    #[track_caller]
    pub(crate) fn end_without_looks(self) {
        assert!(self.problems.is_empty(), "\n{}", self.problems.join("\n"));
    }

    /// Ends with what was wrong, if anything was.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let differences = references::judge(self.language, &self.looks);
        let advice = if differences.is_empty() { "" } else { references::ADVICE };
        self.problems.extend(differences);
        assert!(self.problems.is_empty(), "\n{}\n{advice}", self.problems.join("\n"));
    }
}

fn rectangles(found: &Value) -> Vec<Mask> {
    let found = found.as_array().unwrap().iter();
    found
        .map(|it| {
            let part = |name: &str| it[name].as_f64().unwrap();
            Mask { x: part("x"), y: part("y"), width: part("width"), height: part("height") }
        })
        .collect()
}

/// Whether a code has its quiet zone, by day and by night: nothing but white along its edges, inside of the marks in its
/// corners.
fn has_white_around(pixels: &Pixels, code: Mask) -> bool {
    const MARKS: usize = 9;
    const ZONE: usize = 20;
    let edge = |from: f64, length: f64, most: usize| {
        ((from.ceil() as usize + MARKS).min(most), ((from + length) as usize - MARKS).min(most))
    };
    let height = pixels.height;
    let ((top, bottom), (left, right)) =
        (edge(code.y, code.height, height), edge(code.x, code.width, pixels.width));
    let is_white = |x: usize, y: usize| pixels.at(x, y).iter().all(|part| *part >= 250);
    let is_inside = |x: usize, y: usize| {
        (left + ZONE..right - ZONE).contains(&x) && (top + ZONE..bottom.saturating_sub(ZONE)).contains(&y)
    };
    // Below the screen's end there is nothing to be seen.
    let is_cut = bottom == height;
    (top..bottom)
        .all(|y| (left..right).all(|x| is_inside(x, y) || is_white(x, y) || (is_cut && y > top + ZONE)))
}

/// The folder of the tests' targets.
pub(crate) fn target() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let of_profile =
        tests.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    of_profile.and_then(Path::parent).expect("tests run from cargo's target folder").to_owned()
}
