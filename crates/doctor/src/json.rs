//! What was found, for programs, in the shape of `linkerd check -o json`.

use serde_json::{Map, Value, json};

use crate::check::{Check, Outcome};
use crate::run::{Found, outcome};
use crate::words::Language;

/// `{"success", "categories": [{"categoryName", "checks": [{"description", "result", "error", "hint"}]}]}`, with a line end.
/// `result` is `success`, `warning` or `error`. `error` says what is not well, and `hint` what to do. `detail` is what was
/// found where all is well.
#[must_use]
pub fn of(found: &[Found], language: Language) -> String {
    let categories: Vec<Value> = found
        .iter()
        .map(|category| {
            let checks: Vec<Value> = category.checks.iter().map(|check| of_check(check, language)).collect();
            json!({"categoryName": category.name, "checks": checks})
        })
        .collect();
    let text = json!({"success": outcome(found) != Outcome::Failure, "categories": categories});
    format!("{text:#}\n")
}

fn of_check(check: &Check, language: Language) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, text: &str| fields.insert(name.to_owned(), text.into());
    set("description", check.description.get(language));
    set(
        "result",
        match check.outcome {
            Outcome::Ok => "success",
            Outcome::Warning => "warning",
            Outcome::Failure => "error",
        },
    );
    if let Some(found) = &check.found {
        set(if check.outcome == Outcome::Ok { "detail" } else { "error" }, found.get(language));
    }
    if let Some(hint) = &check.hint {
        set("hint", hint.get(language));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_shape_is_linkerds() {
        let found = crate::text::tests::example();
        let value: Value = serde_json::from_str(&of(&found, Language::En)).unwrap();
        assert_eq!(
            value,
            json!({"success": false, "categories": [
                {"categoryName": "net", "checks": [
                    {"description": "WeChat's API can be reached", "result": "success"},
                    {"description": "the clock is right", "result": "success", "detail": "0.2 s apart"},
                ]},
                {"categoryName": "keys", "checks": [
                    {"description": "the certificate is good for long", "result": "warning",
                     "error": "it ends in 9 days", "hint": "renew CALLBACK_GATEWAY_CERT"},
                    {"description": "WeChat takes this machine's address", "result": "error",
                     "error": "40164 invalid ip 203.0.113.9", "hint": "allow 203.0.113.9 in the console"},
                ]},
            ]})
        );
        let calm: Value = serde_json::from_str(&of(&found[..1], Language::Zh)).unwrap();
        assert_eq!(calm["success"], true);
    }
}
