//! Text messages of a page to the gateway.

use serde_json::Value;

/// Reads a page's message. It asks for a new code if it is an object that says so; any other message is
/// ignored. The way in which the JSON is written changes nothing.
pub fn page_message(message: &[u8]) -> &'static str {
    // A WebSocket's text message is UTF-8.
    let Ok(text) = str::from_utf8(message) else { return "no text" };
    let asks = ws_gateway::testing::fuzz::asks_for_a_new_code(text);
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        assert!(!asks, "it is no JSON");
        return "no JSON";
    };
    let says_so = json.is_object() && json["message_type"] == "refresh";
    assert_eq!(asks, says_so);
    assert_eq!(ws_gateway::testing::fuzz::asks_for_a_new_code(&json.to_string()), asks, "written as {json}");
    match (says_so, json.is_object()) {
        (true, _) => "refresh",
        (false, true) => "another message",
        (false, false) => "no object",
    }
}
