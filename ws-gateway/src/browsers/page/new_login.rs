//! A page's new login, from its wish for one to the QR code on its screen, or the words why there is none.
//!
//! The page's address pays for it first, whatever the page has done before; then it takes a code, and only
//! when that is there is a login recorded, whose time begins.

use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::Scene;
use protocol::message::State;
use server::shares::{AllTaken, Share};
use server::{clock, tell};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use super::{Browser, Shown, Stage};
use crate::browsers::message::{Close, ToPage, milliseconds};
use crate::browsers::socket::Ended;
use crate::codes::NoQrCode;
use crate::logins::{NewLogin, QrCode, ResumeKey, StoreError};

/// New codes that a page may ask for at once, and then one each five seconds: a person who clicks, not a
/// script that spends WeChat's daily allowance.
pub(super) const REFRESHES: (u32, Duration) = (3, Duration::from_secs(5));

/// The least wait of a page whose address asked too often: those behind one address come back in turns.
const ADDRESS_RETRY: Duration = Duration::from_secs(5);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Browser<'_, S> {
    /// Takes one of the pages that the page's address may have open; one too many is told when to come back.
    pub(super) async fn take_share(&mut self) -> Result<Option<Share>, Ended> {
        let (gateway, address) = (self.gateway, self.opening.address);
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
                self.too_many("share", ADDRESS_RETRY).await
            }
        }
    }

    /// Counts a new login for the page's address; one too many is told when to come back.
    pub(super) async fn admit(&mut self) -> Result<(), Ended> {
        let admitted = self.gateway.addresses.admit(self.opening.address).await;
        match self.needed(admitted).await? {
            Ok(()) => Ok(()),
            Err(wait) => self.too_many("address", wait.max(ADDRESS_RETRY)).await,
        }
    }

    /// Counts a page that comes back; where too many of its address do, it is told when to try again.
    pub(super) async fn admit_back(&mut self) -> Result<(), Ended> {
        match self.gateway.addresses.admit_back(self.opening.address) {
            Ok(()) => Ok(()),
            Err(wait) => self.too_many("resume", wait.max(ADDRESS_RETRY)).await,
        }
    }

    async fn too_many<T>(&mut self, reason: &'static str, wait: Duration) -> Result<T, Ended> {
        self.count_refused(reason);
        let message = self
            .opening
            .language
            .of("当前网络的登录次数过多，请稍候", "Too many logins from this network, please wait");
        let retry_in = milliseconds(spread(wait));
        self.socket.send(&ToPage::Error { code: "too_many", message, retry_in: Some(retry_in) }).await?;
        Err(Ended::Told(Close::Busy))
    }

    fn count_refused(&self, reason: &'static str) {
        self.gateway.metrics.logins_refused.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn make_after(&self, wait: Duration) -> Stage {
        let (qr, address) = (self.gateway.qr.clone(), self.opening.address);
        Stage::Making(Box::pin(async move {
            sleep(wait).await;
            qr.take(address).await
        }))
    }

    /// There is no code just now: the page is told, and the gateway itself tries again. In a rush, or where the page's
    /// address has had its share, it lets go of the page instead, so that those who wait do not take the places of
    /// those who scan.
    pub(super) async fn wait_for_code(&mut self, none: &NoQrCode) -> Result<(), Ended> {
        self.failures += 1;
        self.gateway.metrics.qr_failures.inc();
        let retry_in = spread(none.retry_in(self.failures));
        // One line for an outage, however many pages wait, and however often it comes and goes.
        if matches!(none, NoQrCode::Unscanned(_)) {
            tell!(
                warn,
                self.gateway.told,
                "unscanned",
                [address = %self.opening.address],
                "{none}; name it in GATEWAY_TRUSTED_PROXIES if it is your proxy, or raise GATEWAY_ADDRESS_RATE if many \
                 people share it"
            );
        } else if !self.gateway.is_out_of_codes.swap(true, Ordering::Relaxed) {
            tell!(warn, self.gateway.told, "no codes", "pages wait for their QR codes: {none}");
        }
        self.stage = self.make_after(retry_in);
        self.socket.send(&none.tell(self.opening.language, retry_in)).await?;
        match none {
            NoQrCode::Rush(_) => {
                self.count_refused("rush");
                Err(Ended::Told(Close::Busy))
            }
            NoQrCode::Unscanned(_) => {
                self.count_refused("unscanned");
                Err(Ended::Told(Close::Busy))
            }
            NoQrCode::Spent(_) => {
                self.count_refused("spent");
                Ok(())
            }
            NoQrCode::Slow | NoQrCode::Refused(_) | NoQrCode::Uncounted(_) => Ok(()),
        }
    }

    /// Records a new login and shows it. Its seat is taken and its record written before anybody can scan.
    pub(super) async fn open(&mut self, scene: Scene, code: QrCode) -> Result<(), Ended> {
        let key = ResumeKey::new(scene);
        let seat = self.gateway.pages.join(scene);
        let mut context = self.opening.context.clone();
        context.created_at = clock::unix_now();
        let new = NewLogin { context, qr: code.clone(), secret: key.hash() };
        let ttl = self.gateway.config.gateway_login_ttl;
        let until = Instant::now() + ttl;
        let opened = self.gateway.logins.open(scene, new, ttl, seat.name().clone()).await;
        if opened == Err(StoreError::Full) {
            tell!(
                warn,
                self.gateway.told,
                "full store",
                "the store of logins is full; a page was told to wait"
            );
        }
        self.needed(opened).await?;
        self.failures = 0;
        if self.gateway.is_out_of_codes.swap(false, Ordering::Relaxed) {
            tell!(info, self.gateway.told, "codes again", "there are QR codes again");
        }
        self.gateway.metrics.logins.inc();
        let (state, has_picture) = (State::Waiting, false);
        self.stage = Stage::Showing(Shown { key, state, until, seat, has_picture, waits: false });
        self.show_code(&code, ttl).await
    }

    /// The page wants a new code, which its address pays for. A live login ends as expired; one that was
    /// granted in this very moment is told instead.
    pub(super) async fn refresh(&mut self) -> Result<(), Ended> {
        if matches!(self.stage, Stage::Making(_)) {
            return Ok(());
        }
        self.admit().await?;
        if let Stage::Showing(Shown { key, .. }) = &self.stage {
            match self.gateway.logins.expire(key.scene()).await {
                Ok(Some(login)) if login.state == State::Granted => return self.tell(login).await,
                Ok(_) => {}
                // A new code now would leave the old one open to a scan that nobody would see.
                Err(error) => return self.wait_for_store(&error).await,
            }
        }
        let wait = self.refreshes.take(Instant::now()).err().unwrap_or_default();
        self.stage = self.make_after(wait);
        if wait.is_zero() {
            return Ok(());
        }
        let message = self.opening.language.of("刷新太频繁，请稍候", "Too many new codes, please wait");
        let too_fast = ToPage::Error { code: "too_fast", message, retry_in: Some(milliseconds(wait)) };
        self.socket.send(&too_fast).await
    }
}

/// A quarter more or less, so that pages which lost something together do not come back in step.
pub(super) fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.75 + fastrand::f64() / 2.0)
}
