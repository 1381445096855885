//! How often one address may ask for a new login, or come back to one.
//!
//! A login costs a call to WeChat, and one visitor must not spend what all of them share. Coming back costs no code,
//! but work: an address may do it ten times as often, which each gateway counts for itself, because the work is its
//! own. The limit on all addresses together is the pace of the QR codes' budget.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use records::Records;
use server::shares::network;
use tokio::time::{Instant, sleep};

use super::limit::Limit;
use crate::logins::StoreError;
use crate::pace::Pace;

/// How many pages of an address may come back for each new login that it may have. All of an office do at once, when
/// a gateway was restarted.
const RETURNS: u32 = 10;

/// How often addresses that have rested are taken out.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Log lines about refusals: one, and the next no sooner than this. A flood must not fill the disk.
const LOG_EVERY: Duration = Duration::from_secs(60);

const MINUTE: Duration = Duration::from_secs(60);

/// The addresses that have lately asked for logins.
#[derive(Debug)]
pub(crate) struct Addresses {
    logins: Limit,
    returns: Limit,
    log: Mutex<Pace>,
}

impl Addresses {
    /// Each address may ask for `a_minute` logins at once, and then for so many a minute, evenly. They are
    /// counted in `shared` where there is one.
    #[must_use]
    pub(crate) fn new(a_minute: u32, shared: Option<Records>) -> Self {
        let logins = Limit::new("address", a_minute, MINUTE, shared);
        let returns = Limit::new("return", a_minute.saturating_mul(RETURNS), MINUTE, None);
        Self { logins, returns, log: Mutex::new(Pace::new(1, LOG_EVERY, Instant::now())) }
    }

    /// Counts a new login of `address`. One too many gets the time until there may be another.
    ///
    /// # Errors
    /// When the store cannot count.
    pub(crate) async fn admit(&self, address: IpAddr) -> Result<Result<(), Duration>, StoreError> {
        let admitted = self.logins.take(address).await?;
        if admitted.is_err() {
            self.tell(address, "new logins");
        }
        Ok(admitted)
    }

    /// Counts a page of `address` that comes back to its login. One too many gets the time until there may be
    /// another.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn admit_back(&self, address: IpAddr) -> Result<(), Duration> {
        let admitted = self.returns.take_here(address);
        if admitted.is_err() {
            self.tell(address, "pages that come back");
        }
        admitted
    }

    fn tell(&self, address: IpAddr, what: &str) {
        // Nothing that is done under the lock can panic half-way.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.take(Instant::now()).is_ok() {
            tracing::warn!(
                address = %network(address),
                "too many {what} from one address or its network; name it in GATEWAY_TRUSTED_PROXIES if it is your \
                 proxy, or raise GATEWAY_ADDRESS_RATE if many people share it"
            );
        }
    }

    /// Forgets addresses that have rested, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            self.logins.forget_rested();
            self.returns.forget_rested();
        }
    }
}
