//! docs/metrics.md against what the services say. `WRITE_METRICS=1` writes its tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::scrape::{Family, Scrape};

/// The headings above the tables, and what the names there begin with.
const TABLES: [(&str, &str); 3] =
    [("## ws-gateway", "gateway_"), ("## callback-service", "callback_"), ("## The process", "process_")];

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../docs/metrics.md"].iter().collect()
}

/// One row of a table.
fn row(name: &str, family: &Family) -> String {
    let labels: Vec<String> = family.labels().into_iter().map(|label| format!("`{label}`")).collect();
    let unit = if family.unit.is_empty() { "" } else { &family.unit };
    format!(
        "| `{name}` | {} | {unit} | {} | {} |\n",
        family.kind,
        labels.join(", "),
        family.help.trim_end_matches('.')
    )
}

/// The table of the metrics whose names begin with this.
fn table(said: &Scrape, prefix: &str) -> String {
    let rows = said.0.iter().filter(|(name, _)| name.starts_with(prefix));
    let rows: String = rows.map(|(name, family)| row(name, family)).collect();
    format!("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n{rows}")
}

/// Compares the document with everything that the services said.
pub(crate) fn agrees_with(said: &Scrape) {
    for (name, family) in &said.0 {
        assert!(TABLES.iter().any(|(_, prefix)| name.starts_with(prefix)), "{name} belongs to no table");
        assert!(!family.help.is_empty() && !family.help.contains('|'), "{name}: {}", family.help);
        assert_eq!(
            name.contains("seconds"),
            family.unit == "seconds",
            "{name} has the unit {:?}",
            family.unit
        );
    }
    let mut text = std::fs::read_to_string(path()).unwrap();
    let (mut written, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    for (heading, prefix) in TABLES {
        let (before, rest) =
            text.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
        let at = rest.find("| metric |").unwrap_or_else(|| panic!("no table under {heading}"));
        let (intro, rest) = rest.split_at(at);
        let (old, after) = rest.split_once("\n\n").unwrap_or((rest.trim_end(), ""));
        let new = table(said, prefix);
        written.insert(heading, old.trim_end().to_owned());
        wanted.insert(heading, new.trim_end().to_owned());
        let end = if after.is_empty() { String::new() } else { format!("\n{after}") };
        text = format!("{before}{heading}\n{intro}{new}{end}");
    }
    if std::env::var_os("WRITE_METRICS").is_some() {
        std::fs::write(path(), text).unwrap();
        return;
    }
    for (heading, wanted) in wanted {
        for (has, should) in written[heading].lines().zip(wanted.lines()) {
            assert_eq!(
                has, should,
                "docs/metrics.md, {heading}: WRITE_METRICS=1 with this test writes it anew"
            );
        }
        assert_eq!(written[heading], wanted, "docs/metrics.md, {heading}");
    }
}
