//! What an operator sees of this gateway at its admin port: the parts of the live view, made of what the rooms know anyway.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use live_view::sections::{length, problems, process, rates};
use live_view::{Body, Cell, Ended, Row, Section, Series, Source, State, Tone, either};
use login_page::Language;
use login_page::browser::named;
use protocol::message::State as Stands;
use server::admin::Readiness;

use crate::Gateway;
use crate::logins::presence::Present;
use crate::logins::watched::{End, KINDS, Kind, Login, Of, Over};

/// Logins in progress that are shown, and clients. Of more the newest are.
const MOST: usize = 100;

/// Characters of a login's id: enough to find it in the log.
const SHORT: usize = 8;

/// This gateway, as an operator sees it.
pub(crate) struct Live {
    gateway: Arc<Gateway>,
    ready: Readiness,
    began: SystemTime,
}

impl Live {
    /// A gateway that begins now.
    pub(crate) fn new(gateway: Arc<Gateway>, ready: Readiness) -> Self {
        Self { gateway, ready, began: SystemTime::now() }
    }
}

impl Source for Live {
    fn state(&self, language: Language) -> BoxFuture<'_, State> {
        let seen = self.gateway.watched.look(MOST);
        let mut sections = vec![
            self.process(language),
            minutes(seen.minutes, language),
            self.accounts(language),
            self.clients(language),
        ];
        let gateways = self.gateway.logins.gateways();
        sections.extend(gateways.map(|gateways| self.gateways(gateways, language)));
        sections.extend([
            problems(language),
            in_progress(&seen.shown, seen.all, language),
            over(&seen.over, language),
        ]);
        ready(State { sections }).boxed()
    }

    fn ends_logins(&self) -> bool {
        true
    }

    fn end<'a>(&'a self, login: &'a str, by: IpAddr) -> BoxFuture<'a, Ended> {
        async move {
            let Some(scene) = self.gateway.watched.scene_of(login) else { return Ended::NotHere };
            match self.gateway.logins.end(scene).await {
                Ok(Some(login)) if login.state == Stands::Expired => Ended::Done,
                // It has ended otherwise in this very moment.
                Ok(_) => Ended::NotHere,
                Err(error) => {
                    tracing::warn!(%by, "a login could not be ended from the live view: {error}");
                    Ended::Failed
                }
            }
        }
        .boxed()
    }
}

impl Live {
    fn process(&self, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let Gateway { metrics, browsers, logins, .. } = &*self.gateway;
        let store = match logins.redis() {
            None => Cell::text(say("内存", "memory")),
            Some(redis) if redis.has_connection() => {
                Cell::text(say("Redis，已连接", "Redis, connected")).tone(Tone::Good)
            }
            Some(_) => Cell::text(say("Redis，连不上", "Redis, not connected")).tone(Tone::Bad),
        };
        let pages = format!("{} / {}", metrics.pages.get(), browsers.max_pages);
        let more = vec![
            (say("登录存储", "Store of logins"), store),
            (say("打开的页面", "Pages"), Cell::text(pages)),
        ];
        process(env!("CARGO_PKG_VERSION"), self.began, &self.ready, more, language)
    }

    fn accounts(&self, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let rows = self.gateway.accounts.iter().map(|account| {
            let (left, per_day) = (account.qr.budget().left(), account.qr.budget().per_day());
            let budget = left.map_or_else(
                || Cell::text(format!("{} / {per_day}", "–")).tone(Tone::Quiet),
                |left| {
                    Cell::text(format!("{left} / {per_day}")).tone(if left * 10 < per_day {
                        Tone::Warn
                    } else {
                        Tone::Good
                    })
                },
            );
            let refusals = account.qr.refusals();
            let wechat = match refusals.is_empty() {
                true => Cell::text(say("正常", "answers")).tone(Tone::Good),
                false => Cell::text(refusals.join("; ")).tone(Tone::Bad),
            };
            let name = account.id.clone().unwrap_or_else(|| say("默认", "default"));
            Row {
                cells: vec![Cell::text(name), Cell::text(account.qr.waiting().to_string()), budget, wechat],
            }
        });
        Section {
            id: "accounts",
            title: say("公众号与二维码", "Accounts and QR codes"),
            note: String::new(),
            wide: false,
            body: Body::Table {
                columns: vec![
                    say("公众号", "Account"),
                    say("备用码", "Ready"),
                    say("今天剩余", "Left today"),
                    say("微信接口", "WeChat"),
                ],
                rows: rows.collect(),
                empty: String::new(),
            },
        }
    }

    fn clients(&self, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let (clients, all) = self.gateway.connected.look(MOST);
        let rows = clients.into_iter().map(|connection| Row {
            cells: vec![
                Cell::text(connection.client),
                Cell::text((connection.key + 1).to_string()),
                Cell::text(connection.peer.ip().to_canonical().to_string()).tone(Tone::Code),
                Cell::since(connection.since),
            ],
        });
        Section {
            id: "clients",
            title: say("已连接的后端", "Clients"),
            note: many(all, MOST, language),
            wide: false,
            body: Body::Table {
                columns: vec![
                    say("名称", "Name"),
                    say("第几个密钥", "Key"),
                    say("来自", "From"),
                    say("已连接", "For"),
                ],
                rows: rows.collect(),
                empty: say(
                    "没有后端连接：扫码后没有人会收到结果。请检查 callback-service 的 CALLBACK_GATEWAY 和 NOTIFY_KEY。",
                    "No client is connected, so no scan arrives: check CALLBACK_GATEWAY and NOTIFY_KEY of callback-service.",
                ),
            },
        }
    }

