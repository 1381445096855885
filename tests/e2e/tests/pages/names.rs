//! Names as people have them: long ones, from right to left, and with pictures in them. The page for a request of a site has
//! the site's name in it, and whoever has logged in has one, too.

use login_page::{Brand, ForRequest, Language};

use crate::own::{self, Part};
use crate::played;
use crate::stage::{DESK, PHONE, SMALL, Stage};

const ARABIC: &str = "متجر الكتب القديمة في وسط المدينة";
const HEBREW: &str = "חנות הספרים של ירושלים";
const EMOJI: &str = "👩‍👩‍👧‍👦🏳️‍🌈 Café Zoë 🇨🇳 ☕️";

/// The page of an issuer for a site of this name.
async fn page(name: &str, language: Language) -> String {
    let page = ForRequest {
        site: name,
        gateway: "http://127.0.0.1:9",
        request: "h4ndle",
        account: None,
        language: Some(language),
        cancel: "/cancelled",
        pictures: &[],
        brand: &Brand::NONE,
    };
    let script = |text: &str| -> Part { ("text/javascript; charset=utf-8", text.to_owned()) };
    let parts = [
        ("/", ("text/html; charset=utf-8", page.html())),
        ("/login.js", script(login_page::SCRIPT)),
        ("/widget.v1.js", script(login_page::WIDGET)),
        ("/authorize.js", script(login_page::REQUEST_SCRIPT)),
        ("/login.css", ("text/css; charset=utf-8", login_page::STYLE.to_owned())),
    ];
    let parts = parts.map(|(path, part)| (path.to_owned(), part));
    format!("http://{}/", own::serve(page.policy(), parts.into()).await)
}

#[tokio::test]
async fn every_name_leaves_the_code_its_place() {
    let mut stage = Stage::start("en").await;
    stage.browser.run_first(played::WORLD).await;
    let (word, words) = ("W".repeat(200), "很长的名字 long name ".repeat(12));
    for name in [ARABIC, HEBREW, EMOJI, &word, &words[..], "x"] {
        let start: String = name.chars().take(20).collect();
        for language in [Language::Chinese, Language::English] {
            stage.play(&page(name, language).await, &[played::code()]).await;
            assert!(stage.browser.text("h1").await.contains(name.trim_end()), "{name}");
            for screen in [SMALL, PHONE, DESK] {
                stage.turn("dark").await;
                stage.show_on(screen).await;
                stage.check(&format!("a site called {start}…"), screen).await;
                let bottom = stage.browser.value("checks.codes()[0].bottom").await.as_f64().unwrap();
                // On the smallest phone a name of four lines is let have its place.
                let is_in_sight =
                    bottom <= screen.height as f64 || (screen.width == SMALL.width && name.len() > 60);
                assert!(is_in_sight, "{start}…: on a {} the code ends at {bottom}", screen.name);
            }
            stage.does(&played::granted_to(name)).await;
            stage.show_on(SMALL).await;
            stage.check(&format!("a person called {start}…"), SMALL).await;
        }
    }
    // The language of a page says where it begins; a name begins where its own letters do.
    stage.play(&page(HEBREW, Language::English).await, &[played::code(), played::granted_to(ARABIC)]).await;
    let direction = |selector| format!("getComputedStyle(document.querySelector('{selector}')).direction");
    assert_eq!(stage.browser.value(&direction(".saoma-user")).await, "rtl");
    assert_eq!(stage.browser.value(&direction(".saoma-status")).await, "ltr");
    stage.end_without_looks();
}
