//! Whether WeChat's API can be reached: its name, and an answer, through a proxy where there is one.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};
use url::Url;
use wechat::Client;

use crate::category::Category;
use crate::check::Sheet;
use crate::wechat_words::{cure, what};
use crate::words::Words;

/// A look-up of a name may take this long. WeChat itself waits 5 s for one.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// The whole look may take this long.
const WITHIN: Duration = Duration::from_secs(15);

/// Adds the look at the API at `api_url`. Any account's client will do: no token is asked for.
pub fn look(category: &mut Category, client: &Client, api_url: &str) {
    let (client, host) = (client.clone(), host_of(api_url));
    category.look(reached(), WITHIN, move |sheet| {
        let (client, host) = (client.clone(), host.clone());
        async move { ask(&sheet, &client, &host).await }
    });
}

fn reached() -> Words {
    Words::new("WeChat's API answers", "微信接口有回应")
}

/// `host:port` of a URL.
fn host_of(url: &str) -> String {
    Url::parse(url)
        .ok()
        .and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)))
        .map_or_else(|| url.to_owned(), |(host, port)| format!("{host}:{port}"))
}

async fn ask(sheet: &Sheet, client: &Client, host: &str) {
    let began = Instant::now();
    match client.reach().await {
        Ok(answer) => {
            let milliseconds = began.elapsed().as_millis();
            let way = match answer.proxy {
                Some(variable) => Words::new(
                    format!(", through the proxy that {variable} names"),
                    format!("，经由 {variable} 指定的代理"),
                ),
                None => Words::new(", directly", "，直接连接"),
            };
            let took =
                Words::new(format!("{host}, {milliseconds} ms"), format!("{host}，{milliseconds} 毫秒"));
            sheet.ok_with(reached(), took.and(&way));
        }
        Err(error) => {
            // A proxy looks names up by itself, so this says something only where the call failed.
            if let Err(problem) = look_up(host).await {
                sheet.failure(
                    Words::new(format!("{host} has an address"), format!("{host} 可以解析")),
                    problem,
                    no_address(),
                );
            }
            sheet.failure(reached(), what(&error), cure(&error));
        }
    }
}

/// What to do about a name without an address.
#[must_use]
pub fn no_address() -> Words {
    Words::new(
        "see that the name is right, and that this machine has a name server that answers: /etc/resolv.conf, or the \
         container engine's own",
        "请检查名字是否正确，本机的 DNS 是否可用：/etc/resolv.conf，或容器引擎自带的 DNS",
    )
}

/// The addresses of `host:port`.
///
/// # Errors
/// Why there are none.
pub async fn look_up(host: &str) -> Result<Vec<SocketAddr>, Words> {
    let none = |why: String| Words::new(format!("no address was found: {why}"), format!("找不到地址：{why}"));
    match timeout(LOOK_UP_WITHIN, lookup_host(host)).await {
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.sort_unstable();
            found.dedup();
            if found.is_empty() { Err(none("the answer is empty".to_owned())) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(none(error.to_string())),
        Err(_) => Err(none(format!("the name server does not answer within {} s", LOOK_UP_WITHIN.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_a_port() {
        for (url, host) in [
            ("https://api.weixin.qq.com", "api.weixin.qq.com:443"),
            ("http://127.0.0.1:8090/", "127.0.0.1:8090"),
            ("http://[::1]/x", "[::1]:80"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
