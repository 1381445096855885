//! Whether certificates in files are still good, and for how long.

use std::path::Path;

use protocol::expiry;
use server::clock::unix_now;

use crate::check::Sheet;
use crate::words::Words;

/// Whoever renews certificates by hand needs this many days.
const SOON: i64 = 14;

const DAY: i64 = 24 * 3600;

/// Writes how long the certificates of a PEM file are good. `setting` names the file.
pub fn check(sheet: &Sheet, setting: &str, path: &Path) {
    let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
    match expiry::of_file(path) {
        Some(ends) => tell(sheet, setting, ends, now),
        None => sheet.failure(
            good(setting),
            Words::new(
                format!("{} has no certificate that can be read", path.display()),
                format!("{} 中没有可以读取的证书", path.display()),
            ),
            Words::new(
                format!("{setting} must name a PEM file that this user may read"),
                format!("{setting} 必须指向当前用户可读的 PEM 文件"),
            ),
        ),
    }
}

/// Writes how long a certificate is good that expires at this Unix second. `of` says whose it is.
pub fn tell_of(sheet: &Sheet, of: &str, ends: i64) {
    tell(sheet, of, ends, i64::try_from(unix_now()).unwrap_or(i64::MAX));
}

fn good(setting: &str) -> Words {
    Words::new(
        format!("the certificates of {setting} are good for long"),
        format!("{setting} 的证书有效期充足"),
    )
}

fn tell(sheet: &Sheet, setting: &str, ends: i64, now: i64) {
    let days = (ends - now).div_euclid(DAY);
    let renew = || {
        Words::new(
            format!(
                "renew the file that {setting} names; deploy/certificates.sh makes those of the internal port"
            ),
            format!("请更新 {setting} 指向的文件；内部端口的证书可用 deploy/certificates.sh 生成"),
        )
    };
    if ends <= now {
        let ago = (now - ends) / DAY;
        let found = Words::new(
            format!("the first of them has expired, {ago} days ago"),
            format!("其中最早的一张已过期 {ago} 天"),
        );
        sheet.failure(good(setting), found, renew());
    } else if days < SOON {
        let found = Words::new(
            format!("the first of them expires in {days} days"),
            format!("其中最早的一张 {days} 天后到期"),
        );
        sheet.warning(good(setting), found, renew());
    } else {
        sheet.ok_with(good(setting), Words::new(format!("{days} days"), format!("{days} 天")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn two_weeks_are_soon_and_the_past_is_too_late() {
        for (ends, outcome) in [
            (SOON * DAY, Outcome::Ok),
            (SOON * DAY - 1, Outcome::Warning),
            (1, Outcome::Warning),
            (0, Outcome::Failure),
            (-DAY, Outcome::Failure),
        ] {
            let sheet = Sheet::default();
            tell(&sheet, "CERT", 1_800_000_000 + ends, 1_800_000_000);
            assert_eq!(sheet.checks()[0].outcome, outcome, "{ends}");
        }
        let sheet = Sheet::default();
        check(&sheet, "CERT", Path::new("/nowhere"));
        assert_eq!(sheet.checks()[0].outcome, Outcome::Failure);
    }
}
