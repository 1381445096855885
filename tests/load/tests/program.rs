//! The load generator as a person runs it, but only for a few seconds.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::process::{Command, Output, Stdio};

/// Runs it to its end. This hangs if a program that it started still holds its output.
fn load(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    (output, said)
}

#[test]
fn a_wrong_flag_is_named() {
    for (arguments, name) in [
        (&["soak", "--minutes", "0"][..], "--minutes"),
        (&["soak", "--workers", "0"], "--workers"),
        (&["pages", "--pages", "many"], "--pages"),
        (&["oidc", "--logins", "9"], "--logins"),
        (&["open", "--pages", "9"], "--pages"),
        (&["open", "--rounds", "0"], "--rounds"),
        (&["notices", "--clients", "0"], "--clients"),
        (&["scans", "--scans", "1"], "--scans"),
        (&["logins", "--logins", "1"], "--logins"),
        (&["all", "--quickly"], "--quickly"),
        (&["growth", "--logins", "900001"], "--logins"),
        (&["flood"], "flood"),
        (&[], "subcommand"),
    ] {
        let (output, _) = load(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(said.contains(name) && said.trim_end().lines().count() == 1, "{said}");
    }
}

/// Memory still grows in so short a time, so this tests only that every way of a visit works and that the run
/// ends.
#[test]
fn a_short_soak_sees_no_login_go_wrong_and_judges_both_services() {
    let (output, said) =
        load(&["soak", "--warm-up", "0s", "--minutes", "0.4", "--workers", "16", "--login-ttl", "5s"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}", output.status);
    let ended = said.lines().find(|line| line.starts_with("In all: ")).unwrap();
    let counts: Vec<u64> = ended.split(' ').filter_map(|word| word.parse().ok()).collect();
    let &[logged_in, left, expired, refused, wrong] = &counts[..] else { panic!("{ended}") };
    assert!(logged_in > 0 && left > 0 && expired > 0, "{ended}");
    assert_eq!((refused, wrong), (0, 0), "{ended}");
    for service in ["ws-gateway", "callback-service"] {
        let verdict = said.lines().find(|line| line.starts_with(&format!("{service} "))).unwrap();
        let is_flat = verdict.ends_with("flat");
        assert!(is_flat || verdict.ends_with("GREW"), "{verdict}");
        assert!(is_flat || output.status.code() == Some(1), "{verdict}");
    }
}

#[test]
fn idle_pages_are_held_and_counted() {
    let (output, said) = load(&["pages", "--pages", "300", "--hold", "1s"]);
    assert!(output.status.success(), "{:?}", output.status);
    let files = |when: &str| -> i64 {
        let row = said.lines().find(|line| line.starts_with(when)).unwrap();
        row.split_whitespace().last().unwrap().parse().unwrap()
    };
    // Each page is one file. At most 64 connections to WeChat come and go beside them.
    let more = files("with the pages") - files("before");
    assert!((300 - 64..=300 + 64).contains(&more), "{more} open files more");
    let each = said.lines().find_map(|line| line.strip_prefix("a page with its login: ")).unwrap();
    let bytes: u64 = each.trim_end_matches(" bytes").parse().unwrap();
    assert!(bytes < 100_000, "{each}");
}

/// So few say nothing about costs, only that every step of a login works.
#[test]
fn logins_at_a_site_are_measured_beside_plain_ones() {
    let (output, said) = load(&["oidc", "--logins", "20", "--workers", "4", "--rounds", "2"]);
    assert!(output.status.success(), "{:?}", output.status);
    for step in
        ["/authorize", "scan to code", "/authorize/continue", "/token", "/userinfo", "the whole login"]
    {
        let row = said.lines().find(|line| line.starts_with(&format!("{step} "))).unwrap();
        let times: Vec<f64> = row.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(times.len() == 2 && times.iter().all(|time| *time > 0.0), "{row}");
    }
    for kind in ["plain, without", "plain, with ", "at a site, one", "at a site, several"] {
        assert!(said.lines().any(|line| line.starts_with(kind)), "{kind}: {said}");
    }
}

/// So few say nothing about costs, only that every server is measured, and that what was found is written down.
#[test]
fn servers_are_compared_in_a_table_in_json_and_in_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("found.json"), folder.path().join("found.svg"));
    let three = &["ours", "tuned", "floor"][..];
    for (flags, measures, servers) in [
        (
            &["open", "--pages", "100", "--burst", "50"][..],
            &["open.cpu", "open.cpu_alone", "open.memory", "open.burst_p99"][..],
            three,
        ),
        (
            &["notices", "--pages", "100", "--clients", "2"],
            &["notices.rate", "notices.cpu", "notices.cpu_with_end", "notices.p999_at_20000"],
            three,
        ),
        (
            &["scans", "--scans", "20"],
            &["scans.safe_sqlite.cpu", "scans.plain_redis.p99_half"],
            &["ours", "floor"],
        ),
        (&["logins", "--logins", "16"], &["logins.memory.p50", "logins.redis.commands"], &["ours"]),
    ] {
        let files = ["--json", json.to_str().unwrap(), "--plot", svg.to_str().unwrap()];
        let (output, said) = load(&[flags, &["--rounds", "2"], &files].concat());
        assert!(output.status.success(), "{:?}", output.status);
        let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        for id in measures {
            let rows = found["measures"].as_array().unwrap();
            let row = rows.iter().find(|row| row["id"] == **id).unwrap();
            assert!(said.contains(row["name"].as_str().unwrap()), "{id}: {said}");
            for server in servers {
                let figures = row[server]["rounds"].as_array().unwrap();
                assert!(
                    figures.len() == 2 && figures.iter().all(|figure| figure.as_f64().is_some()),
                    "{id}: {row}"
                );
            }
            let is_compared = servers.len() > 1 && id.ends_with(".cpu");
            assert!(!is_compared || row["ours / floor"]["median"].as_f64().unwrap() > 0.0, "{row}");
        }
        let svg = std::fs::read_to_string(&svg).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("floor"), "{svg}");
    }
}

/// Of the smallest numbers only that each is measured.
#[test]
fn growth_is_measured_over_how_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("found.json"), folder.path().join("found.svg"));
    let files = ["--json", json.to_str().unwrap(), "--plot", svg.to_str().unwrap()];
    let few = ["growth", "--rounds", "1", "--pages", "1000", "--logins", "0"];
    let (output, said) = load(&[&few[..], &files].concat());
    assert!(output.status.success(), "{:?}", output.status);
    assert!(said.contains("callback-service: ") && said.contains("the last is 1.00 of the first"), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let clients =
        found["curves"].as_array().unwrap().iter().find(|curve| curve["id"] == "clients.cpu").unwrap();
    let at: Vec<_> =
        clients["points"].as_array().unwrap().iter().map(|point| point["at"].as_u64().unwrap()).collect();
    assert_eq!(at, [1, 10, 100]);
    assert!(std::fs::read_to_string(&svg).unwrap().contains("<circle "), "a point for each");
}
