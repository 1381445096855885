//! Other users of a machine can read the command line of a process. The shell client starts many processes. So
//! this test replaces every program in its PATH by one that logs how it was called.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use test_clients::player::{Client, Port};
use test_clients::samples::{Question, run, samples};
use test_clients::vectors::vectors;

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_on_no_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    spy_on_all_programs(folder.path(), &log);
    let sample = samples().iter().find(|sample| sample.file == "notify.sh").unwrap();
    for vector in vectors().to_client.into_iter().filter(|vector| vector.name.contains("key")) {
        let port = Port::open(None).await;
        let asked = Question {
            address: port.address().to_string(),
            client: &vector.client,
            key: &vector.key,
            notice: vector.notice.to_string(),
            files: Vec::new(),
        };
        let mut command = sample.command(&asked);
        command.env("PATH", folder.path());
        let asks = tokio::task::spawn_blocking(move || run(&mut command));
        let (ran, played) = tokio::join!(asks, port.play(&vector, Client::OneShot));
        assert_eq!((ran.unwrap().code, played), (Some(0), Ok(())), "{}", vector.name);
        let called = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        for program in ["openssl", "timeout", "bash"] {
            assert!(called.lines().any(|line| line.starts_with(program)), "{program} is heard of: {called}");
        }
        let key = vector.key.trim_end();
        let hexadecimal: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        for part in [key, &key[key.len() - 12..], &hexadecimal[..24]] {
            assert!(!called.contains(part), "{}: {called}", vector.name);
        }
    }
}

/// Puts a logging replacement for every program of PATH into `folder`.
fn spy_on_all_programs(folder: &Path, log: &Path) {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let path = std::env::var("PATH").unwrap();
    let mut names = HashSet::new();
    for place in std::env::split_paths(&path) {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            // The shell takes the first program of a name.
            if !names.insert(entry.file_name()) {
                continue;
            }
            let spy = folder.join(entry.file_name());
            let script = format!(
                "#!/bin/bash\nprintf '%s\\n' {name}\" $*\" >>{log}\nexec {program} \"$@\"\n",
                name = quoted(&entry.file_name().to_string_lossy()),
                log = quoted(&log.to_string_lossy()),
                program = quoted(&entry.path().to_string_lossy()),
            );
            fs::write(&spy, script).unwrap();
            fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}
