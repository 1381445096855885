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

const LOGIN: &str = "http://weixin.qq.com/q/02ThisIsNobodysCode10000g07h";
const ACCOUNT: &str = "http://weixin.qq.com/r/ThisIsNobodysAccount";

const MODULE: usize = 8;
const QUIET_ZONE: usize = 4;

/// A code as the gateway draws it, always the same.
fn picture(content: &str) -> String {
    let code = fast_qr::QRBuilder::new(content).ecl(fast_qr::ECL::M).build().unwrap();
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
        "message_type": "qrcode_url", "url": "", "content": "", "image": picture(LOGIN), "expires_in": 300,
        "resume": "scene.secret",
    }))
}

/// A login that has more than a QR code, or something else: these fields are added to its message, or replace what is there.
fn with(fields: &serde_json::Value) -> String {
    let mut message = json!({
        "message_type": "qrcode_url", "url": "", "content": "", "image": picture(LOGIN), "expires_in": 300,
        "resume": "scene.secret",
    });
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    say(&message)
}

/// The code that is sent, beside a QR code.
pub(crate) fn typed_beside() -> String {
    with(&json!({ "typed": "482913", "account": "示例科技", "account_image": picture(ACCOUNT) }))
}

/// The code that is sent, and no QR code.
pub(crate) fn typed_only() -> String {
    with(&json!({ "image": "", "typed": "482913", "account": "示例科技", "account_image": picture(ACCOUNT) }))
}

/// The same, of an account without a picture and without a name, with the longest code.
pub(crate) fn typed_bare() -> String {
    with(&json!({ "image": "", "typed": "482913570" }))
}

/// All ways at once.
pub(crate) fn every_way() -> String {
    with(&json!({
        "typed": "482913", "account": "示例科技", "account_image": picture(ACCOUNT), "open": "https://pushes.example/login/scene",
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

/// The states of a login that has a code that is sent.
pub(crate) fn ways() -> Vec<(&'static str, Vec<String>)> {
    let toggle = || "turn('toggle')".to_owned();
    vec![
        ("typed beside", vec![typed_beside()]),
        ("typed beside, the other", vec![typed_beside(), toggle()]),
        ("typed only", vec![typed_only()]),
        ("typed bare", vec![typed_bare()]),
        ("typed, number", vec![typed_only(), scanned("42")]),
    ]
}

/// The same inside WeChat.
pub(crate) fn ways_inside() -> Vec<(&'static str, Vec<String>)> {
    let toggle = || "turn('toggle')".to_owned();
    vec![
        ("inside, QR code", vec![code()]),
        ("inside, typed beside", vec![typed_beside()]),
        ("inside, typed only", vec![typed_only()]),
        ("inside, every way", vec![every_way()]),
        ("inside, every way, the others", vec![every_way(), toggle()]),
        ("inside, scanned", vec![every_way(), scanned("")]),
    ]
}

/// Those of them that have these names.
pub(crate) fn some_states(wanted: &[&str]) -> Vec<(&'static str, Vec<String>)> {
    states().into_iter().filter(|(state, _)| wanted.contains(state)).collect()
}
