//! Checks of one kind, and the looks that make them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use crate::check::{Check, Outcome, Sheet};
use crate::words::Words;

/// The category of the settings themselves. While they are wrong nothing else can be looked at.
pub const SETTINGS: &str = "settings";

/// Checks of one kind, which `--only` may choose by name.
pub struct Category {
    name: &'static str,
    title: Words,
    looks: Vec<Look>,
}

/// One or more checks that follow from each other. Looks are independent and made at once.
enum Look {
    /// It can be made again.
    Make { what: Words, limit: Duration, make: Box<dyn Fn(Sheet) -> BoxFuture<'static, ()> + Send + Sync> },
    /// It was made before, and would find the same.
    Made(Vec<Check>),
}

impl Category {
    /// A category without looks: its name for `--only` and `--json`, and its title.
    #[must_use]
    pub fn new(name: &'static str, title: Words) -> Self {
        Self { name, title, looks: Vec::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &Words {
        &self.title
    }

    /// Adds a look, which may be made several times. When `limit` is over it is dropped, what it has written stays, and
    /// `what` it looks at is a failure. A look that writes nothing found nothing to say.
    pub fn look<F>(&mut self, what: Words, limit: Duration, make: impl Fn(Sheet) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let make = Box::new(move |sheet| -> BoxFuture<'static, ()> { Box::pin(make(sheet)) });
        self.looks.push(Look::Make { what, limit, make });
    }

    /// Adds checks that were made before. They are never made again: nothing about them changes while this doctor runs.
    pub fn found(&mut self, sheet: &Sheet) {
        self.looks.push(Look::Made(sheet.checks()));
    }

    /// Whether it is known to have a failure before any look is made.
    pub(crate) fn has_failed(&self) -> bool {
        self.looks.iter().any(|look| matches!(look, Look::Made(checks) if worst(checks) == Outcome::Failure))
    }

    /// Whether a look may find something else when it is made again.
    pub(crate) fn may_change(&self, look: usize) -> bool {
        matches!(self.looks[look], Look::Make { .. })
    }

    /// How many looks there are.
    pub(crate) fn looks(&self) -> usize {
        self.looks.len()
    }

    /// Makes one look.
    pub(crate) async fn make(&self, look: usize) -> Vec<Check> {
        let (what, limit, make) = match &self.looks[look] {
            Look::Make { what, limit, make } => (what, limit, make),
            Look::Made(checks) => return checks.clone(),
        };
        let sheet = Sheet::default();
        if timeout(*limit, make(sheet.clone())).await.is_err() {
            let seconds = limit.as_secs_f32();
            sheet.failure(
                what.clone(),
                Words::new(
                    format!("it took more than {seconds} s, and was given up"),
                    format!("超过 {seconds} 秒没有结果，已放弃"),
                ),
                Words::new(
                    "look at the network on the way: firewalls that drop packets, proxies, name servers",
                    "请检查沿途网络：丢弃数据包的防火墙、代理、DNS 服务器",
                ),
            );
        }
        sheet.checks()
    }
}

/// The worst of these checks.
pub(crate) fn worst(checks: &[Check]) -> Outcome {
    checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Ok)
}
