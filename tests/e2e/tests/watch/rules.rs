//! The alert rules, as Prometheus reads them, and its own tests of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::programs::text;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::names::dashboard;
use crate::prometheus::Prometheus;

/// The folder that operators copy.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

/// One alert.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) severity: String,
    pub(crate) annotations: Value,
}

/// Every alert of the file.
pub(crate) async fn rules() -> Vec<Rule> {
    static READ: OnceCell<Vec<Rule>> = OnceCell::const_new();
    let read = READ.get_or_init(|| async {
        let prometheus = Prometheus::start(|config, rules| (config, rules));
        let answer = prometheus.get("rules", &[]).await;
        let groups = answer["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        let of = |value: &Value| value.as_str().unwrap().to_owned();
        let rule = |rule: &Value| Rule {
            name: of(&rule["name"]),
            query: of(&rule["query"]),
            severity: of(&rule["labels"]["severity"]),
            annotations: rule["annotations"].clone(),
        };
        rules.map(rule).collect()
    });
    read.await.clone()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(folder()).output();
    let output = output.expect("promtool comes with Debian's package prometheus");
    let said = text(&[output.stdout, output.stderr].concat());
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn prometheus_takes_the_configuration() {
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn each_alert_fires_when_it_should_and_none_in_a_calm_hour() {
    promtool(&["test", "rules", "alerts_test.yml"]);
}

/// A rule that no test lets fire could be one that never does.
#[tokio::test(flavor = "multi_thread")]
async fn each_alert_is_tested() {
    let tests = std::fs::read_to_string(folder().join("alerts_test.yml")).unwrap();
    for rule in rules().await {
        let fires = format!("alertname=\"{}\",alertstate=\"firing\"", rule.name);
        assert!(tests.contains(&fires), "no test lets {} fire", rule.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_of_the_dashboard_is_one() {
    let prometheus = Prometheus::start(|config, rules| (config, rules));
    for expression in dashboard() {
        let filled =
            expression.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*");
        assert!(!filled.contains('$'), "{expression}");
        prometheus.get("query", &[("query", &filled)]).await;
    }
}
