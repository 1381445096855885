//! A page's new login: the page's address pays for it, WeChat's code is taken, and then the login is recorded.
//!
//! A login's time begins when its code is there. Each limit that the page meets on the way is counted and told
//! to the operator here; what the page is told is the [`Conversation`](crate::browsers::conversation)'s.

use std::sync::Arc;
use std::time::Duration;

use protocol::Scene;
use protocol::message::State;
use server::shares::{AllTaken, Share};
use server::{clock, tell};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::{Held, PageTask};
use crate::Gateway;
use crate::account::ways::Kind;
use crate::account::{Account, Taken};
use crate::browsers::conversation::{Beside, ShowCode, Then};
use crate::browsers::message::ToPage;
use crate::browsers::socket::Ended;
use crate::codes::admission::NotAdmitted;
use crate::codes::{NoQrCode, draw};
use crate::logins::{NewLogin, Opened, QrCode, ResumeKey, Shown, StoreError};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PageTask<S> {
    /// Takes one of the pages that the page's address may have open. One too many is told when to come back.
    pub(super) async fn take_share(&mut self) -> Result<Option<Share>, Ended> {
        let (gateway, address) = (Arc::clone(&self.gateway), self.address);
        match gateway.shares.take(address) {
            Ok(share) => Ok(share),
            Err(AllTaken) => {
                tell!(
                    warn,
                    gateway.told,
                    "share",
                    [%address],
                    "one address has {} pages open, and gets no more; name it in GATEWAY_TRUSTED_PROXIES if it is your \
                     proxy, or raise GATEWAY_MAX_PAGES",
                    gateway.shares.most(),
                );
                self.too_many("share", "server::shares", Duration::ZERO).await
            }
        }
    }

    /// Counts a new login for the page's address, whose code is taken at once. One too many is told when to come back.
    pub(super) async fn admit_to(&mut self, account: &Account) -> Result<(), Ended> {
        let admitted = account.admit(self.address, &self.gateway.addresses).await;
        if let Some(prepaid) = self.admitted(admitted).await? {
            self.held = Held::Prepaid(prepaid);
        }
        Ok(())
    }

    /// Counts another login for the page's address.
    async fn admit(&mut self) -> Result<(), Ended> {
        let admitted = self.gateway.addresses.admit(self.address).await;
        self.admitted(admitted).await
    }

    async fn admitted<T>(&mut self, admitted: Result<T, NotAdmitted>) -> Result<T, Ended> {
        match admitted {
            Ok(admitted) => Ok(admitted),
            Err(NotAdmitted::Wait(wait)) => self.too_many("address", "GATEWAY_ADDRESS_RATE", wait).await,
            Err(NotAdmitted::Uncounted(error)) => self.needed(Err(error)).await,
        }
    }

    /// Counts a page that comes back. Where too many of its address do, it is told when to try again.
    pub(super) async fn admit_back(&mut self) -> Result<(), Ended> {
        match self.gateway.addresses.admit_back(self.address) {
            Ok(()) => Ok(()),
            Err(wait) => self.too_many("resume", "codes::admission", wait).await,
        }
    }

    async fn too_many<T>(
        &mut self,
        reason: &'static str,
        limit: &'static str,
        wait: Duration,
    ) -> Result<T, Ended> {
        self.count_refused(reason, limit);
        self.close(self.talk.too_many(wait, fastrand::f64())).await
    }

    /// Counts a page that was refused, for this reason and by the limit that it met.
    fn count_refused(&self, reason: &'static str, limit: &'static str) {
        self.gateway.metrics.logins_refused.get_or_create(&[("reason", reason)]).inc();
        self.gateway.metrics.limits.hit(limit);
    }

    pub(super) fn code_after(&mut self, wait: Duration) -> Held {
        let (account, address) = (self.account().cloned(), self.address);
        let prepaid = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Prepaid(prepaid) => Some(prepaid),
            Held::Nothing | Held::Code(_) | Held::Seat(_) => None,
        };
        let failures = self.talk.failures();
        Held::Code(Box::pin(async move {
            sleep(wait).await;
            match account {
                Some(account) => account.take(address, prepaid, failures).await,
                None => Err(NoQrCode::NoAccount),
            }
        }))
    }

    /// The official account of the page.
    fn account(&self) -> Option<&Arc<Account>> {
        self.gateway.accounts.of(self.context.account.as_deref())
    }

    fn account_label(&self) -> &str {
        self.context.account.as_deref().unwrap_or_default()
    }

    /// There is no code just now.
    pub(super) async fn no_code(&mut self, none: &NoQrCode) -> Result<(), Ended> {
        self.gateway.metrics.of_account(self.account_label()).failures.inc();
        // One line for an outage, however many pages wait, and however often it comes and goes.
        if matches!(none, NoQrCode::Unscanned(_)) {
            tell!(
                warn,
                self.gateway.told,
                "unscanned",
                [address = %self.address],
                "{none}; name it in GATEWAY_TRUSTED_PROXIES if it is your proxy, or raise GATEWAY_ADDRESS_RATE if many \
                 people share it"
            );
        } else if let Some(account) = self.account().filter(|account| account.is_out_of_codes(true)) {
            let of = account.of();
            tell!(
                warn,
                self.gateway.told,
                format!("no codes{of}"),
                "pages{of} wait for their QR codes: {none}"
            );
        }
        match none {
            NoQrCode::Rush(_) => self.count_refused("rush", "GATEWAY_QR_PER_DAY"),
            NoQrCode::Crowd(_) => self.count_refused("rush", "codes::free"),
            NoQrCode::Unscanned(_) => self.count_refused("unscanned", "codes::unscanned"),
            NoQrCode::Spent(_) => self.count_refused("spent", "GATEWAY_QR_PER_DAY"),
            NoQrCode::Slow => self.gateway.metrics.limits.hit("ws_gateway::codes"),
            NoQrCode::Refused(_) | NoQrCode::Uncounted(_) | NoQrCode::NoAccount => {}
        }
        let turn = self.talk.no_code(none, fastrand::f64());
        self.take_turn(turn).await
    }

    /// Records a new login and shows it. Its seat is taken and its record written before anybody can scan.
    pub(super) async fn open(&mut self, taken: Taken) -> Result<(), Ended> {
        let Taken { scene, qr, has_typed, in_place } = taken;
        let key = ResumeKey::new(scene);
        let seat = self.gateway.pages.join(scene);
        Arc::make_mut(&mut self.context).created_at = clock::unix_now();
        let context = Arc::clone(&self.context);
        let (ttl, now) = (self.gateway.login_ttl, Instant::now());
        let typed = if has_typed { self.typed_code(scene).await? } else { None };
        let shown = Shown { qr, typed };
        let new = NewLogin { context, shown: shown.clone(), secret: key.hash(), probe_of: None };
        let new = Opened::from(new);
        let opened = self.gateway.logins.open(scene, new.clone(), ttl, seat.name().clone()).await;
        self.stored(opened, "GATEWAY_MAX_LOGINS").await?;
        self.tell_of_codes(in_place.as_ref());
        self.count_login(&shown);
        self.logins.shows();
        self.watch = Some(self.gateway.watched.shows(scene, &new));
        let turn = self.talk.show(key, seat.name().clone(), shown, ttl, now);
        self.held = Held::Seat(seat);
        self.take_turn(turn).await
    }

    /// A code to type, for the login that is about to be opened.
    async fn typed_code(&mut self, scene: Scene) -> Result<Option<String>, Ended> {
        let (gateway, account) = (&self.gateway, self.context.account.as_deref());
        let code = gateway.logins.typed_code(scene, account, gateway.login_ttl).await;
        self.stored(code, "logins::typed").await.map(Some)
    }

    /// What the store says of a new login. If there is no room for it by this `limit`, the page is told to come back.
    async fn stored<T>(&mut self, stored: Result<T, StoreError>, limit: &'static str) -> Result<T, Ended> {
        if matches!(stored, Err(StoreError::Full)) {
            self.gateway.metrics.limits.hit(limit);
            tell!(
                warn,
                self.gateway.told,
                "full store",
                "the store of logins is full; a page was told to wait"
            );
        }
        self.needed(stored).await
    }

    /// Tells the operator when pages begin to be shown something in place of their QR code, and when that is over.
    fn tell_of_codes(&self, in_place: Option<&NoQrCode>) {
        let Gateway { metrics, told, .. } = &*self.gateway;
        if in_place.is_some() {
            metrics.of_account(self.account_label()).failures.inc();
        }
        let is_news = |account: &&Arc<Account>| account.is_out_of_codes(in_place.is_some());
        let Some(account) = self.account().filter(is_news) else { return };
        let of = account.of();
        match in_place {
            None => tell!(info, told, format!("codes again{of}"), "there are QR codes{of} again"),
            Some(none) => {
                let what = account.in_its_place();
                tell!(
                    warn,
                    told,
                    format!("no codes{of}"),
                    "pages{of} are shown {what} in place of their QR codes: {none}"
                );
            }
        }
    }

    fn count_login(&self, shown: &Shown) {
        let kind = match &shown.qr {
            Some(QrCode::Account { .. }) => Kind::Account,
            Some(QrCode::Web { .. }) => Kind::Web,
            None => Kind::None,
        };
        tracing::debug!(code = kind.name(), typed = shown.typed.is_some(), "a login is shown");
        self.gateway.metrics.logins.inc();
        self.gateway.metrics.logins_shown.get_or_create(&[("code", kind.name())]).inc();
    }

    /// The page asks for a new code, which its address pays for. The login that it shows ends as expired.
    pub(super) async fn refresh(&mut self) -> Result<(), Ended> {
        self.admit().await?;
        let ended = match self.talk.shows() {
            None => None,
            Some(scene) => match self.gateway.logins.expire(scene).await {
                Ok(login) => login,
                // A new code now would leave the old one open to a scan that nobody would see.
                Err(error) => return self.outage(&error).await,
            },
        };
        if let (Some(watch), Some(login)) = (&mut self.watch, &ended)
            && login.state == State::Granted
        {
            watch.stands(State::Granted);
        }
        let turn = self.talk.renew(ended, Instant::now());
        if let Then::TakeCode(wait) = turn.then {
            self.logins.takes_another();
            if let Some(watch) = self.watch.take() {
                watch.replaced();
            }
            if !wait.is_zero() {
                self.gateway.metrics.limits.hit("browsers::conversation");
            }
        }
        self.take_turn(turn).await
    }

    pub(super) fn with_picture(&self, code: ShowCode) -> ToPage {
        let (account, scene) = (self.account(), self.talk.shows());
        let open = account.zip(scene).and_then(|(account, scene)| account.opens(scene, &self.context));
        let beside = Beside { account: account.map(|account| &account.presented), open };
        code.message(beside, draw)
    }
}
