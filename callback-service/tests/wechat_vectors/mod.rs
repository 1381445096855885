//! The recorded vectors of WeChat's push format, and what we decided about them. The tests of `push` read them here,
//! and the end-to-end tests, which send them over HTTP, by its path.
//!
//! The vectors were made by another implementation (see `about` in the file).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../wechat-vectors.json")).unwrap()
}

pub(crate) fn group<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    vectors[name].as_array().unwrap()
}

pub(crate) fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// The account that a vector or a sequence was made for.
pub(crate) fn account_of<'a>(vectors: &'a Value, vector: &Value) -> &'a Value {
    let id = string(vector, "account");
    group(vectors, "accounts").iter().find(|account| string(account, "id") == id).unwrap()
}

/// The body, exactly as it is sent.
pub(crate) fn body(vector: &Value) -> Vec<u8> {
    if let Some(encoded) = vector["body_base64"].as_str() {
        return STANDARD.decode(encoded).unwrap();
    }
    let recipe = &vector["body_gen"];
    if recipe.is_null() {
        return string(vector, "body").as_bytes().to_vec();
    }
    let times = |what: &str, count: &str| {
        recipe[what]
            .as_str()
            .unwrap_or_default()
            .repeat(recipe[count].as_u64().unwrap_or_default().try_into().unwrap())
    };
    let middle = recipe["middle"].as_str().unwrap_or_default();
    let parts = [string(recipe, "prefix"), &times("repeat", "count"), middle, &times("repeat2", "count2")];
    (parts.concat() + string(recipe, "suffix")).into_bytes()
}

/// What we decided where the vectors leave it open, or where our order of checks differs from theirs:
/// the status, or 200 for a push that is taken but logs nobody in.
const DECISIONS: [(&str, u16, &str); 11] = [
    (
        "neg-safe-aes-without-encrypt",
        403,
        "a body without Encrypt is not encrypted: the mode is wrong, whatever the query says",
    ),
    ("neg-deep-nesting", 413, "its 140 KB are refused by size before anybody looks for elements"),
    ("neg-many-elements", 413, "its 200 KB as well"),
    ("neg-xml-json", 400, "accounts push XML; JSON is not offered"),
    ("neg-xml-wrong-account", 400, "the original id is configured here"),
    ("neg-openid-query-mismatch", 200, "the query's openid is unsigned and ignored; the body says who it is"),
    ("neg-scan-lowercase", 200, "event names are compared exactly: another event, not a scan"),
    ("neg-timestamp-not-integer", 403, "a timestamp is ten digits"),
    (
        "neg-resplit-timestamp-nonce",
        403,
        "a timestamp is ten digits, so a signature cannot be split elsewhere",
    ),
    ("neg-stale-timestamp", 403, "the freshness window is on"),
    ("neg-future-timestamp", 403, "the freshness window is on"),
];

/// The status that design and vector demand of a `negative` vector.
pub(crate) fn expected_status(vector: &Value) -> u16 {
    let id = string(vector, "id");
    if let Some((_, status, _)) = DECISIONS.iter().find(|(decided, ..)| *decided == id) {
        return *status;
    }
    assert_ne!(vector["expect"], "policy", "{id} waits for a decision");
    if let Some(status) = vector["expect_status"].as_u64() {
        return status.try_into().unwrap();
    }
    match string(vector, "stage") {
        "signature" | "mode" | "freshness" | "msg_signature" => 403,
        "size" => 413,
        _ => 400,
    }
}

/// The check that must fail, in our words: a refusal for another reason tests nothing.
pub(crate) fn expected_stage(vector: &Value) -> &str {
    match string(vector, "id") {
        "neg-safe-aes-without-encrypt" => "mode",
        "neg-deep-nesting" => "size",
        // Two Encrypt elements: a repeated field.
        "neg-two-encrypt" => "fields",
        _ => string(vector, "stage"),
    }
}
