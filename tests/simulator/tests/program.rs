//! The program: help, versions and wrong settings.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn help_and_version_are_no_errors() {
    let help = run(&["--help"], &[]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for name in ["SIMULATOR_LISTEN", "SIMULATOR_PUSH_URL", "SIMULATOR_MODE", "WECHAT_TOKEN"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    assert!(run(&["--version"], &[]).status.success());
}

#[test]
fn a_wrong_setting_ends_the_start_with_one_line() {
    let named = |arguments: &[&str], variables: &[(&str, &str)], name: &str| {
        let ended = run(arguments, variables);
        assert_eq!(ended.status.code(), Some(64), "{name}");
        let text = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(name), "{text}");
    };
    named(&["--simulator-listen", "here"], &[], "--simulator-listen");
    named(&[], &[("SIMULATOR_MODE", "secret")], "--simulator-mode");
    named(&[], &[("WECHAT_TOKEN", "not this one")], "WECHAT_TOKEN");
    named(&["--simulator-push-url", "ftp://x"], &[], "SIMULATOR_PUSH_URL");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"too short\n").unwrap();
    let path = file.path().to_str().unwrap();
    named(&[], &[("WECHAT_AES_KEY_FILE", path)], "WECHAT_AES_KEY");
}
