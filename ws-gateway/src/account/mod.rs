//! One official account, as pages meet it: how people log in with it, and what a page is shown.
//!
//! [`ways`] are the rules, [`settings`] what the operator chose, [`official`] where the
//! accounts are set up, and [`Accounts`] all of them. [`Account::take`] is a page's code: WeChat's
//! ([`Ready`]), or, by choice or while WeChat gives none, the address of the login's own [page](web), or nothing but a
//! code to type. Those two cost no call to WeChat; a [`pace`](crate::codes::Free) of their own limits them.

mod all;
mod budgets;
pub(crate) mod official;
mod picture;
mod settings;
pub(crate) mod ways;
mod web;

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::Scene;
use protocol::message::Context;

pub(crate) use self::all::Accounts;
pub(crate) use self::budgets::Budgets;
pub(crate) use self::settings::Settings;
use self::ways::{Kind, Ways};
use self::web::WebUrl;
use crate::codes::admission::{Addresses, NotAdmitted};
use crate::codes::{Free, NewCode, NoQrCode, Prepaid, Ready};
use crate::logins::QrCode;

/// What the settings say of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    /// Its name for people.
    pub(crate) name: Option<String>,
    /// Its own QR code, as a data URI.
    pub(crate) picture: Option<Arc<str>>,
    pub(crate) ways: Ways,
    pub(crate) web: Option<WebUrl>,
}

/// One official account.
pub(crate) struct Account {
    /// Its name in the file of accounts; the one of the variables has none.
    pub(crate) id: Option<String>,
    pub(crate) presented: Presented,
    /// WeChat's codes.
    pub(crate) qr: Arc<Ready>,
    /// The pace of all others, which the accounts share: their typed codes are of one range of numbers.
    pub(crate) free: Free,
    /// The last QR code of WeChat's that was asked for could not be had.
    is_out_of_codes: AtomicBool,
}

/// What a new login of a page is to show.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) scene: Scene,
    /// No QR code where there is only a code to type.
    pub(crate) qr: Option<QrCode>,
    /// It also shows a code to type.
    pub(crate) has_typed: bool,
    /// Why it is not the code that pages are shown first.
    pub(crate) in_place: Option<NoQrCode>,
}

impl Account {
    /// An account that has had no failure yet.
    #[must_use]
    pub(crate) fn new(id: Option<String>, presented: Presented, qr: Ready, free: Free) -> Self {
        Self { id, presented, qr: Arc::new(qr), free, is_out_of_codes: AtomicBool::new(false) }
    }

    /// Notes whether WeChat's codes can be had; says whether that is news.
    pub(crate) fn is_out_of_codes(&self, is_out: bool) -> bool {
        self.is_out_of_codes.swap(is_out, Ordering::Relaxed) != is_out
    }

    /// How the log names it, behind what it is about: nothing where it has no name.
    #[must_use]
    pub(crate) fn of(&self) -> String {
        self.id.as_ref().map(|id| format!(" of the account {id}")).unwrap_or_default()
    }

    /// Keeps WeChat's codes ready for as long as it is polled, where pages are shown them.
    pub(crate) async fn refill(&self) {
        match self.presented.ways.first() {
            Kind::Account => self.qr.refill().await,
            Kind::Web | Kind::None => pending().await,
        }
    }

    /// Counts a new login of `address` with this account. Perhaps that also asks for the address's share of WeChat's codes.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub(crate) async fn admit(
        &self,
        address: IpAddr,
        addresses: &Addresses,
    ) -> Result<Option<Prepaid>, NotAdmitted> {
        match self.presented.ways.first() {
            Kind::Account => addresses.admit_to_code(address, self.qr.unscanned()).await,
            Kind::Web | Kind::None => addresses.admit(address).await.map(|()| None),
        }
    }

    /// Takes a code for a page at `address`, which has had none so many times in a row, within some seconds. `prepaid` is what
    /// came of [admitting](Self::admit) it, where no code was taken since.
    ///
    /// # Errors
    /// [`NoQrCode`], where the ways leave nothing in place of WeChat's code, or waiting is better.
    pub(crate) async fn take(
        &self,
        address: IpAddr,
        prepaid: Option<Prepaid>,
        failures: u32,
    ) -> Result<Taken, NoQrCode> {
        let ways = self.presented.ways;
        match ways.first() {
            Kind::Account => {}
            kind => return self.take_free(kind, None).await,
        }
        match (self.qr.take(address, prepaid).await, ways.in_its_place()) {
            (Ok(NewCode { scene, code }), _) => {
                Ok(Taken { scene, qr: Some(code), has_typed: ways.has_typed(Kind::Account), in_place: None })
            }
            (Err(none), Some(kind)) if none.lasts(failures) => self.take_free(kind, Some(none)).await,
            (Err(none), _) => Err(none),
        }
    }

    async fn take_free(&self, kind: Kind, in_place: Option<NoQrCode>) -> Result<Taken, NoQrCode> {
        self.free.take().await?;
        let scene = Scene::random();
        let web = self.presented.web.as_ref().filter(|_| kind == Kind::Web);
        let qr = web.map(|web| QrCode::Web { address: web.login(scene, self.id.as_deref()) });
        Ok(Taken { scene, qr, has_typed: self.presented.ways.has_typed(kind), in_place })
    }

    /// What pages are shown while WeChat gives no code, in words for the log.
    #[must_use]
    pub(crate) fn in_its_place(&self) -> &'static str {
        match self.presented.ways.in_its_place() {
            Some(Kind::Web) => "a web code",
            Some(Kind::Account | Kind::None) | None => "a code to type alone",
        }
    }

    /// Where a page that is open inside WeChat goes with its login. A site's login goes back to that site, which such
    /// a page cannot see to.
    #[must_use]
    pub(crate) fn opens(&self, scene: Scene, context: &Context) -> Option<String> {
        let is_ours = context.site.is_none() && context.request.is_none();
        let web = self.presented.web.as_ref().filter(|_| is_ours && self.presented.ways.wechat)?;
        Some(web.login(scene, self.id.as_deref()))
    }
}