    fn gateways(&self, gateways: Vec<Present>, language: Language) -> Section {
        let say = |zh, en| either(language, zh, en).to_owned();
        let own = self.gateway.pages.gateway();
        let rows = gateways.into_iter().map(|gateway| {
            let name = match gateway.name == own {
                true => format!("{} ({})", gateway.name, say("本机", "this one")),
                false => gateway.name,
            };
            Row {
                cells: vec![
                    Cell::text(name).tone(Tone::Code),
                    Cell::text(gateway.version),
                    Cell::text(gateway.logins.to_string()),
                    Cell::since(gateway.since),
                ],
            }
        });
        Section {
            id: "gateways",
            title: say("网关", "Gateways"),
            note: String::new(),
            wide: false,
            body: Body::Table {
                columns: vec![
                    say("名称", "Name"),
                    say("版本", "Version"),
                    say("登录", "Logins"),
                    say("已运行", "Running for"),
                ],
                rows: rows.collect(),
                // This one is always among them, else.
                empty: say(
                    "现在不知道有哪些网关：Redis 没有应答。",
                    "Not known just now, as Redis does not answer.",
                ),
            },
        }
    }
}

fn minutes(minutes: [Vec<u64>; KINDS.len()], language: Language) -> Section {
    let series = KINDS.iter().zip(minutes).map(|(kind, minutes)| {
        let ((zh, en), tone) = match kind {
            Kind::Shown => (("已显示", "Shown"), Tone::Quiet),
            Kind::Scanned => (("已扫码", "Scanned"), Tone::Quiet),
            Kind::Ended(end) => (words(*end), tone(*end)),
        };
        Series { name: either(language, zh, en).to_owned(), tone, minutes }
    });
    rates(series.collect(), language)
}

fn in_progress(logins: &[Login], all: usize, language: Language) -> Section {
    let say = |zh, en| either(language, zh, en).to_owned();
    let rows = logins.iter().map(|login| {
        let state = match login.state {
            Stands::Scanned => Cell::text(say("已扫码", "scanned")).tone(Tone::Good),
            _ => Cell::text(say("等待扫码", "waiting")),
        };
        let mut cells = vec![id(login), state, Cell::since(login.since)];
        cells.extend(who(login, language));
        cells.push(Cell::end(login.id.to_string()));
        Row { cells }
    });
    let mut columns = vec![say("登录", "Login"), say("状态", "State"), say("时长", "Age")];
    columns.extend(columns_of_who(language));
    columns.push(String::new());
    Section {
        id: "logins",
        title: say("进行中的登录", "Logins in progress"),
        note: many(all, MOST, language),
        wide: true,
        body: Body::Table {
            columns,
            rows: rows.collect(),
            empty: say("现在没有人在登录。", "Nobody is logging in just now."),
        },
    }
}

fn over(ended: &[Over], language: Language) -> Section {
    let say = |zh, en| either(language, zh, en).to_owned();
    let rows = ended.iter().map(|Over { login, end, at, after }| {
        let (zh, en) = words(*end);
        let ends = Cell::text(say(zh, en)).tone(tone(*end));
        let mut cells =
            vec![id(login), ends, Cell::text(length(*after, language)), Cell::since(*at).tone(Tone::Quiet)];
        cells.extend(who(login, language));
        Row { cells }
    });
    let mut columns = vec![say("登录", "Login"), say("结果", "End"), say("用时", "Took"), say("距今", "Ago")];
    columns.extend(columns_of_who(language));
    Section {
        id: "ended",
        title: say("最近结束的登录", "Logins that have ended"),
        note: String::new(),
        wide: true,
        body: Body::Table { columns, rows: rows.collect(), empty: say("还没有。", "None yet.") },
    }
}

/// How a login ended, in both languages.
fn words(end: End) -> (&'static str, &'static str) {
    match end {
        End::Granted => ("登录成功", "Granted"),
        End::Denied => ("被拒绝", "Denied"),
        End::Expired => ("已过期", "Expired"),
        End::Replaced => ("换了新码", "Replaced"),
        End::Left => ("页面已离开", "Page left"),
    }
}

fn tone(end: End) -> Tone {
    match end {
        End::Granted => Tone::Good,
        End::Denied => Tone::Bad,
        End::Expired => Tone::Warn,
        End::Replaced | End::Left => Tone::Quiet,
    }
}

fn id(login: &Login) -> Cell {
    let id = login.id.to_string();
    Cell::text(id.get(..SHORT).unwrap_or_default()).tone(Tone::Code)
}

fn columns_of_who(language: Language) -> [String; 4] {
    [("网站", "Site"), ("方式", "Shows"), ("浏览器", "Browser"), ("地址", "From")]
        .map(|(zh, en)| either(language, zh, en).to_owned())
}

/// Where a login is for and whose page it is, as far as a log may say.
fn who(login: &Login, language: Language) -> [Cell; 4] {
    let say = |zh, en| either(language, zh, en).to_owned();
    let of = match &login.of {
        Of::Page => "–".to_owned(),
        Of::Site(site) => site.clone(),
        Of::Request => say("经授权页", "by /authorize"),
    };
    let way = match login.way {
        "account" => say("公众号二维码", "account’s code"),
        "web" => say("网页二维码", "web code"),
        _ => say("验证码", "code to send"),
    };
    let browser: Vec<_> = login.browser.iter().flatten().map(|name| named(*name, language)).collect();
    [
        Cell::text(of),
        Cell::text(way),
        Cell::text(browser.join(" · ")),
        Cell::text(login.address.clone()).tone(Tone::Code),
    ]
}

/// Says how many there are, where not all are shown.
fn many(all: usize, most: usize, language: Language) -> String {
    match (all > most, language) {
        (false, _) => String::new(),
        (true, Language::Chinese) => format!("共 {all} 个，显示最新的 {most} 个"),
        (true, Language::English) => format!("{all} in all; the newest {most} are shown"),
    }
}
