//! What the gateway makes of the words of pages and of back ends, for `tests/properties`: the types that read them
//! are the gateway's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{BoxFuture, FutureExt, ready};
use http::Request;
use protocol::{Context, Scene, State};
use server::clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::Gateway;
use crate::account::{Account, Accounts};
use crate::browsers::assets::LoginPage;
use crate::browsers::message::FromPage;
use crate::browsers::opening::Opening;
use crate::codes::admission::Addresses;
use crate::codes::{Budget, Free, NoQrCode, Purse, Ready, Source, Unscanned};
use crate::config::Config;
use crate::gateway::Parts;
use crate::logins::seats::Pages;
use crate::logins::{Logins, NewLogin, QrCode, ResumeKey, Shown};
use crate::metrics::Metrics;
use crate::notices;
use crate::notices::credentials::Credentials;

/// Where the page connects from.
pub const PAGE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);

/// What a page said when it opened its WebSocket.
#[derive(Debug)]
pub struct Page {
    /// Who asks for a login.
    pub context: Context,
    /// What is wrong with the query.
    pub fault: Option<&'static str>,
}

/// Opens a WebSocket with this query and no headers; `None` if it is refused.
pub fn page(query: &str, config: &Config) -> Option<Page> {
    let request = Request::builder().uri(format!("/ws?{query}")).body(()).ok()?;
    let Opening { context, fault, .. } = Opening::read(&request, PAGE, &config.browsers).ok()?;
    Some(Page { context: Arc::unwrap_or_clone(context), fault: fault.map(|fault| fault.en) })
}

/// Whether a page's text message asks for a new code.
#[must_use]
pub fn asks_for_a_new_code(text: &str) -> bool {
    FromPage::read(text) == Some(FromPage::Refresh)
}

/// What a connection to the internal port has come to.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// From its beginning until the gateway had done with it.
    pub took: Duration,
    /// How the login stands.
    pub state: Option<State>,
    /// What the metric `gateway_unauthorized_total` has counted.
    pub unauthorized: u64,
}

/// Serves one connection to the internal port of a gateway in memory. `scene` is its only login, and waits.
///
/// # Errors
/// When a setting cannot be used.
pub async fn internal_port<S>(stream: S, scene: Scene, config: Config) -> anyhow::Result<Served>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const TTL: Duration = Duration::from_secs(1200);
    let Config { browsers, notices, files, codes, officials, ports, .. } = config;
    let (pages, metrics) = (Arc::new(Pages::default()), Metrics::default());
    let budget = Budget::new(codes.qr_per_day, None, clock::unix_now);
    let unscanned = Unscanned::new(codes.qr_per_day, codes.address_rate, None);
    let (source, ahead) = (Box::new(NoCodes), 0);
    let qr = Ready::new(source, budget, unscanned, ahead, codes.login_ttl, &metrics.of_account(""));
    let login_page = LoginPage::new(&officials, &browsers, codes.qr_url());
    let presented = officials.into_iter().next().context("no account")?.presented;
    let first = Account::new(None, presented, qr, Free::new(None));
    let gateway = Gateway::new(Parts {
        browsers,
        login_page,
        login_ttl: codes.login_ttl,
        drain_time: ports.drain_time,
        most_clients: notices.max_clients,
        credentials: Credentials::new(files, notices.max_clients),
        logins: Arc::new(Logins::in_memory(Arc::clone(&pages), 1)),
        pages,
        accounts: Arc::new(Accounts::new([first])),
        addresses: Addresses::new(codes.address_rate, None),
        metrics,
    });
    let new = NewLogin {
        context: Arc::default(),
        shown: Shown { qr: None, typed: None },
        secret: ResumeKey::new(scene).hash(),
        probe_of: None,
    };
    let seat = gateway.pages.join(scene);
    gateway.logins.open(scene, new, TTL, seat.name().clone()).await?;
    let began = Instant::now();
    notices::serve(&gateway, stream, PAGE, None).await;
    let took = began.elapsed();
    let state = gateway.logins.look(scene).await?.map(|login| login.state);
    Ok(Served { took, state, unauthorized: gateway.metrics.unauthorized.get() })
}

/// No page opens here.
struct NoCodes;

impl Source for NoCodes {
    fn ask<'a>(&'a self, _: Scene, _: &'a Purse<'a>) -> BoxFuture<'a, Result<QrCode, NoQrCode>> {
        ready(Err(NoQrCode::Slow)).boxed()
    }
}
