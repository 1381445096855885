//! The programs of an earlier commit, which `tests/previous` names. Old and new programs must be able to share
//! one Redis during an upgrade.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

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
            std::fs::create_dir_all(&sources).unwrap();
            let mut archive = Command::new("git")
                .args(["archive", commit])
                .current_dir(root)
                .stdout(Stdio::piped())
                .spawn()
                .expect("git is here");
            let unpacked = Command::new("tar")
                .arg("-x")
                .current_dir(&sources)
                .stdin(archive.stdout.take().unwrap())
                .status()
                .unwrap();
            let archived = archive.wait().unwrap();
            assert!(archived.success() && unpacked.success(), "{commit} cannot be unpacked");
        }
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            // The build uses this checkout's features and target folder, so that most dependencies are already
            // built. Only the programs themselves are separate.
            .args(["build", "--quiet", "--locked", "--workspace", "--bins", "--examples"])
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
