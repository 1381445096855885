//! Whether this machine's clock is right, by WeChat's.

use std::time::{Duration, SystemTime};

use wechat::Client;

use crate::category::Category;
use crate::check::Sheet;
use crate::words::Words;

/// WeChat tells whole seconds, and the answer takes time.
const UNNOTICED: Duration = Duration::from_secs(5);

/// Beyond this, pushes with another machine's or WeChat's jitter begin to be refused, and tokens of logins to sites may not
/// be valid yet where they arrive. Pushes are refused beyond `WECHAT_PUSH_MAX_AGE`, 300 s.
const TOO_MUCH: Duration = Duration::from_secs(60);

/// The look may take this long.
const WITHIN: Duration = Duration::from_secs(15);

/// Adds the look at the clock, by the `Date` of an answer of WeChat's.
pub fn look(category: &mut Category, client: &Client) {
    let client = client.clone();
    category.look(right(), WITHIN, move |sheet| {
        let client = client.clone();
        async move {
            let asked = SystemTime::now();
            // That WeChat cannot be reached is another look's to say.
            let date = client.reach().await.ok().and_then(|answer| answer.date);
            compare(&sheet, asked, date, SystemTime::now());
        }
    });
}

fn right() -> Words {
    Words::new("this machine's clock is right", "本机时钟准确")
}

/// Compares WeChat's time with the time around its answer.
fn compare(sheet: &Sheet, asked: SystemTime, date: Option<SystemTime>, answered: SystemTime) {
    let hint = || {
        Words::new(
            "let the clock be set from the network: timedatectl set-ntp true, chrony, or the host's own settings; pushes are \
             refused beyond WECHAT_PUSH_MAX_AGE",
            "请让时钟自动同步：timedatectl set-ntp true、chrony，或宿主机的设置；偏差超过 WECHAT_PUSH_MAX_AGE 时推送会被拒绝",
        )
    };
    let Some(date) = date else {
        sheet.warning(
            right(),
            Words::new("WeChat's answer had no time, or there was none", "没有得到微信的时间"),
            Words::new("compare the clock with another one yourself: date -u", "请自行核对时间：date -u"),
        );
        return;
    };
    // A date is the second's beginning, so it may be the whole second before the question.
    let (behind, ahead) = (
        date.duration_since(answered).unwrap_or_default(),
        asked.duration_since(date + Duration::from_secs(1)).unwrap_or_default(),
    );
    let apart = behind.max(ahead);
    let seconds = apart.as_secs();
    let found = match behind > ahead {
        true => {
            Words::new(format!("it is {seconds} s behind WeChat's"), format!("比微信的时间慢 {seconds} 秒"))
        }
        false => {
            Words::new(format!("it is {seconds} s ahead of WeChat's"), format!("比微信的时间快 {seconds} 秒"))
        }
    };
    if apart > TOO_MUCH {
        sheet.failure(right(), found, hint());
    } else if apart > UNNOTICED {
        sheet.warning(right(), found, hint());
    } else {
        sheet.ok_with(right(), Words::new("as WeChat's", "与微信一致"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::check::Outcome;
    use crate::words::Language;

    #[test]
    fn a_minute_is_too_much_and_some_seconds_are_told() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let found = |date: Option<SystemTime>| {
            let sheet = Sheet::default();
            compare(&sheet, now, date, now + Duration::from_millis(300));
            let check = sheet.checks().remove(0);
            (check.outcome, check.found.unwrap().get(Language::En).to_owned())
        };
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(later) => Some(now + Duration::from_secs(later)),
            Err(_) => Some(now - Duration::from_secs(seconds.unsigned_abs())),
        };
        for (seconds, outcome, words) in [
            (0, Outcome::Ok, "as WeChat's"),
            (-1, Outcome::Ok, "as WeChat's"),
            (5, Outcome::Ok, "as WeChat's"),
            (8, Outcome::Warning, "it is 7 s behind WeChat's"),
            (-9, Outcome::Warning, "it is 8 s ahead of WeChat's"),
            (300, Outcome::Failure, "it is 299 s behind WeChat's"),
            (-300, Outcome::Failure, "it is 299 s ahead of WeChat's"),
        ] {
            assert_eq!(found(at(seconds)), (outcome, words.to_owned()), "{seconds}");
        }
        assert_eq!(found(None).0, Outcome::Warning);
    }
}
