//! How often one address may ask for a new login, or come back to one.
//!
//! A login costs a call to WeChat, and one visitor must not use up what all of them share. Coming back costs no call,
//! but work for this gateway. So an address may come back ten times as often, and each gateway counts that for itself.
//! All addresses together are limited by the [budget](super::budget).

use std::net::IpAddr;
use std::time::Duration;

use records::Redis;
use server::shares::network;
use server::tell;
use server::told::Told;
use tokio::time::sleep;

use super::Unscanned;
use super::limit::{Limit, NotTaken};
use super::unscanned::Prepaid;
use crate::logins::StoreError;

/// Pages that may come back to their login, for each new login that their address may have. After the restart of a
/// gateway all pages of an office come back at once.
const RETURNS: u32 = 10;

/// How often addresses are forgotten that have their whole allowance again.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(10);

const MINUTE: Duration = Duration::from_secs(60);

/// The addresses that have lately asked for logins.
#[derive(Debug)]
pub(crate) struct Addresses {
    logins: Limit,
    returns: Limit,
    told: Told,
}

/// Why an address gets no new login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It has asked too often, and may again after this time.
    Wait(Duration),
    /// The store cannot count.
    Uncounted(StoreError),
}

impl Addresses {
    /// Each address may ask for `a_minute` logins at once, and then for as many a minute, evenly. They are counted in
    /// `shared`, if there is one.
    #[must_use]
    pub(crate) fn new(a_minute: u32, shared: Option<Redis>) -> Self {
        let logins = Limit::new("address", a_minute, MINUTE, shared);
        let returns = Limit::new("return", a_minute.saturating_mul(RETURNS), MINUTE, None);
        Self { logins, returns, told: Told::default() }
    }

    /// Counts a new login of `address`.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub(crate) async fn admit(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.logins.take(address).await.map_err(|why| self.not_admitted(address, why))
    }

    /// The same of a login that is shown a code of WeChat's, for which the address's share of those that nobody scans is asked
    /// for at the same time, where that spares a round trip.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub(crate) async fn admit_to_code(
        &self,
        address: IpAddr,
        unscanned: &Unscanned,
    ) -> Result<Option<Prepaid>, NotAdmitted> {
        unscanned.take_after(&self.logins, address).await.map_err(|why| self.not_admitted(address, why))
    }

    fn not_admitted(&self, address: IpAddr, why: NotTaken) -> NotAdmitted {
        match why {
            NotTaken::Wait(wait) => {
                self.tell(address, "new logins");
                NotAdmitted::Wait(wait)
            }
            NotTaken::Uncounted(failure) => NotAdmitted::Uncounted(failure.into()),
        }
    }

    /// Counts a page of `address` that comes back to its login.
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

    fn tell(&self, address: IpAddr, what: &'static str) {
        tell!(
            warn,
            self.told,
            what,
            [address = %network(address)],
            "too many {what} from one address or its network; name it in GATEWAY_TRUSTED_PROXIES if it is your \
             proxy, or raise GATEWAY_ADDRESS_RATE if many people share it"
        );
    }

    /// Forgets addresses that have their whole allowance again, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            self.logins.forget_rested();
            self.returns.forget_rested();
        }
    }
}
