//! Whether each gateway answers at its internal port, shows a certificate that is believed, believes our key, and lets this
//! service do what logins need.

use std::time::Duration;

use doctor::{Category, Sheet, Words, certificates};
use protocol::client::shown::certificate_expires;
use protocol::client::{self, Link as State};
use protocol::message::Status;
use protocol::{Client, Notice, Scene};
use tokio::time::{Instant, timeout};

use crate::logins::link::Link;

/// A connection, its greeting and its proof have so long, together with a second try.
const CONNECTED_WITHIN: Duration = Duration::from_secs(8);

/// The answer to a notice.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The whole look at one gateway may take this long.
const WITHIN: Duration = Duration::from_secs(40);

/// The certificate's name in the output.
const SHOWN: &str = "a gateway";

/// Adds a look at each gateway, and those at the certificates' files.
pub(super) fn look(category: &mut Category, of_files: &mut Category, link: &Link) {
    for address in link.addresses() {
        let (link, address) = (link.clone(), address.clone());
        category.look(connected(&address), WITHIN, move |sheet| {
            let (link, address) = (link.clone(), address.clone());
            async move { ask(&sheet, &link, &address).await }
        });
    }
    let files: Vec<_> = link.certificates().map(|(setting, path)| (setting, path.to_owned())).collect();
    let sheet = Sheet::default();
    files.iter().for_each(|(setting, path)| certificates::check(&sheet, setting, path));
    of_files.found(&sheet);
}

fn connected(address: &str) -> Words {
    Words::new(format!("the gateway {address} accepts this service"), format!("网关 {address} 接受本服务"))
}

async fn ask(sheet: &Sheet, link: &Link, address: &str) {
    if let Err(why) = doctor::wechat_api::look_up(address).await {
        sheet.failure(connected(address), why, doctor::wechat_api::no_address());
        return;
    }
    if let Some(tls) = link.tls()
        && let Ok(Some(expires)) = certificate_expires(tls, address).await
    {
        certificates::tell_of(sheet, &format!("{SHOWN} ({address})"), expires);
    }
    let settings = client::Settings { addresses: vec![address.to_owned()], ..link.settings() };
    let client = Client::start(settings);
    let began = Instant::now();
    let known = |state: &State| *state != State::Starting;
    match timeout(CONNECTED_WITHIN, client.wait_for(known)).await {
        Ok(State::Connected) => {
            let took = began.elapsed().as_millis();
            let (en, zh) = if link.tls().is_some() { ("TLS", "TLS") } else { ("no TLS", "未用 TLS") };
            let found = Words::new(format!("{en}, {took} ms"), format!("{zh}，{took} 毫秒"));
            sheet.ok_with(connected(address), found);
            rights(sheet, &client, address).await;
        }
        Ok(State::Refused { code, message }) => sheet.failure(
            connected(address),
            Words::new(
                format!("it refuses this service: {code}: {message}"),
                format!("网关拒绝本服务：{code}：{message}"),
            ),
            refused(&code),
        ),
        Ok(state) => sheet.failure(connected(address), Words::same(state.to_string()), unreached()),
        Err(_) => sheet.failure(
            connected(address),
            Words::new("no connection in time", "没有及时连上"),
            unreached(),
        ),
    }
}

fn refused(code: &str) -> Words {
    match code {
        "auth" | "unauthorized" | "bad_auth" => Words::new(
            "both services need the same NOTIFY_KEY, and the client callback must be in the file of GATEWAY_NOTIFY_CLIENTS \
             where there is one, with this key and not expired",
            "两个服务的 NOTIFY_KEY 必须相同；若使用 GATEWAY_NOTIFY_CLIENTS 文件，其中要有客户端 callback、同一个密钥且未过期",
        ),
        _ => Words::new(
            "the gateway's log says more; both services need the same NOTIFY_KEY, and versions that fit",
            "详见网关日志；两个服务需要相同的 NOTIFY_KEY 和相容的版本",
        ),
    }
}

fn unreached() -> Words {
    Words::new(
        "see that ws-gateway runs, that CALLBACK_GATEWAY is its GATEWAY_NOTIFY_LISTEN as this host reaches it, that a firewall \
         lets it through, and that CALLBACK_GATEWAY_TLS is true where the port speaks TLS, with CALLBACK_GATEWAY_CA and \
         CALLBACK_GATEWAY_NAME for its certificate",
        "请确认 ws-gateway 在运行，CALLBACK_GATEWAY 是本机能访问到的 GATEWAY_NOTIFY_LISTEN，防火墙放行；端口使用 TLS 时 \
         CALLBACK_GATEWAY_TLS 应为 true，并用 CALLBACK_GATEWAY_CA 和 CALLBACK_GATEWAY_NAME 对应其证书",
    )
}

/// Sends notices about a login that nobody has, which change nothing: the answer says whether they are allowed.
async fn rights(sheet: &Sheet, client: &Client, address: &str) {
    let scene = Scene::random();
    let by = || "doctor".to_owned();
    let notices = [
        Notice::Query { scene },
        Notice::Claim { scene, by: by(), number: None },
        Notice::Deny { scene, by: Some(by()) },
        Notice::Scan { scene, nickname: None, code: None, by: Some(by()) },
    ];
    let description = Words::new(
        format!("the gateway {address} lets this service end logins"),
        format!("网关 {address} 允许本服务完成登录"),
    );
    let mut missing = Vec::new();
    for notice in notices {
        let name = notice.kind();
        match client.send(notice, Instant::now() + ANSWER_WITHIN).await {
            Ok(answer) if answer.status == Status::Unknown => {}
            Ok(answer) if answer.status == Status::Forbidden => missing.push(name),
            Ok(answer) => {
                sheet.failure(
                    description,
                    Words::new(
                        format!("it answers {name} with {}", answer.status.as_str()),
                        format!("对 {name} 的回答是 {}", answer.status.as_str()),
                    ),
                    Words::new(
                        "busy means that its store does not answer: see ws-gateway doctor, and its log",
                        "busy 表示网关的存储没有回应：请运行 ws-gateway doctor，并查看其日志",
                    ),
                );
                return;
            }
            Err(error) => {
                sheet.failure(
                    description,
                    Words::new(format!("no answer to {name}: {error}"), format!("{name} 没有回答：{error}")),
                    Words::new(
                        "see ws-gateway doctor on its host, and its log",
                        "请在网关主机上运行 ws-gateway doctor 并查看日志",
                    ),
                );
                return;
            }
        }
    }
    match missing.is_empty() {
        true => sheet.ok(description),
        false => {
            let list = missing.join(", ");
            let found = Words::new(format!("it may not: {list}"), format!("缺少权限：{list}"));
            let hint = Words::new(
                format!(
                    "add {list} to what the client callback may, in the file of GATEWAY_NOTIFY_CLIENTS, and send the gateway \
                     SIGHUP; with sites it needs grant, too, which cannot be seen from here"
                ),
                format!(
                    "请在 GATEWAY_NOTIFY_CLIENTS 文件中为客户端 callback 的 may 加上 {list}，并向网关发送 SIGHUP；接入站点还需要 grant，从这里看不到"
                ),
            );
            sheet.failure(description, found, hint);
        }
    }
}
