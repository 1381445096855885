//! A played world around a page: its gateway says what leads the page into each of its states.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The world, which begins anew with each page. In it no form leads away from a page that is looked at.
pub(crate) const WORLD: &str = concat!(
    include_str!("../chromium_alone/world.js"),
    "HTMLFormElement.prototype.submit = HTMLFormElement.prototype.requestSubmit = () => {};
    try { sessionStorage.clear(); } catch {} // There is none in an empty page."
);

/// The same, but for the simulated phone, which asks the simulator.
pub(crate) fn world_but_on(port: u16) -> String {
    format!("if (location.port !== '{port}') {{\n{WORLD}\n}}")
}

const MODULE: usize = 8;
const QUIET_ZONE: usize = 4;

/// A code as the gateway draws it, always the same.
fn picture() -> String {
    let code = fast_qr::QRBuilder::new("http://weixin.qq.com/q/02ThisIsNobodysCode10000g07h")
        .ecl(fast_qr::ECL::M)
        .build()
        .unwrap();
    let side = (code.size + 2 * QUIET_ZONE) * MODULE;
    let is_dark = |at: usize| {
        let module = |at: usize| (at / MODULE).checked_sub(QUIET_ZONE).filter(|at| *at < code.size);
        module(at / side).zip(module(at % side)).is_some_and(|(y, x)| code[y][x].value())
    };
    let pixels: Vec<u8> = (0..side * side).map(|at| if is_dark(at) { 0 } else { 255 }).collect();
    let mut file = Vec::new();
    let across = u32::try_from(side).unwrap();
    let mut encoder = png::Encoder::new(&mut file, across, across);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    format!("data:image/png;base64,{}", STANDARD.encode(file))
}

fn say(message: &serde_json::Value) -> String {
    format!("say({message})")
}

pub(crate) fn code() -> String {
    say(&json!({
        "message_type": "qrcode_url", "url": "", "content": "", "image": picture(), "expires_in": 300,
        "resume": "scene.secret",
    }))
}

pub(crate) fn scanned(number: &str) -> String {
    say(&json!({ "message_type": "scanned", "expires_in": 288, "number": number }))
}

/// Somebody with this name has logged in.
pub(crate) fn granted_to(name: &str) -> String {
    say(&json!({ "message_type": "scan_success", "user": name, "code": "c0de" }))
}

pub(crate) fn said(message_type: &str) -> String {
    say(&json!({ "message_type": message_type }))
}

pub(crate) fn busy() -> String {
    let message = "no QR code can be had from WeChat just now";
    say(&json!({ "message_type": "error", "code": "busy", "message": message, "retry_in": 20_000 }))
}

/// Every state of a login, and what leads there from a page that was just opened.
pub(crate) fn states() -> Vec<(&'static str, Vec<String>)> {
    let and = |more: &[&str]| -> Vec<String> {
        std::iter::once(code()).chain(more.iter().map(|it| (*it).to_owned())).collect()
    };
    let unreachable = ["end(1006)", "pass(3500)", "end(1006)", "pass(6500)", "end(1006)"];
    vec![
        ("connecting", vec![]),
        ("waiting", and(&[])),
        ("scanned", and(&[&scanned("")])),
        ("number", and(&[&scanned(""), &scanned("42")])),
        ("number, connection lost", and(&[&scanned("42"), "end(1006)"])),
        ("granted", and(&[&granted_to("阿狸")])),
        ("denied", and(&[&said("denied")])),
        ("expired", and(&["see(false)", &said("expired")])),
        ("connection lost", and(&["end(1006)"])),
        ("offline", and(&unreachable)),
        ("busy", vec![busy()]),
        ("refused", vec!["end(1008)".to_owned()]),
        ("elsewhere", and(&["end(4002)"])),
    ]
}

/// Those of them that have these names.
pub(crate) fn some_states(wanted: &[&str]) -> Vec<(&'static str, Vec<String>)> {
    states().into_iter().filter(|(state, _)| wanted.contains(state)).collect()
}
