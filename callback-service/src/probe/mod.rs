//! Proof of delivery: now and then this service makes a login of no person, opens its page as a browser would, scans it
//! as a phone would, and sees whether the page hears of it.
//!
//! All of it goes the way of people's logins: the lasting connection to the gateways' internal port, their store of
//! logins, and a real WebSocket. Only WeChat has no part. The gateway makes the login for the notice `probe`, and counts
//! it nowhere. [`once`] is one such login; [`broken`] says what may be wrong, and what to do about it.

pub(crate) mod broken;
mod course;
mod metrics;
mod settings;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use protocol::client::Link;
use protocol::message::{Resume, Status};
use protocol::{Client, NoAnswer, Notice, Scene};
use tokio::time::{Instant, sleep, timeout};

use self::broken::{Broken, Fault};
use self::course::{Course, News};
use self::metrics::Metrics;
pub(crate) use self::settings::{Checked, Settings, Target};
use self::socket::Page;
use crate::logins::gateway::ask;

/// Limit for a whole probe. A login that takes longer is none that a person would wait for.
const WITHIN: Duration = Duration::from_secs(10);

/// The person who scans a probe. No openid looks like this.
const BY: &str = "probe";

/// The close code by which a page hears that its login is done.
const DONE: u16 = 4010;

/// Probes one after another, for as long as the service runs.
#[derive(Debug)]
pub(crate) struct Probes {
    gateway: Client,
    target: Target,
    every: Duration,
    metrics: Metrics,
    last: Last,
}

/// The last probe, for an operator who looks. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last(Arc<Mutex<Option<Probed>>>);

/// A probe that was made.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub at: SystemTime,
    /// How long it took, or why it was not delivered.
    pub outcome: Result<Duration, Broken>,
}

impl Last {
    /// The last one, if there was one.
    #[must_use]
    pub(crate) fn seen(&self) -> Option<Probed> {
        self.0.lock().clone()
    }
}

impl Probes {
    /// Probes as `checked` says, by the connection of `gateway`; `None` where there are to be none.
    pub(crate) fn new(checked: Checked, gateway: Client) -> Option<Self> {
        let every = checked.every?;
        let Some(target) = checked.target else {
            tracing::info!(
                "nobody probes whether logins are delivered: set CALLBACK_PROBE_URL to the gateway's port for browsers, or \
                 CALLBACK_PROBE_EVERY to off"
            );
            return None;
        };
        Some(Self { gateway, target, every, metrics: Metrics::default(), last: Last::default() })
    }

    /// Registers what is counted.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// The last probe.
    pub(crate) fn last(&self) -> &Last {
        &self.last
    }

    /// Probes for as long as it is polled. The first probe comes once a gateway is connected, or when it is due.
    pub(crate) async fn run(&self) {
        let _ = timeout(self.every, self.gateway.connected()).await;
        let mut course = Course::default();
        loop {
            let probed = once(&self.gateway, &self.target).await;
            self.metrics.count(&probed);
            *self.last.0.lock() = Some(Probed { at: SystemTime::now(), outcome: probed.clone() });
            let (target, result) = (self.target.shown(), probed.as_ref().map(|_| ()));
            match course.goes_on(result) {
                Some(News::Fails(broken)) => {
                    let (fault, cure) = (broken.fault.name(), broken.fault.cure());
                    tracing::warn!(target, fault, "a login for a probe was not delivered: {broken}; {cure}");
                }
                Some(News::Works) => tracing::info!(target, "logins for probes are delivered again"),
                None => tracing::debug!(target, ?probed, "a login for a probe"),
            }
            // Several services that started together do not probe together.
            sleep(self.every.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        }
    }
}

/// Makes one login, scans it and waits until its page has heard of it, all within 10 s. Gives the time that it took.
///
/// `gateway` may be a connection that has only just been started. Dropping the future leaves a login that expires by
/// itself.
///
/// # Errors
/// [`Broken`]: where it ended, and why.
pub(crate) async fn once(gateway: &Client, target: &Target) -> Result<Duration, Broken> {
    let began = Instant::now();
    let deadline = began + WITHIN;
    let (scene, Resume(key)) = open(gateway, deadline).await?;
    let mut page = Page::open(target, &key, deadline)
        .await
        .map_err(|why| Broken::new(Fault::NoSocket, format!("{}: {why}", target.shown())))?;
    page.hear("qrcode_url", deadline).await.map_err(|why| Broken::new(Fault::NotShown, why))?;
    let by = || BY.to_owned();
    let claim = Notice::Claim { scene, by: by(), number: None };
    record(gateway, &claim, deadline).await?;
    // Between the two a page must have heard of the first, as with a person who confirms.
    let not_delivered = |why| Broken::new(Fault::NotDelivered, why);
    page.hear("scanned", deadline).await.map_err(not_delivered)?;
    let scan = Notice::Scan { scene, nickname: None, code: None, by: Some(by()) };
    record(gateway, &scan, deadline).await?;
    page.hear("scan_success", deadline).await.map_err(not_delivered)?;
    page.closes(DONE, deadline).await.map_err(not_delivered)?;
    let took = began.elapsed();
    page.leave().await;
    Ok(took)
}

/// Asks for a login.
async fn open(gateway: &Client, deadline: Instant) -> Result<(Scene, Resume), Broken> {
    let answer = ask(gateway, &Notice::Probe, deadline, false).await;
    let answer = answer.map_err(|no_answer| unanswered(gateway, no_answer, Fault::NotOpened))?;
    match (answer.status, answer.scene, answer.resume) {
        (Status::Ok, Some(scene), Some(key)) => Ok((scene, key)),
        (Status::Bad, ..) => Err(Broken::new(Fault::OldGateway, "it answers bad to the notice probe")),
        (Status::Forbidden, ..) => Err(Broken::new(Fault::NoRight, "it answers forbidden")),
        (status, ..) => Err(Broken::new(Fault::NotOpened, format!("it answers {}", status.as_str()))),
    }
}

/// Sends a notice that has to be recorded while the page is there.
async fn record(gateway: &Client, notice: &Notice, deadline: Instant) -> Result<(), Broken> {
    let kind = notice.kind();
    let answer = ask(gateway, notice, deadline, false).await;
    let answer = answer.map_err(|no_answer| unanswered(gateway, no_answer, Fault::NotRecorded))?;
    match answer.status {
        Status::Delivered => Ok(()),
        Status::Stored => {
            let why = format!("the {kind} was stored for a page that is away, and the page is here");
            Err(Broken::new(Fault::NotDelivered, why))
        }
        status => {
            Err(Broken::new(Fault::NotRecorded, format!("the {kind} was answered {}", status.as_str())))
        }
    }
}

/// What it means that a notice has no answer. A gateway that is connected has answered `busy` until the time was over, or
/// nothing at all: that is `fault`.
fn unanswered(gateway: &Client, no_answer: NoAnswer, fault: Fault) -> Broken {
    match (gateway.link(), no_answer) {
        (Link::Refused { code, message }, _) => Broken::new(Fault::Refused, format!("{code}: {message}")),
        (Link::Connected, NoAnswer::NotSent) => Broken::new(fault, "it is busy"),
        (Link::Connected, NoAnswer::Unknown) => Broken::new(fault, "it does not answer in time"),
        (link, _) => Broken::new(Fault::NoGateway, link.to_string()),
    }
}
