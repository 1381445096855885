//! What the service that runs on this host says of itself: whether it is ready, and which pushes it has refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doctor::http::{self, Answer, Whom};
use doctor::{Category, Sheet, Words};
use server::health;
use tokio::task::spawn_blocking;
use url::Url;

use super::Patient;

/// The look may take this long.
const WITHIN: Duration = Duration::from_secs(15);

/// Adds the look.
pub(super) fn look(category: &mut Category, patient: &Arc<Patient>) {
    let patient = Arc::clone(patient);
    category.look(ready(), WITHIN, move |sheet| {
        let patient = Arc::clone(&patient);
        async move { ask(&sheet, &patient).await }
    });
}

fn ready() -> Words {
    Words::new("the service on this host is ready", "本机的服务已就绪")
}

async fn ask(sheet: &Sheet, patient: &Patient) {
    let admin = patient.admin;
    let readiness = spawn_blocking(move || health::readiness(admin)).await;
    match readiness.map_err(std::io::Error::other).and_then(|said| said) {
        Ok(said) if said.is_ready => sheet.ok_with(ready(), Words::same(said.words)),
        Ok(said) => sheet.failure(
            ready(),
            Words::same(said.words),
            Words::new(
                "see the category gateway: it is ready once it has reached one",
                "请看 gateway 一类：连上网关后才算就绪",
            ),
        ),
        Err(error) => {
            sheet.warning(
                ready(),
                Words::new(format!("nothing answers at {admin}: {error}"), format!("{admin} 没有回应：{error}")),
                Words::new(
                    "start it, or give doctor its CALLBACK_ADMIN_LISTEN; what it has refused cannot be seen without it",
                    "请启动服务，或让 doctor 使用它的 CALLBACK_ADMIN_LISTEN；否则看不到它拒绝了哪些推送",
                ),
            );
            return;
        }
    }
    let Ok(url) = Url::parse(&format!("http://{admin}/metrics")) else { return };
    count(sheet, http::ask(Whom::ThisHost, &url, |client, url| client.get(url)).await);
}

/// Tells what was counted, if it could be read.
fn count(sheet: &Sheet, answer: Result<Answer, String>) {
    let why = match answer {
        Ok(answer) if answer.status == 200 => return refused(sheet, &answer.body),
        Ok(answer) => Words::new(format!("status {}", answer.status), format!("状态 {}", answer.status)),
        Err(why) => Words::same(why),
    };
    sheet.warning(
        taken(""),
        Words::new("/metrics cannot be read: ", "读不到 /metrics：").and(&why),
        Words::new(
            "what it has refused cannot be seen without it: see that CALLBACK_ADMIN_LISTEN is the service's own admin port, \
             without a proxy before it",
            "否则看不到它拒绝了哪些推送：请确认 CALLBACK_ADMIN_LISTEN 就是服务自己的管理端口，前面没有代理",
        ),
    );
}

fn taken(account: &str) -> Words {
    let account = Some(account).filter(|account| !account.is_empty());
    doctor::account::of(Words::new("the service takes WeChat's pushes", "服务接受微信的推送"), account)
}

/// Pushes that were taken, and those that were refused, by the check that failed and the account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    taken: BTreeMap<String, u64>,
    refused: BTreeMap<(String, String), u64>,
}

impl Counted {
    /// Reads Prometheus's text.
    fn of(text: &str) -> Self {
        let mut counted = Self::default();
        for line in text.lines() {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, number)) = rest.rsplit_once("} ") else { continue };
            let number = number.trim().parse::<f64>().map_or(0, |number| number as u64);
            let label = |name: &str| {
                let found = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
                found.map(|value| value.trim_end_matches('"').to_owned()).unwrap_or_default()
            };
            match name {
                "callback_refused_total" => {
                    *counted.refused.entry((label("account"), label("stage"))).or_default() += number;
                }
                // The doctor's own rehearsals prove nothing.
                "callback_pushes_total" if !matches!(&*label("kind"), "rehearsal" | "verification") => {
                    *counted.taken.entry(label("account")).or_default() += number;
                }
                _ => {}
            }
        }
        counted
    }
}

