//! What the gateway on this host says of itself.

use std::net::SocketAddr;
use std::time::Duration;

use doctor::{Category, Sheet, Words};
use server::health::{self, Readiness};

/// Two seconds to connect, and as many for the answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Adds the look at the gateway whose admin port listens at `admin`.
pub(super) fn look(category: &mut Category, admin: SocketAddr) {
    category.look(ready(), WITHIN, move |sheet| async move {
        // The runtime stops without waiting for it.
        let asked = tokio::task::spawn_blocking(move || health::readiness(admin)).await;
        if let Ok(asked) = asked {
            tell(&sheet, admin, asked);
        }
    });
}

fn ready() -> Words {
    Words::new("the gateway is running and ready", "网关正在运行并已就绪")
}

fn tell(sheet: &Sheet, admin: SocketAddr, asked: std::io::Result<Readiness>) {
    match asked {
        Ok(Readiness { is_ready: true, words }) if words == "ready" => sheet.ok(ready()),
        Ok(Readiness { is_ready: true, words }) => sheet.warning(
            ready(),
            Words::same(words),
            Words::new("it serves all the same; see docs/stores.md", "它仍在服务；请看 docs/stores.md"),
        ),
        Ok(Readiness { is_ready: false, words }) => sheet.failure(
            ready(),
            Words::new(format!("it says: {words}"), format!("它说：{words}")),
            Words::new(
                "while it waits for the store, mend GATEWAY_STORE; while it drains, another one takes over",
                "如果在等待存储，请修复 GATEWAY_STORE；如果正在退出，会由另一个网关接替",
            ),
        ),
        Err(error) => sheet.warning(
            ready(),
            Words::new(
                format!("nothing answers at {admin}: {error}"),
                format!("{admin} 没有回应：{error}"),
            ),
            Words::new(
                "start it; where it runs in a container, ask there: docker compose exec ws-gateway /usr/local/bin/ws-gateway doctor; where \
                 its admin port is another, set GATEWAY_ADMIN_LISTEN here too",
                "请启动网关；如果它在容器中，请在容器内检查：docker compose exec ws-gateway /usr/local/bin/ws-gateway doctor；如果它的管理端口\
                 不同，这里也请设置 GATEWAY_ADMIN_LISTEN",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use doctor::Outcome;

    use super::*;

    #[test]
    fn not_ready_is_a_failure_and_not_running_is_told() {
        let outcome = |asked| {
            let sheet = Sheet::default();
            tell(&sheet, "127.0.0.1:1098".parse().unwrap(), asked);
            sheet.checks()[0].outcome
        };
        let says = |is_ready, words: &str| Ok(Readiness { is_ready, words: words.to_owned() });
        assert_eq!(outcome(says(true, "ready")), Outcome::Ok);
        assert_eq!(outcome(says(true, "ready, but there is one replica less")), Outcome::Warning);
        assert_eq!(outcome(says(false, "not ready: draining")), Outcome::Failure);
        assert_eq!(outcome(Err(std::io::ErrorKind::ConnectionRefused.into())), Outcome::Warning);
    }
}
