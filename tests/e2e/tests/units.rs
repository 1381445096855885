//! The systemd units: accepted and hardened. Their files of settings are judged in `settings.rs`.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

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
        // A wrong setting does not mend itself, and callback.db is nobody else's.
        for line in ["RestartPreventExitStatus=64", "UMask=0077"] {
            assert!(unit.lines().any(|own| own == line), "{program}.service has no {line}");
        }
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
