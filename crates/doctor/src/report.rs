//! A report to paste into an issue: Markdown with nothing private in it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::category::SETTINGS;
use crate::check::{Check, Outcome};
use crate::mask::Mask;
use crate::run::{Found, Program};
use crate::text;
use crate::words::Language;

/// Version, system, which settings are set, and all checks. Values are shown only where they say nothing about who set
/// them, secrets never.
#[must_use]
pub fn of(program: &Program, found: &[Found], language: Language) -> String {
    let values = program.given.iter().filter(|given| !given.is_plain).flat_map(|given| parts(&given.value));
    let files = program.secrets.iter().filter_map(|name| std::env::var_os(format!("{name}_FILE")));
    let files = files.flat_map(|path| parts(&path.to_string_lossy()));
    let mut mask = Mask::new(values.chain(files).chain(program.private.iter().cloned()));
    let mut report = format!("### {} {} doctor\n\n", program.name, program.version);
    let _ = writeln!(report, "- system: {}", system());
    let _ = writeln!(report, "- in a container: {}", in_a_container());
    report.push_str("\n```\n");
    for given in &program.given {
        let value = if given.is_plain { &given.value } else { "set" };
        let _ = writeln!(report, "{}: {value}", given.name);
    }
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    for name in &program.secrets {
        let by_file = format!("{name}_FILE");
        match (is_set(name), is_set(&by_file)) {
            (true, _) => writeln!(report, "{name}: set"),
            (_, true) => writeln!(report, "{by_file}: set"),
            _ => continue,
        }
        .unwrap_or_default();
    }
    let _ = write!(report, "```\n\n```\n{}```\n", text::of(&masked(found, &mut mask), language, false));
    report
}

/// What was found, with nothing private in it. The words are masked before they are folded into lines.
fn masked(found: &[Found], mask: &mut Mask) -> Vec<Found> {
    let mut masked = found.to_vec();
    for (category, check) in
        masked.iter_mut().flat_map(|category| category.checks.iter_mut().map(|check| (category.name, check)))
    {
        let Check { description, found, hint, outcome } = check;
        if category == SETTINGS && *outcome == Outcome::Failure {
            *found = found.as_ref().map(|words| words.map(|text| mask.mask_problem(text)));
        }
        for words in [Some(description), found.as_mut(), hint.as_mut()].into_iter().flatten() {
            *words = words.map(|text| mask.mask(text));
        }
    }
    masked
}

/// A value as it may stand in words: whole, each of several, a path without what it is for, and the path's folder.
fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![value.to_owned()];
    for part in value.split(',').map(str::trim) {
        parts.push(part.to_owned());
        let path = part.strip_prefix("sqlite:").unwrap_or(part);
        if !path.contains("://") {
            parts.push(path.to_owned());
            let folder = Path::new(path).parent().map(|folder| folder.display().to_string());
            parts.extend(folder);
        }
    }
    parts
}

/// The operating system and its kernel.
fn system() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map(|name| name.trim_matches('"')).unwrap_or("unknown");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{name}, {} {}, {}", std::env::consts::OS, kernel.trim(), std::env::consts::ARCH)
}

fn in_a_container() -> &'static str {
    let marks = ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"];
    if marks.iter().any(|mark| Path::new(mark).exists()) { "yes" } else { "not as far as can be seen" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Given;

    #[test]
    fn nothing_private_is_in_a_report() {
        let given = |name: &str, value: &str, is_plain| Given {
            name: name.to_owned(),
            value: value.to_owned(),
            is_plain,
        };
        let program = Program {
            name: "callback-service",
            version: "1.2.3",
            given: vec![
                given("WECHAT_MODE", "safe", true),
                given("CALLBACK_STORE", "redis://user:passw0rd@10.9.8.7", false),
            ],
            secrets: vec!["A_SECRET_THAT_IS_NOT_SET"],
            private: vec!["CALLBACK_GATEWAY_CERT".to_owned()],
        };
        let report = of(&program, &crate::text::tests::example(), Language::En);
        for there in
            ["callback-service 1.2.3", "WECHAT_MODE: safe\n", "CALLBACK_STORE: set\n", "allow <address 1> in"]
        {
            assert!(report.contains(there), "{there}: {report}");
        }
        for absent in ["passw0rd", "10.9.8.7", "203.0.113.9", "A_SECRET", "CALLBACK_GATEWAY_CERT"] {
            assert!(!report.contains(absent), "{absent}: {report}");
        }
    }
}