/// What a check's failures mean: why, and what to do. Nothing is said of those that strangers cause.
fn meaning(stage: &str) -> Option<(Words, Words)> {
    let (why, cure) = match stage {
        "json" => (
            Words::new("they are written in JSON", "推送是 JSON 格式"),
            Words::new(
                "set the data format (数据格式) of WeChat's message push settings to XML",
                "请把后台消息推送的数据格式改为 XML",
            ),
        ),
        "padding" => (
            Words::new("they are encrypted with another key", "推送用另一个密钥加密"),
            Words::new(
                "take WECHAT_AES_KEY from the message push settings again; while it is being changed set \
                 WECHAT_AES_KEY_PREVIOUS, too",
                "请从后台消息推送设置重新取得 WECHAT_AES_KEY；更换期间同时设置 WECHAT_AES_KEY_PREVIOUS",
            ),
        ),
        "appid" => (
            Words::new("they are for another appid", "推送属于另一个 appid"),
            Words::new(
                "set WECHAT_APP_ID to the account's own, or WECHAT_COMPONENT_APP_ID to that of the platform (第三方平台) which \
                 manages it",
                "请把 WECHAT_APP_ID 设为该账号的 appid；若由第三方平台托管，请设置 WECHAT_COMPONENT_APP_ID",
            ),
        ),
        "mode" => (
            Words::new(
                "they come in another mode than WECHAT_MODE says",
                "推送的加密方式与 WECHAT_MODE 不一致",
            ),
            Words::new(
                "set WECHAT_MODE to the mode of the message push settings, best safe in both",
                "请让 WECHAT_MODE 与后台消息推送的加密方式一致，最好都用安全模式",
            ),
        ),
        "freshness" => (
            Words::new("their time is too far from this machine's", "推送的时间与本机相差太大"),
            Words::new("see the clock, in the category system", "请看 system 一类中的时钟"),
        ),
        "signature" => (
            Words::new(
                "their signature is missing or wrong: another token, or strangers who try",
                "签名缺失或错误：token 不一致，或有陌生人尝试",
            ),
            Words::new(
                "if logins fail, take WECHAT_TOKEN from the message push settings again",
                "如果登录失败，请从后台消息推送设置重新取得 WECHAT_TOKEN",
            ),
        ),
        "msg_signature" => (
            Words::new("their msg_signature does not fit their body", "msg_signature 与内容不符"),
            Words::new("see whether a proxy changes bodies", "请检查反向代理是否改动了内容"),
        ),
        "path" => (
            Words::new("they came to another path than /wechat", "推送到了 /wechat 以外的路径"),
            Words::new(
                "end the URL of the message push settings with /wechat, and let the proxy keep the path",
                "后台消息推送的 URL 请以 /wechat 结尾，反向代理请保留路径",
            ),
        ),
        "store" => (
            Words::new("the store did not answer", "存储没有回应"),
            Words::new("see the category store", "请看 store 一类"),
        ),
        "fields" => (
            Words::new(
                "they are addressed to another account, or lack a field",
                "推送属于另一个账号，或缺少字段",
            ),
            Words::new(
                "set WECHAT_ORIGINAL_ID to the account's gh_ name, or take it away",
                "请把 WECHAT_ORIGINAL_ID 设为该账号的原始 ID（gh_ 开头），或去掉",
            ),
        ),
        _ => return None,
    };
    Some((why, cure))
}

/// Checks that only a push of WeChat's own comes to, because the ones before it need the token.
const AUTHENTIC: [&str; 5] = ["json", "padding", "appid", "mode", "fields"];

fn refused(sheet: &Sheet, metrics: &str) {
    let counted = Counted::of(metrics);
    let mut told = false;
    for ((account, stage), number) in &counted.refused {
        let Some((why, cure)) = meaning(stage).filter(|_| *number > 0) else { continue };
        told = true;
        let found = Words::new(
            format!("{number} were refused since its start: "),
            format!("启动以来拒绝了 {number} 次："),
        )
        .and(&why);
        let are_all = counted.taken.get(account).is_none_or(|number| *number == 0)
            && AUTHENTIC.contains(&stage.as_str());
        match are_all {
            true => sheet.failure(taken(account), found, cure),
            false => sheet.warning(taken(account), found, cure),
        }
    }
    if !told {
        let number: u64 = counted.taken.values().sum();
        sheet.ok_with(
            taken(""),
            Words::new(format!("{number} since its start"), format!("启动以来 {number} 次")),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use doctor::{Language, Outcome};

    use super::*;

    #[test]
    fn what_is_no_answer_to_the_question_is_not_taken_for_one() {
        let outcome = |answer: Result<u16, &str>| {
            let body = "callback_refused_total{stage=\"json\"} 3\n".to_owned();
            let (location, kind, server) = Default::default();
            let sheet = Sheet::default();
            let answer = answer.map(|status| Answer { status, location, kind, server, body });
            count(&sheet, answer.map_err(str::to_owned));
            sheet.checks()[0].outcome
        };
        assert_eq!(outcome(Ok(200)), Outcome::Failure);
        assert_eq!(outcome(Ok(503)), Outcome::Warning);
        assert_eq!(outcome(Err("refused")), Outcome::Warning);
    }

    #[test]
    fn what_was_refused_is_told_with_its_cure_and_strangers_are_no_failure() {
        let told = |metrics: &str| {
            let sheet = Sheet::default();
            refused(&sheet, metrics);
            let checks = sheet.checks();
            let hint =
                checks[0].hint.as_ref().map(|hint| hint.get(Language::En).to_owned()).unwrap_or_default();
            (checks[0].outcome, hint)
        };
        let json = "callback_refused_total{stage=\"json\",account=\"a\"} 3\n";
        let (outcome, hint) = told(json);
        assert_eq!(outcome, Outcome::Failure);
        assert!(hint.contains("XML"), "{hint}");
        let mended =
            format!("{json}callback_pushes_total{{kind=\"scan\",result=\"done\",account=\"a\"}} 2\n");
        assert_eq!(told(&mended).0, Outcome::Warning);
        let of_another =
            format!("{json}callback_pushes_total{{kind=\"scan\",result=\"done\",account=\"b\"}} 2\n");
        assert_eq!(told(&of_another).0, Outcome::Failure);
        assert_eq!(told("callback_refused_total{stage=\"signature\"} 7").0, Outcome::Warning);
        assert_eq!(told("# HELP x\ncallback_refused_total{stage=\"body\"} 7\n").0, Outcome::Ok);
        assert_eq!(told("").0, Outcome::Ok);
    }
}
