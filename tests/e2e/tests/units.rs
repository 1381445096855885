//! The systemd units and their files of settings: accepted, hardened, complete and true.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::programs::{self, text};

const PROGRAMS: [&str; 2] = ["ws-gateway", "callback-service"];

/// Exposure as systemd counts it, from 0 to 10; below 2.0 is "OK".
const MOST_EXPOSED: f64 = 1.5;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd").join(name)
}

fn analyze(arguments: &[&str]) -> Output {
    Command::new("systemd-analyze").args(arguments).output().expect("systemd-analyze is here")
}

#[test]
fn the_units_are_accepted_and_leave_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    for program in PROGRAMS {
        let unit = std::fs::read_to_string(file(&format!("{program}.service"))).unwrap();
        // The program is where it was built.
        let installed = format!("/usr/local/bin/{program}");
        assert!(unit.contains(&format!("ExecStart={installed}\n")));
        let here = folder.path().join(format!("{program}.service"));
        let built = programs::program(program);
        std::fs::write(&here, unit.replace(&installed, built.to_str().unwrap())).unwrap();
        let here = here.to_str().unwrap();
        let verified = analyze(&["verify", "--man=no", here]);
        assert!(verified.status.success() && verified.stderr.is_empty(), "{}", text(&verified.stderr));
        let scored = text(&analyze(&["security", "--offline=yes", "--no-pager", here]).stdout);
        let last = scored.lines().rfind(|line| line.contains("Overall exposure level")).unwrap();
        let score = last.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        assert!(score <= MOST_EXPOSED, "{program}: {scored}");
    }
}

#[test]
fn a_file_of_settings_has_every_one_with_its_default() {
    for program in PROGRAMS {
        let example = std::fs::read_to_string(file(&format!("{program}.env"))).unwrap();
        // A line with a space behind the # is prose.
        let lines = example.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
        let set: HashMap<&str, &str> =
            lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once('=')).collect();
        let help = text(&programs::output(program, &HashMap::new(), &["--help"]).stdout);
        let mut known = 0;
        for option in help.split("[env: ").skip(1) {
            let name = option.split(['=', ']']).next().unwrap();
            // What follows is of this option up to the next one's flag.
            let own = option.split("\n      --").next().unwrap();
            let default = own.split("[default: ").nth(1).map(|rest| rest.split("]\n").next().unwrap());
            let shown = set.get(name).unwrap_or_else(|| panic!("{program}.env has no {name}"));
            match default {
                Some(default) => assert_eq!(*shown, default.trim_matches('"'), "{name}"),
                None => assert!(shown.is_empty() || name == "WECHAT_APP_ID", "{name} has no default"),
            }
            known += 1;
        }
        assert!(known > 20, "{known}");
        let others = set.keys().filter(|name| !help.contains(&format!("[env: {name}"))).collect::<Vec<_>>();
        assert_eq!(others, [&"RUST_LOG"], "{program}.env has settings that there are not");
    }
}
