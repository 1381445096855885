//! A scrape as Prometheus reads it: OpenMetrics text, by families.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use e2e::raw::Raw;

/// Everything that a service said of one metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) help: String,
    /// By the sample's name and labels, as they stand in the text.
    pub(crate) samples: BTreeMap<String, f64>,
}

/// What one scrape said, by the names that a query uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scrape(pub(crate) BTreeMap<String, Family>);

impl Scrape {
    /// Asks an admin port.
    pub(crate) async fn of(admin: SocketAddr) -> Self {
        let head = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        Self::read(&Raw::ask(admin, head, b"").await.body)
    }

    /// Reads the text, and checks what OpenMetrics wants of it as far as a mistake of ours would break that.
    pub(crate) fn read(text: &str) -> Self {
        let (mut families, mut now) = (BTreeMap::<String, Family>::new(), String::new());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.last(), Some(&"# EOF"), "{text}");
        for line in &lines[..lines.len() - 1] {
            if let Some(meta) = line.strip_prefix("# ") {
                let [word, name, rest] =
                    <[&str; 3]>::try_from(meta.splitn(3, ' ').collect::<Vec<_>>()).unwrap();
                if word == "HELP" {
                    assert!(!families.contains_key(name), "{name} is there twice");
                }
                now = name.to_owned();
                let family = families.entry(now.clone()).or_default();
                let field = match word {
                    "HELP" => &mut family.help,
                    "TYPE" => &mut family.kind,
                    "UNIT" => &mut family.unit,
                    _ => panic!("{line}"),
                };
                rest.clone_into(field);
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            // An account without a name has no label.
            let sample = sample.trim_end_matches("{}");
            assert!(sample.starts_with(&now), "{sample} stands under {now}");
            let family = families.get_mut(&now).unwrap();
            let before = family.samples.insert(sample.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{sample} is there twice");
        }
        let named = families.into_iter().map(|(name, family)| {
            let end = match family.kind.as_str() {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (name + end, family)
        });
        Self(named.collect())
    }

    /// A sample's value, by its name and labels.
    pub(crate) fn get(&self, sample: &str) -> f64 {
        let mut all = self.0.values().flat_map(|family| &family.samples);
        all.find(|(name, _)| *name == sample).map_or(0.0, |(_, value)| *value)
    }

    /// The sum of all samples of a metric whose labels hold this text.
    pub(crate) fn sum(&self, metric: &str, labels: &str) -> f64 {
        let family = self.0.get(metric).unwrap_or_else(|| panic!("no {metric}"));
        let samples = family.samples.iter().filter(|(name, _)| name.contains(labels));
        samples.map(|(_, value)| value).sum()
    }

    /// Every series: name and labels.
    pub(crate) fn series(&self) -> BTreeSet<&str> {
        self.0.values().flat_map(|family| family.samples.keys()).map(String::as_str).collect()
    }

    /// What another scrape knows beside this one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (name, family) in other.0 {
            self.0.entry(name).or_default().join(family);
        }
        self
    }
}

impl Family {
    fn join(&mut self, other: Self) {
        let Self { kind, unit, help, samples } = other;
        assert!(self.help.is_empty() || self.help == help, "{help} and {}", self.help);
        (self.kind, self.unit, self.help) = (kind, unit, help);
        self.samples.extend(samples);
    }

    /// The names of its labels, but for the bounds of buckets.
    pub(crate) fn labels(&self) -> BTreeSet<String> {
        let sets = self.samples.keys().filter_map(|name| name.split_once('{'));
        // No value of ours has a comma or an equals sign in it.
        let labels = sets.flat_map(|(_, labels)| labels.trim_end_matches('}').split(','));
        let names = labels.filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        names.filter(|name| name != "le").collect()
    }
}
