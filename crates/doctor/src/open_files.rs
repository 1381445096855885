//! Whether the limit on open files allows what the settings ask for.

use server::descriptors::{self, Port};

use crate::check::Sheet;
use crate::words::Words;

/// Writes whether each port gets its connections. The limit is this process's own, raised as far as a service raises it.
pub fn check(sheet: &Sheet, ports: &[Port]) {
    let files = descriptors::raise();
    let shown = if files == usize::MAX { "∞".to_owned() } else { files.to_string() };
    for port in ports {
        let places = port.places(files);
        let description = Words::new(
            format!("the limit on open files allows {}", port.setting),
            format!("打开文件数上限满足 {}", port.setting),
        );
        if places < port.wanted {
            sheet.warning(
                description,
                Words::new(
                    format!("{} is {}; with {shown} open files there are {places} connections", port.setting, port.wanted),
                    format!("{} 为 {}；上限为 {shown} 时只有 {places} 个连接", port.setting, port.wanted),
                ),
                Words::new(
                    "raise the limit where the service is started: LimitNOFILE= of the unit, ulimits of compose, ulimit -n; \
                     doctor sees the limit of its own process alone",
                    "请在启动服务的地方提高上限：systemd 的 LimitNOFILE=、compose 的 ulimits、ulimit -n；doctor 只看到自己进程的上限",
                ),
            );
        } else {
            sheet.ok_with(
                description,
                Words::new(
                    format!("{shown} files, {places} connections"),
                    format!("{shown} 个文件，{places} 个连接"),
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn more_connections_than_files_are_told() {
        let files = descriptors::raise();
        let sheet = Sheet::default();
        let port = |wanted| Port { setting: "MAX", wanted, each: 2, beside: 128 };
        check(&sheet, &[port(1), port(files)]);
        let outcomes: Vec<_> = sheet.checks().iter().map(|check| check.outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Warning]);
    }
}
