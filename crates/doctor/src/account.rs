//! What WeChat grants an official account: a token to this machine, and QR codes.

use std::time::Duration;

use wechat::{Client, Error, Quota};

use crate::check::Sheet;
use crate::wechat_words::{cure, what};
use crate::words::Words;

/// What a look at one account may take: a token, and two calls.
pub const WITHIN: Duration = Duration::from_secs(25);

/// Less than this share of a day's quota is told.
const LITTLE: u64 = 10;

/// Describes something of an account: the account of the variables has no name.
#[must_use]
pub fn of(words: Words, account: Option<&str>) -> Words {
    match account {
        None => words,
        Some(name) => words.and(&Words::new(format!(" (account {name})"), format!("（账号 {name}）"))),
    }
}

/// Writes that something of WeChat's failed, with what to do, and, where WeChat explains the call, what it saw of it.
pub async fn failed(sheet: &Sheet, client: &Client, description: Words, error: &Error) {
    sheet.failure(description, explained(client, error).await, cure(error));
}

/// As [`failed`], of something that logins can do without.
pub async fn warned(sheet: &Sheet, client: &Client, description: Words, error: &Error) {
    sheet.warning(description, explained(client, error).await, cure(error));
}

/// What went wrong, and what WeChat remembers of the call.
async fn explained(client: &Client, error: &Error) -> Words {
    let found = what(error);
    let Some(rid) = error.rid() else { return found };
    // Without a token WeChat explains nothing, and then the words of the error have to do.
    match client.refused_call(rid).await {
        Ok(call) => found.and(&Words::new(
            format!("; WeChat saw it come from {} and took {} ms", call.client, call.took.as_millis()),
            format!("；微信看到的来源地址是 {}，耗时 {} 毫秒", call.client, call.took.as_millis()),
        )),
        Err(_) => found,
    }
}

/// Whether WeChat gives this machine a token: appid, AppSecret and allowlist. The other looks at the account need it.
pub async fn token(sheet: &Sheet, client: &Client, account: Option<&str>) -> bool {
    let description = of(
        Words::new(
            "WeChat takes appid, AppSecret and this machine's address",
            "微信接受 appid、AppSecret 和本机地址",
        ),
        account,
    );
    match client.shared_token().await {
        Ok(token) => {
            let minutes = token.left.as_secs() / 60;
            let found = Words::new(
                format!("the access token is good for another {minutes} min"),
                format!("access_token 还有 {minutes} 分钟有效"),
            );
            sheet.ok_with(description, found);
            true
        }
        Err(error) => {
            sheet.failure(description, what(&error), cure(&error));
            false
        }
    }
}

/// Whether the account may make QR codes, and how many it may still make today.
pub async fn qr_quota(sheet: &Sheet, client: &Client, account: Option<&str>) -> Option<Quota> {
    let description = of(Words::new("QR codes are left for today", "今天还可以生成二维码"), account);
    match client.qr_quota().await {
        Ok(quota) => {
            tell(sheet, description, quota);
            Some(quota)
        }
        Err(error) => {
            warned(sheet, client, description, &error).await;
            None
        }
    }
}

fn tell(sheet: &Sheet, description: Words, Quota { limit, left, used }: Quota) {
    let found = Words::new(
        format!("{left} of {limit}, {used} were made today"),
        format!("剩余 {left}，每天 {limit}，今天已用 {used}"),
    );
    if limit == 0 {
        sheet.failure(
            description,
            Words::new("the account may make none", "这个账号不能生成带参数的二维码"),
            Words::new(
                "QR codes need a verified service account (服务号) or a test account; others can let people type a code: \
                 GATEWAY_WAYS",
                "带参数的二维码需要已认证的服务号或测试号；其他账号可以让用户发送验证码登录：GATEWAY_WAYS",
            ),
        );
    } else if left == 0 {
        sheet.failure(
            description,
            found,
            Words::new(
                "they come back at midnight, China's time; the console can reset the count, ten times a month; find out who \
                 makes so many: GATEWAY_ADDRESS_RATE limits an address",
                "北京时间零点恢复；也可以在后台重置，每月十次；请查明谁用掉了这么多：GATEWAY_ADDRESS_RATE 限制每个地址",
            ),
        );
    } else if left < limit / LITTLE {
        sheet.warning(
            description,
            found,
            Words::new(
                "see whether that lasts until midnight, China's time; another system of the account may make them, too",
                "请估计能否用到北京时间零点；也可能有其他系统在使用这个账号",
            ),
        );
    } else {
        sheet.ok_with(description, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn a_quota_that_is_used_up_is_a_failure_and_a_small_one_a_warning() {
        for (limit, left, outcome) in [
            (100_000, 99_990, Outcome::Ok),
            (100_000, 10_000, Outcome::Ok),
            (100_000, 9_999, Outcome::Warning),
            (10_000, 0, Outcome::Failure),
            (0, 0, Outcome::Failure),
        ] {
            let sheet = Sheet::default();
            tell(&sheet, Words::same("x"), Quota { limit, left, used: limit - left });
            assert_eq!(sheet.checks()[0].outcome, outcome, "{limit} {left}");
        }
    }
}
