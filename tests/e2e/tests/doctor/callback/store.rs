//! Stores that are full, broken, or not what they should be.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use e2e::programs::program;
use test_redis::{Options, Redis};
use tokio::task::block_in_place;

use super::{PROGRAM, Place, Seen};

/// Makes the store as the service does.
fn made(place: &mut Place) -> std::path::PathBuf {
    place.start();
    place.running.clear();
    place.folder.path().join("callback.db")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_with_its_cure() {
    let mut place = Place::new().await;
    let store = made(&mut place);
    let disk = place.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    place.set("CALLBACK_STORE", format!("sqlite:{}", disk.join("callback.db").display()));
    // A disk of its own, which nobody else sees, and which is filled to its last byte.
    let script = "mount -t tmpfs -o size=64k none \"$1\" && cp \"$2\" \"$1/callback.db\" && { cat /dev/zero > \"$1/rest\"; \
                  shift 2; exec \"$@\"; } 2>/dev/null";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&disk).arg(&store);
    command.arg(program(PROGRAM)).args(["doctor", "--json", "--lang", "en", "--only", "store"]);
    command.env_clear().envs(&place.settings).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    let seen = Seen::of(&block_in_place(|| command.output()).unwrap());
    seen.has("store", "error", "0 MiB are free", "make room on the disk of CALLBACK_STORE");
    seen.has("store", "error", "callback.db", "the disk or the quota is full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_open_to_all_or_newer_is_told() {
    let mut place = Place::new().await;
    let look = |place: &Place| place.doctor(&["--only", "store"]);
    let store = made(&mut place);
    look(&place).is_well("store");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o644)).unwrap();
    look(&place).has("store", "warning", "644", "chmod 600");
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    look(&place).has("store", "error", "version 9", "run that version");
    let mut file = fs::OpenOptions::new().write(true).open(&store).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    look(&place).has("store", "error", "not a database", "put a backup in its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_or_is_not_there_is_told() {
    let mut place = Place::new().await;
    let more = vec!["maxmemory-policy allkeys-lru".to_owned()];
    let redis = Redis::start_with(Options { more, ..Options::default() }).await;
    place.set("CALLBACK_STORE", redis.url());
    let seen = place.doctor(&["--only", "store"]);
    seen.has("store", "warning", "allkeys-lru", "maxmemory-policy noeviction");
    seen.has("store", "warning", "neither appendonly nor a snapshot", "appendonly yes");
    place.set("CALLBACK_REDIS_REPLICAS", "1");
    place.doctor(&["--only", "store"]).has("store", "warning", "0 connected, 1 wanted", "replicas");
    redis
        .cli(&["ACL", "SETUSER", "li", "on", ">pw", "~*", "+@all", "-info", "-role", "-xadd", "-hset"])
        .await;
    place.set("CALLBACK_STORE", redis.url_as("li", "pw"));
    let seen = place.doctor(&["--only", "store"]);
    seen.has("store", "warning", "may not: xadd hset", "docs/stores.md");
    assert!(!seen.json.to_string().contains("connected"), "{:#}", seen.json);
    place.set("CALLBACK_STORE", "redis://127.0.0.1:1");
    place.doctor(&["--only", "store"]).has("store", "error", "refused", "see that Redis runs");
    place.set("CALLBACK_STORE", "sqlite::memory:");
    place.settings.remove("CALLBACK_REDIS_REPLICAS");
    place.doctor(&["--only", "store"]).has("store", "warning", "sqlite::memory:", "name a file or Redis");
}
