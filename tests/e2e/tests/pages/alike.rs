//! Whether the judgement of looks is worth something: in a real page it sees what somebody has broken, and is not disturbed
//! by another machine's fonts.

use demo::{Options, Stack};

use crate::played;
use crate::references::compare;
use crate::stage::{DESK, PHONE, Stage};

#[tokio::test]
async fn a_broken_page_looks_different_and_another_font_does_not() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let stage = Stage::start("en").await;
    stage.browser.run_first(played::WORLD).await;
    let after =
        |steps: &[String]| -> Vec<String> { std::iter::once(played::code()).chain(steps.to_vec()).collect() };
    let states = [
        ("waiting", after(&[])),
        ("number", after(&[played::scanned("42")])),
        ("denied", after(&[played::said("denied")])),
    ];
    let broken = [
        ("waiting", ".saoma-code { visibility: hidden }"),
        ("waiting", ".saoma-code { width: 70% }"),
        ("number", ".saoma-number { visibility: hidden }"),
        ("number", ".saoma-number { font-size: 60px }"),
        ("denied", ".saoma-button { visibility: hidden }"),
        ("denied", ".saoma-button { background: #8a2be2 }"),
        ("denied", ".saoma-mark > path { stroke: #1d4ed8 }"),
        ("denied", ".saoma-button { margin-top: 120px }"),
        ("denied", "main { background: none; border: 0; box-shadow: none }"),
        ("denied", "body { background: #f3e3d3 }"),
    ];
    for screen in [DESK, PHONE] {
        stage.show_on(screen).await;
        for scheme in ["light", "dark"] {
            stage.turn(scheme).await;
            for (state, steps) in &states {
                stage.play(&format!("http://{}/", stack.gateway.browsers), steps).await;
                stage
                    .browser
                    .value("document.adoptedStyleSheets.push(window.added = new CSSStyleSheet())")
                    .await;
                let with = async |style: &str| {
                    stage.browser.value(&format!("added.replaceSync({style:?})")).await;
                    stage.picture().await.0
                };
                let name = format!("{state}, {scheme}, {}", screen.name);
                let reference = with("").await;
                for font in ["serif", "'Noto Sans CJK SC'", "'DejaVu Sans'"] {
                    let style = format!("* {{ font-family: {font} !important }}");
                    assert_eq!(compare(&name, &reference, &with(&style).await), None, "{font}");
                }
                for (_, style) in broken.iter().filter(|(of, _)| of == state) {
                    let said = compare(&name, &reference, &with(style).await);
                    assert!(said.is_some_and(|it| it.contains(&name)), "{name}: {style}");
                }
            }
        }
    }
}
