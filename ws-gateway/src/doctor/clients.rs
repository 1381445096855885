//! Who may send notices, and until when.

use std::time::{Duration, SystemTime};

use doctor::{Category, Sheet, Words};

use crate::notices::clients::Client;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whoever renews a client's key needs this many days.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Adds each client and its time. That keys are long enough, and each client's own, is a matter of reading them.
pub(super) fn look(category: &mut Category, clients: &[Client]) {
    let sheet = Sheet::default();
    for client in clients {
        tell(&sheet, client, SystemTime::now());
    }
    category.found(&sheet);
}

fn tell(sheet: &Sheet, client: &Client, now: SystemTime) {
    let name = &client.name;
    let description =
        || Words::new(format!("the client {name} may send notices"), format!("客户端 {name} 可以发送通知"));
    let renew = || {
        Words::new(
            format!(
                "give {name} a later \"expires\" or a new key (ws-gateway client-key {name}) in the file of \
                 GATEWAY_NOTIFY_CLIENTS, and send the gateway SIGHUP"
            ),
            format!(
                "请在 GATEWAY_NOTIFY_CLIENTS 指向的文件中为 {name} 延长 expires 或换新密钥（ws-gateway client-key {name}），\
                 然后给网关发送 SIGHUP"
            ),
        )
    };
    let left = client.expires.map(|expires| expires.duration_since(now).unwrap_or_default());
    match left {
        Some(Duration::ZERO) => sheet.failure(
            description(),
            Words::new("it has expired, and is refused", "已过期，会被拒绝"),
            renew(),
        ),
        Some(left) if left < SOON => {
            let days = left.as_secs() / DAY.as_secs();
            let found = Words::new(format!("it expires in {days} days"), format!("{days} 天后到期"));
            sheet.warning(description(), found, renew());
        }
        _ if client.keys.len() > 1 => sheet.ok_with(
            description(),
            Words::new(
                "by either of two keys; take the old one away once it is not used",
                "两个密钥都可用；旧密钥不再使用后请删除",
            ),
        ),
        _ => sheet.ok(description()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use doctor::Outcome;
    use protocol::Key;

    use super::*;
    use crate::logins::rights::Rights;

    #[test]
    fn a_client_that_expires_is_told_in_time() {
        let now = SystemTime::now();
        let key = Key::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        for (expires, outcome) in [
            (None, Outcome::Ok),
            (Some(now + SOON), Outcome::Ok),
            (Some(now + SOON - DAY), Outcome::Warning),
            (Some(now), Outcome::Failure),
            (Some(now - DAY), Outcome::Failure),
        ] {
            let client = Client {
                name: "shop".to_owned(),
                keys: vec![key.clone()],
                may: Rights::all(),
                rate: None,
                expires,
            };
            let sheet = Sheet::default();
            tell(&sheet, &client, now);
            assert_eq!(sheet.checks()[0].outcome, outcome, "{expires:?}");
        }
    }
}
