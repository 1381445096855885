//! The systemd units: accepted and hardened, read again by a reload, and their program's other commands are run as they
//! would be. Their files of settings are judged in `settings.rs`.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::os::unix::fs::PermissionsExt;
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
        // Files that are replaced are read again.
        for line in ["RestartPreventExitStatus=64", "UMask=0077", "ExecReload=/bin/kill -HUP $MAINPID"] {
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

/// The file of sites stands in the unit's own folder, which `docs/add-a-site.md` names: `/etc/saoma` is closed to its user, and
/// a credential would be read at a start only.
#[test]
fn the_file_of_sites_is_where_the_unit_may_read_it() {
    let unit = std::fs::read_to_string(file("callback-service.service")).unwrap();
    assert!(unit.contains("\nStateDirectory=saoma\n") && unit.contains("\nDynamicUser=yes\n"), "{unit}");
    let page = std::fs::read_to_string(file("../../docs/add-a-site.md")).unwrap();
    assert!(page.contains("CALLBACK_SITES=/var/lib/saoma/sites.toml"));
}

/// systemctl and systemd-run are this test's: no manager runs here.
#[test]
fn a_command_has_what_the_unit_gives_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(file("callback-service.service")).unwrap();
    // As `systemctl edit` adds it.
    let edited =
        format!("{unit}\n# override.conf\n[Service]\nLoadCredential=redis:/etc/saoma/redis-password\n");
    std::fs::write(folder.path().join("unit"), edited).unwrap();
    for (name, does) in [("systemctl", "cat \"${0%/*}/unit\""), ("systemd-run", "printf '%s\\n' \"$@\"")] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let ran =
        Command::new(file("callback-service.sh")).args(["forget", "oPerson"]).env("PATH", path).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let (given, program) = (text(&ran.stdout), "\n/usr/local/bin/callback-service\nforget\noPerson\n");
    assert!(given.ends_with(program) && !given.contains('%'), "{given}");
    let kinds =
        ["DynamicUser=", "StateDirectory=", "UMask=", "Environment=", "EnvironmentFile=", "LoadCredential="];
    let lines = unit.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
    let mut counted = 0;
    for line in lines.chain(["User=callback-service", "LoadCredential=redis:/etc/saoma/redis-password"]) {
        let line =
            line.replace("%S", "/var/lib").replace("%d", "/run/credentials/callback-service-command.service");
        assert!(given.lines().any(|own| own == format!("--property={line}")), "no {line} in {given}");
        counted += 1;
    }
    assert!(counted > 12, "{counted}");
    assert!(given.lines().any(|own| own == "--unit=callback-service-command"), "{given}");
}
