//! What an operator sees of this service at its admin port: the parts of the live view, made of what the rooms know anyway.

use std::future::pending;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::{BoxFuture, FutureExt as _, join_all, ready};
use live_view::sections::{length, problems, process, rates};
use live_view::{Body, Cell, Row, Section, Series, Source, State, Tone, either};
use login_page::Language;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use protocol::Client;
use protocol::client::Link;
use server::admin::Readiness;
use tokio::sync::watch;

use crate::account::names::Names;
use crate::logins::answered::{Answer, Answered, KINDS, Kind};
use crate::logins::way::Way;
use crate::metrics::{Label, Metrics};
use crate::outbox::Backlog;
use crate::probe::{Last, Probed};

/// What sites are told of, by the names in the metrics.
const MESSAGES: [&str; 5] = ["logout", "login", "denial", "unsubscribe", "unknown"];

/// Characters of a login's id: enough to find it in the log.
const SHORT: usize = 8;

/// This service, as an operator sees it.
pub(crate) struct Live {
    pub(crate) answered: Answered,
    pub(crate) links: Links,
    /// The official accounts, each with its API.
    pub(crate) accounts: Vec<(Names, wechat::Client)>,
    pub(crate) metrics: Metrics,
    /// Whether logins are delivered, where that is probed.
    pub(crate) probe: Option<Last>,
    /// What waits for sites, where there are any.
    pub(crate) backlog: Option<Backlog>,
    pub(crate) ready: Readiness,
    pub(crate) began: SystemTime,
}

/// The connections to gateways, and since when each is as it is.
pub(crate) struct Links {
    /// Where gateways may be.
    addresses: Vec<String>,
    links: Vec<watch::Receiver<Link>>,
    /// Of each connection. Never locked across an await.
    seen: Arc<Mutex<Vec<(Link, SystemTime)>>>,
}

impl Links {
    /// The connections of this client, which looks for gateways there.
    pub(crate) fn new(addresses: Vec<String>, client: &Client) -> Self {
        let links = client.links();
        let now = links.iter().map(|link| (link.borrow().clone(), SystemTime::now())).collect();
        Self { addresses, links, seen: Arc::new(Mutex::new(now)) }
    }

    /// Notes each change, for as long as it is polled.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + use<> {
        let watched = self.links.iter().cloned().enumerate().map(|(at, mut link)| {
            let seen = Arc::clone(&self.seen);
            async move {
                loop {
                    let is = link.borrow_and_update().clone();
                    note(&mut seen.lock()[at], is);
                    if link.changed().await.is_err() {
                        pending::<()>().await;
                    }
                }
            }
        });
        join_all(watched).map(|_| ())
    }
}

/// A connection is like this now.
fn note(seen: &mut (Link, SystemTime), is: Link) {
    // Why there is none may be another reason at each attempt.
    if discriminant(&seen.0) != discriminant(&is) {
        seen.1 = SystemTime::now();
    }
    seen.0 = is;
}

impl Source for Live {
    fn state(&self, language: Language) -> BoxFuture<'_, State> {
        let (answers, minutes) = self.answered.look();
        let mut sections = vec![
            process(env!("CARGO_PKG_VERSION"), self.began, &self.ready, Vec::new(), language),
            counts(minutes, language),
            self.gateways(language),
            self.wechat(language),
        ];
        sections.extend(self.probe.as_ref().map(|last| probe(last.seen(), language)));
        sections.extend(self.backlog.as_ref().map(|backlog| self.outbox(backlog, language)));
        sections.push(problems(language));
        sections.push(scans(&answers, language));
        ready(State { sections }).boxed()
    }
}

impl Live {
    fn gateways(&self, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let seen = self.links.seen.lock().clone();
        let rows = seen.into_iter().map(|(link, since)| {
            let state = match &link {
                Link::Connected => Cell::text(say("已连接", "connected")).tone(Tone::Good),
                Link::Starting => Cell::text(say("正在连接", "connecting")).tone(Tone::Quiet),
                Link::Broken(why) => Cell::text(why.clone()).tone(Tone::Bad),
                Link::Refused { .. } => Cell::text(link.to_string()).tone(Tone::Bad),
            };
            Row { cells: vec![Cell::since(since).tone(Tone::Quiet), state] }
        });
        Section {
            id: "gateways",
            title: say("到网关的连接", "Connections to gateways"),
            note: self.links.addresses.join(", "),
            wide: false,
            body: Body::Table {
                columns: vec![say("持续", "For"), say("状态", "State")],
                rows: rows.collect(),
                empty: String::new(),
            },
        }
    }

