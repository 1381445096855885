//! A dashboard and rules are texts, and nothing but these tests tells that a name in them is wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::rules::rules;

const METRICS: &str = include_str!("../../../../docs/metrics.md");
const OPERATE: &str = include_str!("../../../../docs/operate.md");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/dashboard.json");

/// Labels that Prometheus adds, or that belong to histograms.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Every metric of the document's tables, with its labels.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for line in METRICS.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let labels: BTreeSet<_> = cells[2..].iter().flat_map(|cell| quoted(cell)).collect();
        for name in quoted(cells[1]) {
            found.insert(name, labels.clone());
        }
    }
    assert!(found.len() > 40, "docs/metrics.md has rows that begin with a name: {found:?}");
    found
}

/// Every expression of the dashboard: of its panels, its variables, its annotations.
pub(crate) fn dashboard() -> Vec<String> {
    let read: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = read["panels"].as_array().unwrap();
    let of = |value: &Value| value["expr"].as_str().unwrap().to_owned();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten().map(of);
    let annotations = read["annotations"]["list"].as_array().unwrap().iter().map(of);
    targets.chain(annotations).collect()
}

/// The metrics that an expression names.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_metric = |word: &&str| ["gateway_", "callback_", "process_"].iter().any(|of| word.starts_with(of));
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The labels that an expression chooses or groups by.
fn labels(expression: &str) -> BTreeSet<String> {
    let is_name =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut found = BTreeSet::new();
    for (at, opening) in expression.match_indices(['{', '(']) {
        let inside = expression[at + 1..].split(['}', ')']).next().unwrap();
        let before = expression[..at].trim_end();
        if opening == "{" {
            let names = inside.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
            found.extend(names.map(str::trim).filter(is_name).map(str::to_owned));
        } else if before.ends_with("by") || before.ends_with("on") {
            found.extend(inside.split(',').map(str::trim).filter(is_name).map(str::to_owned));
        }
    }
    found.remove("__name__");
    found
}

/// Expressions of alerts and dashboard, each with where it stands.
async fn expressions() -> Vec<(String, String)> {
    let mut all: Vec<_> = rules().await.into_iter().map(|rule| (rule.name, rule.query)).collect();
    all.extend(dashboard().into_iter().map(|expression| ("the dashboard".to_owned(), expression)));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_label_that_is_watched_exists() {
    let documented = documented();
    // The two that Prometheus makes itself.
    let own = ["up", "ALERTS"];
    for (place, expression) in expressions().await {
        let named = metrics(&expression);
        assert!(!named.is_empty() || own.iter().any(|own| expression.contains(own)), "{place}: {expression}");
        let mut known = BTreeSet::from(ADDED.map(str::to_owned));
        known.extend(["alertname", "alertstate"].map(str::to_owned));
        for name in named {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let row = documented.get(&name).or_else(|| base.and_then(|base| documented.get(base)));
            let row = row.unwrap_or_else(|| panic!("{place}: docs/metrics.md has no {name}"));
            known.extend(row.iter().cloned());
        }
        for label in labels(&expression) {
            assert!(known.contains(&label), "{place}: no metric of it has a label {label}: {expression}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_says_what_to_do_in_both_languages() {
    let mut sections: BTreeSet<_> =
        OPERATE.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    for rule in rules().await {
        assert!(sections.remove(&rule.name), "docs/operate.md has no section {}", rule.name);
        let annotation = |name: &str| rule.annotations[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(annotation("runbook_url"), format!("docs/operate.md#{}", rule.name.to_lowercase()));
        assert!(annotation("summary").is_ascii() && !annotation("summary").is_empty(), "{}", rule.name);
        assert!(!annotation("summary_zh").is_ascii(), "{}", rule.name);
        assert!(matches!(rule.severity.as_str(), "critical" | "warning"), "{}", rule.name);
    }
    assert!(sections.is_empty(), "there is no such alert: {sections:?}");
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let read: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = read["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} leaves the grid");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} lies over another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title} says nothing");
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title} is bound to one Grafana");
        }
    }
    let variables = read["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
}
