//! The programs of an earlier commit, which `tests/previous` names. Old and new programs must be able to share
//! one Redis during an upgrade.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Our own crates that its programs are made of.
const OURS: [&str; 8] = [
    "protocol",
    "server",
    "records",
    "wechat",
    "ws-gateway",
    "callback-service",
    "test-redis",
    "test-certificates",
];

/// The folder of the earlier commit's programs, which are built first, apart from this checkout's own. `None`
/// without the history, as in a shallow clone or an unpacked archive.
///
/// # Panics
/// When a full checkout does not have the commit, or the commit does not build.
#[must_use]
pub fn programs() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let commit = std::fs::read_to_string(root.join("tests/previous")).unwrap();
        let commit = commit.trim();
        let folder = root.join("target/previous");
        let sources = folder.join(commit);
        if !has(root, commit) && !sources.join("Cargo.toml").exists() {
            assert!(!is_whole(root), "tests/previous names {commit}, which this checkout does not have");
            return None;
        }
        if !sources.join("Cargo.toml").exists() {
            // Somebody else may be doing the same, so the folder has its name once it is whole.
            std::fs::create_dir_all(&folder).unwrap();
            let unpacking = tempfile::tempdir_in(&folder).unwrap();
            let mut archive = Command::new("git")
                .args(["archive", commit])
                .current_dir(root)
                .stdout(Stdio::piped())
                .spawn()
                .expect("git is here");
            let unpacked = Command::new("tar")
                .arg("-x")
                .current_dir(&unpacking)
                .stdin(archive.stdout.take().unwrap())
                .status()
                .unwrap();
            let archived = archive.wait().unwrap();
            assert!(archived.success() && unpacked.success(), "{commit} cannot be unpacked");
            let moved = std::fs::rename(unpacking.keep(), &sources);
            assert!(
                moved.is_ok() || sources.join("Cargo.toml").exists(),
                "{commit} cannot be unpacked: {moved:?}"
            );
        }
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            // The build uses this checkout's features and target folder, so that most dependencies are already
            // built: an example is among what is selected, because tests have the features of examples. Only the
            // programs themselves are separate.
            .args(["build", "--quiet", "--locked", "--workspace", "--example", "with_redis"])
            .args(["--bin", "ws-gateway", "--bin", "callback-service"])
            // Cargo names what it builds by the path inside the workspace, which is the same here and there. This
            // gives our own crates of the earlier commit other names, or one would be taken for the other.
            // And the profile of today, so that dependencies are the same.
            .args(profiles(root))
            .args(OURS.into_iter().flat_map(|name| {
                ["--config".to_owned(), format!("profile.dev.package.{name}.codegen-units=255")]
            }))
            .current_dir(&sources)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_BUILD_BUILD_DIR", root.join("target"))
            .status()
            .unwrap();
        assert!(built.success(), "{commit} does not build");
        Some(folder.join("target/debug"))
    });
    built.as_deref()
}

/// What this checkout's `profile.dev` says of optimisation, for all and for each package, as options of cargo. One that differs
/// makes every dependency another one, which is built again.
fn profiles(root: &Path) -> Vec<String> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let profile = &manifest["profile"]["dev"];
    // The earlier commit may say otherwise, and cargo's own default is none.
    let level = profile.get("opt-level").and_then(toml::Value::as_integer).unwrap_or(0);
    let mut options = vec!["--config".to_owned(), format!("profile.dev.opt-level={level}")];
    for (package, settings) in profile["package"].as_table().unwrap() {
        for (setting, value) in settings.as_table().unwrap() {
            let value =
                value.as_integer().map_or_else(|| value.as_bool().unwrap().to_string(), |n| n.to_string());
            options.extend([
                "--config".to_owned(),
                format!("profile.dev.package.'{package}'.{setting}={value}"),
            ]);
        }
    }
    options
}

fn has(root: &Path, commit: &str) -> bool {
    git(root, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_some()
}

/// Whether this is a git checkout with its whole history.
fn is_whole(root: &Path) -> bool {
    git(root, &["rev-parse", "--is-shallow-repository"]).is_some_and(|said| said.trim() == "false")
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
