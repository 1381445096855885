//! Variables of the environment that look like settings and are none: mostly names that were typed wrong.

use std::ffi::OsString;

use crate::check::Sheet;
use crate::words::Words;

/// What the names of our settings begin with.
const PREFIXES: [&str; 4] = ["CALLBACK_", "GATEWAY_", "WECHAT_", "NOTIFY_"];

/// Every setting of both services and of the program `notify`, because they may share an environment. A test writes it anew
/// from `--help`.
const SETTINGS: &str = include_str!("settings.txt");

/// Settings of commands alone.
const OF_COMMANDS: [&str; 1] = ["GATEWAY_URL"];

/// At most so many names are told, each in a check of its own.
const MOST: usize = 20;

/// Whether it is the name of a setting.
pub(crate) fn is_setting(name: &str) -> bool {
    SETTINGS.lines().any(|setting| setting == name)
}

/// Whether neither the services nor `notify` know such a setting.
fn is_unknown(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !is_setting(name)
        && !OF_COMMANDS.contains(&name)
        && !is_of_kubernetes(name)
}

/// Kubernetes tells every container of the services beside it by variables: `GATEWAY_SERVICE_HOST` for one named `gateway`.
fn is_of_kubernetes(name: &str) -> bool {
    let is_port = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
        || name.ends_with("_PORT")
}

/// The setting that was probably meant.
fn nearest(name: &str) -> Option<&'static str> {
    let words: Vec<&str> = name.split('_').collect();
    let is_within = |setting: &&str| setting.split('_').all(|word| words.contains(&word));
    let typed_wrong = SETTINGS.lines().map(|setting| (distance(name, setting), setting)).min();
    typed_wrong
        .filter(|(distance, _)| *distance <= (name.len() / 5).max(2))
        .map(|(_, setting)| setting)
        .or_else(|| SETTINGS.lines().filter(is_within).max_by_key(|setting| setting.len()))
}

/// Letters to add, remove or change so that one becomes the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Says which variables of the environment are no settings. Values are not shown.
pub fn look(sheet: &Sheet) {
    look_at(sheet, std::env::vars_os().map(|(name, _)| name));
}

fn look_at(sheet: &Sheet, variables: impl Iterator<Item = OsString>) {
    let names = variables.filter_map(|name| name.into_string().ok());
    let mut unknown: Vec<String> = names.filter(|name| is_unknown(name)).collect();
    unknown.sort_unstable();
    if unknown.is_empty() {
        sheet.ok(Words::new(
            "every variable with a name of ours is a setting",
            "环境变量中没有写错名字的设置",
        ));
    }
    for name in unknown.iter().take(MOST) {
        let found = Words::new(
            format!("no program of ours has a setting {name}; it has no effect"),
            format!("没有名为 {name} 的设置，它不起作用"),
        );
        let hint = match nearest(name) {
            Some(setting) => Words::new(
                format!("perhaps {setting} is meant; rename it, or take {name} out of the environment"),
                format!("可能是想写 {setting}；请改名，或从环境中去掉 {name}"),
            ),
            None => Words::new(
                format!("docs/settings.md has all names; take {name} out of the environment"),
                format!("docs/settings.md 列出了所有名字；请从环境中去掉 {name}"),
            ),
        };
        sheet.warning(
            Words::new(format!("{name} is a setting"), format!("{name} 是有效的设置名")),
            found,
            hint,
        );
    }
    if unknown.len() > MOST {
        let more = unknown.len() - MOST;
        sheet.warning(
            Words::new("the other variables are settings", "其他变量都是有效的设置名"),
            Words::new(format!("{more} more are none"), format!("还有 {more} 个不是")),
            Words::new("correct the ones above, and ask again", "请先改正以上各项，再检查一次"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::words::Language;

    #[test]
    fn names_that_were_typed_wrong_are_pointed_out_with_what_was_meant() {
        for (typed, meant) in [
            ("WECHAT_TOKN", Some("WECHAT_TOKEN")),
            ("WECHAT_APPID", Some("WECHAT_APP_ID")),
            ("WECHAT_ENCODING_AES_KEY", Some("WECHAT_AES_KEY")),
            ("CALLBACK_GATWAY", Some("CALLBACK_GATEWAY")),
            ("GATEWAY_ALLOW_ORIGINS", Some("GATEWAY_ALLOWED_ORIGINS")),
            ("NOTIFY_KEY_FILES", Some("NOTIFY_KEY_FILE")),
            ("WECHAT_PAY", None),
        ] {
            assert!(is_unknown(typed), "{typed}");
            assert_eq!(nearest(typed), meant, "{typed}");
        }
        for fine in [
            "WECHAT_TOKEN",
            "WECHAT_TOKEN_FILE",
            "GATEWAY_LISTEN",
            "GATEWAY_URL",
            "NOTIFY_GATEWAY",
            "NOTIFY_CERT_KEY",
            "NOTIFY_TLS",
            "PATH",
            "GATEWAY_SERVICE_HOST",
            "GATEWAY_PORT_9999_TCP_ADDR",
            "CALLBACK_SERVICE_PORT_HTTP",
            "GATEWAY_PORT",
        ] {
            assert!(!is_unknown(fine), "{fine}");
        }
    }

    #[test]
    fn each_is_told_without_its_value_and_many_are_cut_short() {
        let look = |names: Vec<String>| {
            let sheet = Sheet::default();
            look_at(&sheet, names.into_iter().map(OsString::from));
            sheet.checks()
        };
        assert_eq!(look(vec!["PATH".to_owned()])[0].outcome, Outcome::Ok);
        let checks = look((0..30).map(|number| format!("WECHAT_TOKN{number}")).collect());
        assert_eq!(checks.len(), MOST + 1);
        assert!(checks.iter().all(|check| check.outcome == Outcome::Warning));
        let last = checks[MOST].found.as_ref().map(|found| found.get(Language::En));
        assert_eq!(last, Some("10 more are none"));
    }
}
