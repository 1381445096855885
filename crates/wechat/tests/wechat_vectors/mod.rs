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

/// What we decided where the vectors leave it open, or where our order of checks differs from theirs: the status.
const DECISIONS: [(&str, u16, &str); 12] = [
    (
        "neg-safe-aes-without-encrypt",
        403,
        "a body without Encrypt is not encrypted: the mode is wrong, whatever the query says",
    ),
    ("neg-deep-nesting", 413, "its 140 KB are refused by size before anybody looks for elements"),
    ("neg-many-elements", 413, "its 200 KB as well"),
    ("neg-two-encrypt", 400, "one of them is not signed, so the body is not authentic"),
    ("neg-xml-json", 200, "accounts push XML; JSON is not offered, and its signature holds"),
    ("neg-xml-wrong-account", 200, "the original id is configured here, and the signature holds"),
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

/// Whether a `negative` vector is taken, as what it is: no scan by anybody of a login of ours.
pub(crate) fn is_taken(vector: &Value) -> bool {
    matches!(string(vector, "id"), "neg-openid-query-mismatch" | "neg-scan-lowercase")
}

/// The status that design and vector demand of a `negative` vector. It is 200 once a push has proved where it comes
/// from, whatever is wrong with it: the vectors leave the choice between 400 and an empty 200, and an error would let
/// people switch off an account's pushes by what they type.
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
        _ => 200,
    }
}

/// The check that must fail, in our words: a refusal for another reason tests nothing.
pub(crate) fn expected_stage(vector: &Value) -> &str {
    match string(vector, "id") {
        "neg-safe-aes-without-encrypt" => "mode",
        "neg-deep-nesting" => "size",
        // The NUL is replaced, and a key with a replaced character is no key.
        "neg-xml-nul" => "fields",
        // It is told apart from broken XML, because the console's data format mends it.
        "neg-xml-json" => "json",
        _ => string(vector, "stage"),
    }
}
