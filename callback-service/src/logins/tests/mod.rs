//! Scans against a gateway, a store and a WeChat that each test plays itself. Each file has the tests of one idea.
//!
//! The gateway speaks the real wire over a socket, so time is real. Where only a limit ends a test, the limits are
//! shortened. Everything else goes as fast as it can under the usual limits.

#![allow(clippy::unwrap_used)]

mod answers;
mod asked;
mod audited;
mod codes;
mod confirmation;
mod faults;
mod nickname;
pub(crate) mod played_gateway;
mod repeats;
mod unclear;
mod ways;

use std::path::Path;
use std::sync::LazyLock;

use futures_util::future::join_all;
use protocol::message::{Context, State, Status};
use protocol::{Answer, Notice};

use self::played_gateway::{Gateway, answer, busy, claimed, claimed_for, granted, no_gateway, repeated};
use super::*;
use crate::audit::settings::Keep;
use crate::logins::confirmation::{Answered, By, Given, Typed};
use crate::logins::way::Way;
use crate::store::faults::{Fault, Faults};
use crate::store::{Memory, Recorded, Store};

/// Promise 5.
const PROMISED: Duration = Duration::from_secs(4);

/// What a test waits at most for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn scan() -> Scan {
    let (scene, openid) = (Scene::random(), Person::new("oPerson"));
    Scan { scene, openid, first: true, created_at: 1_700_000_000, way: Way::Scan }
}

fn claim_of(scan: &Scan) -> Notice {
    Notice::Claim { scene: scan.scene, by: scan.openid.as_str().to_owned(), number: None }
}

fn end_of(scan: &Scan, nickname: Option<&str>) -> Notice {
    Notice::Scan {
        scene: scan.scene,
        nickname: nickname.map(str::to_owned),
        code: None,
        by: Some(scan.openid.as_str().to_owned()),
    }
}

fn denial_of(scan: &Scan) -> Notice {
    Notice::Deny { scene: scan.scene, by: Some(scan.openid.as_str().to_owned()) }
}

fn told(count: Option<u32>) -> PhoneReply {
    PhoneReply::LoggedIn { first: true, nickname: None, count }
}

impl Scans {
    /// What the phone hears, in whichever language.
    async fn hears(self: &Arc<Self>, scan: Scan, arrived: Instant) -> PhoneReply {
        self.log_in(scan, arrived).await.reply
    }
}

fn sqlite() -> Arc<Store> {
    Arc::new(Store::in_sqlite(Path::new(":memory:")).unwrap())
}

/// Scans without nicknames, under the usual limits.
fn scans(gateway: Client, store: Arc<Store>) -> Arc<Scans> {
    // It is never asked. To make one loads all CAs, and the rows of a test would use up each other's time.
    static UNASKED: LazyLock<wechat::Client> = LazyLock::new(|| wechat_at("http://wechat.invalid"));
    with_wechat(gateway, store, UNASKED.clone(), Duration::ZERO)
}

fn wechat_at(url: &str) -> wechat::Client {
    let settings = wechat::Settings {
        app_id: "wx0123456789abcdef".to_owned(),
        app_secret: "secret".into(),
        api_url: url.to_owned(),
    };
    wechat::Client::new(settings).unwrap()
}

fn with_wechat(gateway: Client, store: Arc<Store>, wechat: wechat::Client, within: Duration) -> Arc<Scans> {
    let checked = Checked {
        user_info_within: within,
        confirms: false,
        places: Places::default(),
        log_openids: Openids::Short,
    };
    let (metrics, tasks) = (Metrics::default(), TaskTracker::new());
    let audit = Audit::new(&store, Keep::long(), metrics.clone(), tasks.clone());
    Scans::new(Parts {
        account: Names::new(None, "wx0123456789abcdef"),
        gateway,
        wechat,
        store,
        provider: None,
        settings: checked,
        audit,
        metrics,
        tasks,
        shared: Shared::default(),
    })
}

fn hurried(mut scans: Arc<Scans>, times: Times) -> Arc<Scans> {
    Arc::get_mut(&mut scans).unwrap().times = times;
    scans
}

/// Limits that a test can wait for, and a slow machine keep.
const SHORT: Times = Times {
    words: Duration::from_millis(2000),
    claim: Duration::from_millis(1000),
    scan: Duration::from_millis(1000),
    clear: Duration::from_millis(1500),
    grant: Duration::from_millis(300),
    store: Duration::from_millis(100),
};

/// Waits until all that was begun has ended.
async fn settled(scans: &Scans) {
    scans.tasks.close();
    timeout(PATIENCE, scans.tasks.wait()).await.unwrap();
}
