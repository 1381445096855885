//! Whether a login arrives at its page: one of no person, which goes the way of people's logins.

use std::time::Duration;

use doctor::{Category, Sheet, Words};

use crate::logins::link::Link;
use crate::probe::broken::{Broken, Fault};
use crate::probe::{self, Target};

/// A probe gives up by itself a little earlier.
const WITHIN: Duration = Duration::from_secs(15);

/// Adds the look; `target` is where a page is opened.
pub(super) fn look(category: &mut Category, link: &Link, target: Option<&Target>) {
    let Some(target) = target.cloned() else {
        let sheet = Sheet::default();
        sheet.warning(
            delivered(),
            Words::new(
                "it is not known where a page could be opened",
                "不知道在哪里打开登录页",
            ),
            Words::new(
                "set CALLBACK_PROBE_URL to the gateway's GATEWAY_LISTEN as this host reaches it, such as http://ws-gateway:1099",
                "请把 CALLBACK_PROBE_URL 设为本机能访问到的网关 GATEWAY_LISTEN，例如 http://ws-gateway:1099",
            ),
        );
        category.found(&sheet);
        return;
    };
    let link = link.clone();
    category.look(delivered(), WITHIN, move |sheet| {
        let (link, target) = (link.clone(), target.clone());
        async move {
            let gateway = link.connect();
            match probe::once(&gateway, &target).await {
                Ok(took) => sheet.ok_with(delivered(), shown(&target, took)),
                Err(broken) => {
                    let found =
                        Words::new(broken.to_string(), format!("{}：{}", fault(broken.fault), broken.why));
                    sheet.failure(delivered(), found, Words::new(broken.fault.cure(), cure(&broken)));
                }
            }
        }
    });
}

fn delivered() -> Words {
    Words::new("a login is delivered to its page", "登录能送达页面")
}

fn shown(target: &Target, took: Duration) -> Words {
    let (target, milliseconds) = (target.shown(), took.as_millis());
    Words::new(format!("{target}, {milliseconds} ms"), format!("{target}，{milliseconds} 毫秒"))
}

fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::NoGateway => "没有连上任何网关的内部端口",
        Fault::Refused => "网关的内部端口拒绝本服务",
        Fault::OldGateway => "网关版本太旧，不认识探测",
        Fault::NoRight => "本服务无权探测",
        Fault::NotOpened => "网关没有创建登录",
        Fault::NoSocket => "网关的浏览器端口打不开 WebSocket",
        Fault::NotShown => "页面没有收到它的登录",
        Fault::NotRecorded => "扫码没有被记录",
        Fault::NotDelivered => "页面没有收到扫码结果",
    }
}

fn cure(broken: &Broken) -> &'static str {
    match broken.fault {
        Fault::NoGateway => {
            "请确认 ws-gateway 在运行，CALLBACK_GATEWAY 和 CALLBACK_GATEWAY_TLS 与它的 GATEWAY_NOTIFY_LISTEN 和证书一致"
        }
        Fault::Refused => "请让两个服务使用相同的 NOTIFY_KEY",
        Fault::OldGateway => "请升级 ws-gateway；在此之前设置 CALLBACK_PROBE_EVERY=off",
        Fault::NoRight => {
            "请在 GATEWAY_NOTIFY_CLIENTS 文件中为客户端 callback 的 may 加上 \"probe\"，并向网关发送 SIGHUP"
        }
        Fault::NotOpened => "请查看网关日志，以及 GATEWAY_STORE 是否有回应",
        Fault::NoSocket => {
            "CALLBACK_PROBE_URL 必须是本服务能访问到的网关 GATEWAY_LISTEN；中间的代理要放行 WebSocket"
        }
        Fault::NotShown => {
            "CALLBACK_PROBE_URL 后面和 CALLBACK_GATEWAY 中的所有网关必须共用一个 Redis（GATEWAY_STORE）；中间的代理要保留 Sec-WebSocket-Protocol"
        }
        Fault::NotRecorded => "用户扫码也会失败：请查看网关日志，以及 GATEWAY_STORE 是否有回应",
        Fault::NotDelivered => {
            "用户的页面同样收不到结果：请检查是否有代理扣住 WebSocket、网关卡住，或 Redis 的发布订阅到不了网关"
        }
    }
}