    fn wechat(&self, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let rows = self.accounts.iter().map(|(names, api)| {
            let refusals: Vec<_> = api.refusals().iter().map(ToString::to_string).collect();
            let state = match refusals.is_empty() {
                true => Cell::text(say("正常", "answers")).tone(Tone::Good),
                false => Cell::text(refusals.join("; ")).tone(Tone::Bad),
            };
            let name = names.name().map_or_else(|| say("默认", "default"), str::to_owned);
            Row { cells: vec![Cell::text(name), state] }
        });
        Section {
            id: "wechat",
            title: say("微信接口", "WeChat’s API"),
            note: String::new(),
            wide: false,
            body: Body::Table {
                columns: vec![say("公众号", "Account"), say("状态", "State")],
                rows: rows.collect(),
                empty: String::new(),
            },
        }
    }

    fn outbox(&self, backlog: &Backlog, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let Metrics { outbox_delivered, outbox_failed, outbox_dead, outbox_refused, .. } = &self.metrics;
        let of = |family: &Family<Label, Counter>| -> u64 {
            MESSAGES.iter().filter_map(|kind| Some(family.get(&[("kind", *kind)])?.get())).sum()
        };
        let bad = |count: u64| {
            let cell = Cell::text(count.to_string());
            if count > 0 { cell.tone(Tone::Bad) } else { cell }
        };
        let (waiting, oldest) = backlog.seen();
        let mut facts = vec![(say("正在等待", "Waiting"), Cell::text(waiting.to_string()))];
        if waiting > 0 {
            facts.push((say("最早的已等待", "The oldest of them for"), Cell::aged(oldest)));
        }
        facts.extend([
            (say("已送达", "Delivered"), Cell::text(of(outbox_delivered).to_string())),
            (say("失败的尝试", "Tries that failed"), Cell::text(of(outbox_failed).to_string())),
            (say("已放弃", "Given up"), bad(of(outbox_dead))),
            (say("排队已满而丢弃", "Dropped, as too many waited"), bad(of(outbox_refused))),
        ]);
        Section {
            id: "outbox",
            title: say("发给网站的通知", "What sites are told"),
            note: say(
                "次数从启动算起；逐条查看：callback-service outbox",
                "Counted since the start; one by one: callback-service outbox",
            ),
            wide: false,
            body: Body::Facts { facts },
        }
    }
}

/// Whether a login of no person reached its page.
fn probe(last: Option<Probed>, language: Language) -> Section {
    let say = |zh, en| either(language, zh, en).to_owned();
    let mut facts = Vec::new();
    match last {
        None => facts.push((say("结果", "Result"), Cell::text(say("还没有", "none yet")).tone(Tone::Quiet))),
        Some(Probed { at, outcome }) => {
            match outcome {
                Ok(took) => {
                    let words = format!("{} ({})", say("已送达", "delivered"), length(took, language));
                    facts.push((say("结果", "Result"), Cell::text(words).tone(Tone::Good)));
                }
                Err(broken) => {
                    facts.push((say("结果", "Result"), Cell::text(broken.to_string()).tone(Tone::Bad)));
                    facts.push((say("怎么办", "What to do"), Cell::text(broken.fault.cure())));
                }
            }
            facts.push((say("距今", "Ago"), Cell::since(at)));
        }
    }
    Section {
        id: "probe",
        title: say("登录送达检查", "Proof of delivery"),
        note: say(
            "定时模拟一次登录，看网页是否收到",
            "Now and then a login of no person: does its page hear of it?",
        ),
        wide: false,
        body: Body::Facts { facts },
    }
}

fn counts(minutes: [Vec<u64>; KINDS.len()], language: Language) -> Section {
    let series = KINDS.iter().zip(minutes).map(|(kind, minutes)| {
        let (zh, en) = match kind {
            Kind::LoggedIn => ("登录成功", "Logged in"),
            Kind::Asked => ("请求确认", "Asked"),
            Kind::Refused => ("未登录", "Not logged in"),
            Kind::Unclear => ("稍后再试", "Unclear"),
        };
        Series { name: either(language, zh, en).to_owned(), tone: tone(*kind), minutes }
    });
    rates(series.collect(), language)
}

fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::LoggedIn => Tone::Good,
        Kind::Asked => Tone::Quiet,
        Kind::Refused => Tone::Warn,
        Kind::Unclear => Tone::Bad,
    }
}

fn scans(answers: &[Answer], language: Language) -> Section {
    let say = |zh, en| either(language, zh, en).to_owned();
    let has_accounts = answers.iter().any(|answer| !answer.account.is_empty());
    let rows = answers.iter().map(|answer| {
        let id = answer.login.to_string();
        let way = match answer.way {
            Way::Scan => say("扫码", "scan"),
            Way::Typed => say("发送验证码", "code sent"),
            Way::Wechat => say("微信内打开", "inside WeChat"),
        };
        let mut cells = vec![
            Cell::text(id.get(..SHORT).unwrap_or_default()).tone(Tone::Code),
            Cell::text(told(answer.told, language)).tone(tone(answer.kind)),
            Cell::text(length(answer.took, language)),
            Cell::since(answer.at).tone(Tone::Quiet),
            Cell::text(way),
        ];
        if has_accounts {
            cells.push(Cell::text(answer.account.clone()));
        }
        Row { cells }
    });
    let mut columns = vec![
        say("登录", "Login"),
        say("手机收到", "The phone was told"),
        say("用时", "Took"),
        say("距今", "Ago"),
        say("方式", "Way"),
    ];
    if has_accounts {
        columns.push(say("公众号", "Account"));
    }
    Section {
        id: "scans",
        title: say("最近的扫码", "Scans that were answered"),
        note: String::new(),
        wide: true,
        body: Body::Table {
            columns,
            rows: rows.collect(),
            empty: say("还没有人扫码。", "Nobody has scanned a code yet."),
        },
    }
}

/// What a phone was told, in words for an operator.
fn told(name: &'static str, language: Language) -> &'static str {
    let (zh, en) = match name {
        "logged_in" => ("登录成功", "logged in"),
        "question" => ("请求确认", "asked to confirm"),
        "wrong" => ("数字不对", "wrong number"),
        "wrong_numbers" => ("数字错误次数过多", "too many wrong numbers"),
        "not_me" => ("本人拒绝", "refused by the person"),
        "late" => ("确认超时", "confirmed too late"),
        "confirmed" => ("已确认，不能取消", "confirmed already"),
        "wrong_code" => ("验证码不对", "wrong code"),
        "too_many_codes" => ("验证码错误次数过多", "too many wrong codes"),
        "expired" => ("已过期", "expired"),
        "taken" => ("已被使用", "taken by somebody else"),
        "denied" => ("已取消", "cancelled"),
        "unknown_site" => ("网站没有登记", "unknown site"),
        "nameless" => ("缺少 unionid", "no unionid"),
        "try_again" => ("请重试（没有记录）", "try again (nothing recorded)"),
        "look" => ("请看网页（结果不明）", "look at the page (unclear)"),
        other => (other, other),
    };
    either(language, zh, en)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_is_shown_as_it_is_and_since_when() {
        let (is, link) = watch::channel(Link::Starting);
        let long_ago = SystemTime::UNIX_EPOCH;
        let seen = Arc::new(Mutex::new(vec![(Link::Starting, long_ago)]));
        let links = Links { addresses: vec!["gateway:9999".to_owned()], links: vec![link], seen };
        let watching = tokio::spawn(links.watch());
        let until = async |wanted: Link| {
            while links.seen.lock()[0].0 != wanted {
                tokio::task::yield_now().await;
            }
            links.seen.lock()[0].1
        };
        assert_eq!(until(Link::Starting).await, long_ago);
        is.send(Link::Broken("one".to_owned())).unwrap();
        let broken = until(Link::Broken("one".to_owned())).await;
        assert_ne!(broken, long_ago);
        is.send(Link::Broken("two".to_owned())).unwrap();
        assert_eq!(until(Link::Broken("two".to_owned())).await, broken, "it is one outage");
        watching.abort();
    }
}
