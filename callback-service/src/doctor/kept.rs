//! Whether what the service remembers is there, intact, private and writable, and has room.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::{Category, Sheet, Words, disk, redis};
use records::{SqliteState, inspect_sqlite};
use tokio::task::spawn_blocking;

use crate::storage::{Place, Storage};

/// A large file takes its time.
const WITHIN: Duration = Duration::from_secs(120);

const SETTING: &str = "CALLBACK_STORE";

/// Adds the look.
pub(super) fn look(category: &mut Category, storage: &Storage) {
    match storage.place() {
        Place::Memory => {
            let sheet = Sheet::default();
            sheet.warning(
                Words::new("counts and sessions outlive the service", "计数和会话在重启后保留"),
                Words::new("CALLBACK_STORE is sqlite::memory:", "CALLBACK_STORE 是 sqlite::memory:"),
                Words::new(
                    "name a file or Redis: each restart forgets everything",
                    "请改用文件或 Redis：每次重启都会忘记一切",
                ),
            );
            category.found(&sheet);
        }
        Place::Sqlite(path) => {
            category.look(written(), WITHIN, move |sheet| {
                let path = path.clone();
                async move {
                    let looked = sheet.clone();
                    if spawn_blocking(move || look_at_file(&looked, &path)).await.is_err() {
                        sheet.failure(
                            written(),
                            Words::new("the look at it ended by itself", "检查意外中断"),
                            Words::new(
                                "tell the makers, with doctor --report",
                                "请附上 doctor --report 报告问题",
                            ),
                        );
                    }
                }
            });
        }
        Place::Redis { url, prefix, replicas } => {
            let wanted = redis::Wanted { setting: SETTING, url, prefix, replicas, keeps: true, audits: true };
            category.look(Words::same(SETTING), redis::WITHIN, move |sheet| {
                let wanted = wanted.clone();
                async move { redis::look(&sheet, &wanted).await }
            });
        }
    }
}

fn written() -> Words {
    Words::new("the SQLite file takes records", "SQLite 文件可以写入")
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn look_at_file(sheet: &Sheet, path: &Path) {
    let shown = path.display();
    let folder = folder_of(path);
    disk::check(sheet, SETTING, &folder);
    if !path.exists() {
        let description =
            Words::new("the SQLite file can be made at the start", "启动时可以创建 SQLite 文件");
        match try_to_make(&folder) {
            Ok(()) => sheet.ok_with(description, Words::same(shown.to_string())),
            Err(error) => sheet.failure(
                description,
                Words::same(format!("{}: {error}", folder.display())),
                may_write(&error),
            ),
        }
        return;
    }
    match inspect_sqlite(path) {
        // A file with a log beside it cannot be opened where there is no room for a third one.
        Err(error) if is_full(&error.to_string()) => sheet.failure(written(), Words::same(format!("{shown}: {error}")), full()),
        Err(error) => sheet.failure(
            Words::new("the SQLite file can be opened", "SQLite 文件可以打开"),
            Words::same(format!("{shown}: {error}")),
            Words::new(
                format!(
                    "{SETTING} must name a SQLite file that this user may read and write, with its folder; if it is damaged, put a \
                     backup in its place"
                ),
                format!("{SETTING} 必须指向当前用户可读写的 SQLite 文件，所在目录也要可写；若已损坏，请换上备份"),
            ),
        ),
        Ok(state) => tell(sheet, &shown.to_string(), &state),
    }
}

/// Makes a file beside the others, and takes it away.
fn try_to_make(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    fs::write(&probe, "doctor")?;
    fs::remove_file(&probe)
}

fn may_write(error: &std::io::Error) -> Words {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => full(),
        _ => Words::new(
            "let the service's user write in the folder of CALLBACK_STORE (in the image that is user 65532, and a volume at \
             /data)",
            "请让服务的用户可以写 CALLBACK_STORE 所在目录（镜像中是用户 65532，数据卷在 /data）",
        ),
    }
}

/// Whether SQLite's words are those of a disk without room.
fn is_full(text: &str) -> bool {
    text.contains("full") || text.contains("disk I/O")
}

fn full() -> Words {
    Words::new(
        "the disk or the quota is full, or fails: make room where CALLBACK_STORE is, then start the service anew if it does not go on by \
         itself",
        "磁盘或配额已满，或磁盘有故障：请在 CALLBACK_STORE 所在位置腾出空间；若服务没有自行恢复，请重启",
    )
}

fn tell(sheet: &Sheet, path: &str, state: &SqliteState) {
    let intact = Words::new("the SQLite file is intact", "SQLite 文件完好");
    if !state.faults.is_empty() {
        sheet.failure(
            intact,
            Words::same(format!("{path}: {}", state.faults.join("; "))),
            Words::new(
                "stop the service, keep the file for later, and put a backup in its place; look at the disk's health",
                "请停止服务，保留该文件备查，换上备份；并检查磁盘健康状况",
            ),
        );
        return;
    }
    let kibibytes = state.size.div_ceil(1024);
    sheet.ok_with(intact, Words::same(format!("{path}, {kibibytes} KiB")));
    if !state.is_present_schema {
        let found = Words::new(
            format!("its tables are of version {}", state.schema),
            format!("表结构版本是 {}", state.schema),
        );
        let known = Words::new("the SQLite file is of this version", "SQLite 文件属于本版本");
        match state.schema {
            0 | 1 => sheet.warning(
                known,
                found,
                Words::new(
                    "the next start changes them; a copy stays beside the file",
                    "下次启动时会升级，并在旁边留一份副本",
                ),
            ),
            _ => sheet.failure(
                known,
                found,
                Words::new(
                    "a newer version has written it: run that version, or put the copy of before in its place",
                    "该文件由更新的版本写入：请运行那个版本，或换上之前的副本",
                ),
            ),
        }
        return;
    }
    match &state.write {
        Ok(()) => sheet.ok(written()),
        Err(error) => {
            let text = error.to_string();
            let hint = if is_full(&text) {
                full()
            } else if text.contains("readonly") || text.contains("read-only") {
                may_write(&std::io::ErrorKind::PermissionDenied.into())
            } else {
                Words::new(
                    "if it is locked, another program holds the file: a backup that runs, or a second service of another host",
                    "若提示 locked，说明有别的程序占用该文件：正在运行的备份，或另一台主机上的服务",
                )
            };
            sheet.failure(written(), Words::same(format!("{path}: {text}")), hint);
        }
    }
    if state.mode & 0o007 != 0 {
        sheet.warning(
            Words::new("the SQLite file is private", "SQLite 文件不对外人开放"),
            Words::same(format!("{path}: {:o}", state.mode)),
            Words::new(
                format!("it says who logs in where: chmod 600 {path}"),
                format!("它记录谁在哪里登录：chmod 600 {path}"),
            ),
        );
    }
}
