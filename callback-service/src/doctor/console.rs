//! What WeChat itself says of an account: what it grants, and how it finds the address of its pushes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use doctor::account::{self, of, warned};
use doctor::{Category, Sheet, Words};
use wechat::{CallbackCheck, Client};

use super::Patient;
use crate::account::Official;

/// WeChat's code for an account without an address for its pushes.
const NO_URL: i64 = 40201;

/// Adds the look at a token and the quota of an account.
pub(super) fn look_at_account(category: &mut Category, official: &Arc<Official>) {
    let official = Arc::clone(official);
    let what = of(
        Words::new("WeChat grants the account what it needs", "微信授予账号所需权限"),
        official.names.name(),
    );
    category.look(what, account::WITHIN, move |sheet| {
        let official = Arc::clone(&official);
        async move {
            let (client, name) = (&official.account.api, official.names.name());
            if account::token(&sheet, client, name).await {
                account::qr_quota(&sheet, client, name).await;
            }
        }
    });
}

/// Adds the look at the address of an account's pushes as WeChat finds it.
pub(super) fn look_for_url(category: &mut Category, patient: &Arc<Patient>, official: &Arc<Official>) {
    let (patient, official) = (Arc::clone(patient), Arc::clone(official));
    let what = of(finds(), official.names.name());
    category.look(what, account::WITHIN, move |sheet| {
        let (patient, official) = (Arc::clone(&patient), Arc::clone(&official));
        async move { ask(&sheet, &patient, &official.account.api, official.names.name()).await }
    });
}

fn finds() -> Words {
    Words::new(
        "WeChat finds the address of the pushes as this machine does",
        "微信解析推送地址的结果与本机一致",
    )
}

async fn ask(sheet: &Sheet, patient: &Patient, client: &Client, account: Option<&str>) {
    // Without a token WeChat says nothing; that there is none is told with the account.
    if client.shared_token().await.is_err() {
        return;
    }
    let check = match client.callback_check().await {
        Ok(check) => check,
        Err(error) if error.code() == Some(NO_URL) => {
            sheet.failure(
                of(Words::new("the account has an address for its pushes", "账号已设置推送地址"), account),
                Words::new("WeChat's console has none", "微信后台还没有填写"),
                Words::new(
                    "enter this service's URL, WECHAT_TOKEN and WECHAT_AES_KEY in the message push settings (消息推送), and \
                     switch them on",
                    "请在后台“消息推送”中填写本服务的 URL、WECHAT_TOKEN 和 WECHAT_AES_KEY，并启用",
                ),
            );
            return;
        }
        Err(error) => {
            warned(sheet, client, of(finds(), account), &error).await;
            return;
        }
    };
    names(sheet, patient, &check, account).await;
    pings(sheet, &check, account);
}

/// Compares the addresses that WeChat finds with our own. They may differ for good reasons, so it is never a failure.
async fn names(sheet: &Sheet, patient: &Patient, check: &CallbackCheck, account: Option<&str>) {
    let theirs: BTreeSet<IpAddr> = check.addresses.iter().copied().collect();
    let shown = |addresses: &BTreeSet<IpAddr>| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if theirs.is_empty() {
        sheet.warning(
            of(finds(), account),
            Words::new("WeChat finds no address", "微信解析不到地址"),
            Words::new(
                "see the DNS record of the URL in the message push settings: it must be there for everybody",
                "请检查消息推送 URL 的 DNS 记录：公网必须能解析",
            ),
        );
        return;
    }
    let host = patient
        .public
        .as_ref()
        .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    let Some(host) = host else {
        sheet.ok_with(
            of(Words::new("WeChat finds the address of the pushes", "微信能解析推送地址"), account),
            Words::same(shown(&theirs)),
        );
        return;
    };
    let ours: BTreeSet<IpAddr> = match doctor::wechat_api::look_up(&host).await {
        Ok(found) => found.iter().map(|address| address.ip()).collect(),
        Err(why) => {
            sheet.warning(of(finds(), account), why, doctor::wechat_api::no_address());
            return;
        }
    };
    if ours.is_disjoint(&theirs) {
        sheet.warning(
            of(finds(), account),
            Words::new(
                format!("WeChat finds {}, this machine finds {} for {host}", shown(&theirs), shown(&ours)),
                format!("{host}：微信解析到 {}，本机解析到 {}", shown(&theirs), shown(&ours)),
            ),
            Words::new(
                "see whether the URL in the message push settings has this host, and whether its DNS record is an old one; \
                 a name that is another inside your network is no fault",
                "请检查消息推送 URL 的主机名是否就是它，DNS 记录是否过期；内外网解析不同则没有问题",
            ),
        );
    } else {
        sheet.ok_with(of(finds(), account), Words::same(shown(&theirs)));
    }
}

/// A lost ping proves nothing: many hosts answer none.
fn pings(sheet: &Sheet, check: &CallbackCheck, account: Option<&str>) {
    let lost: Vec<_> =
        check.pings.iter().filter(|ping| ping.is_lost).map(|ping| ping.address.to_string()).collect();
    let description = of(Words::new("WeChat's ping comes back", "微信能 ping 通推送地址"), account);
    if check.pings.is_empty() {
        return;
    }
    match lost.is_empty() {
        true => sheet.ok(description),
        false => sheet.warning(
            description,
            Words::new(format!("100 % loss at {}", lost.join(", ")), format!("{} 丢包 100%", lost.join(", "))),
            Words::new(
                "it is no fault if the host answers no pings (ICMP); otherwise see its firewall and its route to China",
                "若主机本来就不回应 ping（ICMP）则没有问题；否则请检查防火墙和到中国的线路",
            ),
        ),
    }
}
