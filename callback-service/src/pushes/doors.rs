//! The doors of all official accounts: which account a request of WeChat's form is for. What comes to none of them is told in
//! the log, because WeChat's console shows nothing of an answer.

use http::StatusCode;
use server::http::{self as web, Response};
use wechat::push::Query;

use super::{Asked, Pushes};
use crate::provider::Provider;

/// What answers WeChat, account by account.
pub(crate) struct Doors(Vec<Pushes>);

impl Doors {
    /// The doors of these accounts; at least one.
    #[must_use]
    pub(crate) fn new(accounts: Vec<Pushes>) -> Self {
        Self(accounts)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Pushes> {
        self.0.iter()
    }

    /// The account whose pushes come to `/wechat` and, behind that, to `rest`: the account of the variables without it, and
    /// any account by its name, or by its appid, which the platform that manages an account may put there.
    #[must_use]
    pub(crate) fn at(&self, rest: Option<&str>) -> Option<&Pushes> {
        self.0.iter().find(|pushes| {
            let names = pushes.names();
            names.name() == rest || rest == Some(names.app_id())
        })
    }

    /// Answers a balancer's check at the root. A push that comes there has lost its path.
    pub(crate) async fn greet(&self, asked: &Asked<'_>) -> Response {
        match is_wechats(asked.query) {
            Some(query) => self.lost(asked, &query).await,
            None => web::text(StatusCode::OK, "callback-service is here; WeChat's pushes come to /wechat\n"),
        }
    }

    /// Answers a request for a path that is no door, beside a `provider` where there is one.
    pub(crate) async fn astray(&self, asked: &Asked<'_>, provider: Option<&Provider>) -> Response {
        match is_wechats(asked.query) {
            Some(query) => self.lost(asked, &query).await,
            None => provider.map_or_else(nothing_here, Provider::nothing_here),
        }
    }

    /// A push at a wrong path. Whose it was is not known, so each account uses up its signature.
    async fn lost(&self, asked: &Asked<'_>, query: &Query) -> Response {
        for pushes in &self.0 {
            pushes.use_up(query).await;
        }
        if let Some(first) = self.0.first() {
            let named = self.0.iter().filter_map(|pushes| pushes.names().name()).count();
            first.tell_of_lost(asked, named > 0);
        }
        nothing_here()
    }
}

/// The query, if it has a signature as WeChat's requests have.
fn is_wechats(raw: &str) -> Option<Query> {
    Query::parse(raw).ok().filter(|query| !query.signature().is_empty())
}

fn nothing_here() -> Response {
    web::text(StatusCode::NOT_FOUND, "WeChat's pushes come to /wechat\n")
}
