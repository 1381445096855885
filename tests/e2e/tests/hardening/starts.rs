//! A start that has to wait.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::programs::command;

use crate::process::until;

/// Holds a SQLite file as another process does that changes its tables, until its standard input ends.
const HOLD: &str = "
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute('begin exclusive')
print('held', flush=True)
sys.stdin.read()";

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_the_stores_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("callback.db");
    let mut holder = Command::new("python3")
        .args(["-c", HOLD])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");

    let settings = [
        ("CALLBACK_LISTEN", "127.0.0.1:0"),
        ("CALLBACK_ADMIN_LISTEN", "127.0.0.1:0"),
        ("CALLBACK_GATEWAY", "127.0.0.1:1"),
        ("NOTIFY_KEY", demo::NOTIFY_KEY),
        ("WECHAT_APP_ID", "wx0123456789abcdef"),
        ("WECHAT_APP_SECRET", "0123456789abcdef0123456789abcdef"),
        ("WECHAT_TOKEN", "sometoken"),
        ("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
        ("WECHAT_API_URL", "http://127.0.0.1:1"),
    ];
    let mut settings: HashMap<&str, String> = settings.map(|(name, value)| (name, value.to_owned())).into();
    settings.insert("CALLBACK_STORE", format!("sqlite:{}", file.display()));
    let mut service = command("callback-service", &settings).spawn().unwrap();
    let id = service.id().to_string();
    until("it waits for the file", || is_open(&id, &file)).await;

    let began = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = service.wait().unwrap();
    // It would wait for ten seconds.
    assert!(
        status.success() && began.elapsed() < Duration::from_secs(5),
        "{status} after {:?}",
        began.elapsed()
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

fn is_open(process: &str, file: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    files.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).any(|found| found == file)
}
