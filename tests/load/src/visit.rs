//! A visit, from opening the page to leaving it. There are five ways, in fixed shares.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::page::{Code, Page, Trouble};
use crate::phone::{Person, Phones};

/// The way of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Scans and is logged in.
    Scan,
    /// Closes the page before any scan.
    Leave,
    /// Asks for a new code first, and scans the new one.
    Refresh,
    /// Loses the connection, returns to the login, and scans.
    Resume,
    /// Stays until the code has expired. Few visitors do, because each one keeps its place for the whole time.
    Expire,
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody was logged in, this long after the press on Scan.
    LoggedIn(Duration),
    /// The page was closed before any scan.
    Left,
    /// The code expired.
    Expired,
}

impl Way {
    /// The way of visitor `number`: of each hundred, 50 scan, 20 leave, 15 refresh, 12 resume and 3 stay until
    /// the code has expired.
    pub(crate) fn of(number: u64) -> Self {
        // 37 and 100 have no common factor, so the ways are mixed.
        match number * 37 % 100 {
            0..50 => Self::Scan,
            50..70 => Self::Leave,
            70..85 => Self::Refresh,
            85..97 => Self::Resume,
            _ => Self::Expire,
        }
    }
}

/// All visitors.
pub(crate) struct Visitors {
    /// Where their browsers connect.
    pub(crate) gateway: SocketAddr,
    /// Their phones.
    pub(crate) phones: Phones,
    /// How long a code is shown.
    pub(crate) login_ttl: Duration,
}

impl Visitors {
    /// Makes the visit of visitor `number`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn visit(&self, number: u64) -> Result<Ended, Trouble> {
        let mut page = Page::open(self.gateway, number, None).await?;
        let mut code = page.code().await?;
        match Way::of(number) {
            Way::Scan => {}
            Way::Leave => {
                page.leave().await;
                return Ok(Ended::Left);
            }
            Way::Refresh => {
                page.refresh().await?;
                let newer = page.code().await?;
                if newer.content == code.content {
                    return Err(anyhow::anyhow!("a refresh gave the same code").into());
                }
                code = newer;
            }
            Way::Resume => {
                drop(page);
                page = Page::open(self.gateway, number, Some(&code.resume)).await?;
                if page.code().await? != code {
                    return Err(anyhow::anyhow!("a page came back to another login").into());
                }
            }
            Way::Expire => {
                page.expired(self.login_ttl).await?;
                page.leave().await;
                return Ok(Ended::Expired);
            }
        }
        Ok(Ended::LoggedIn(self.scan(number, page, &code).await?))
    }

    /// Logs in and does nothing else: the plain journey.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn log_in(&self, number: u64) -> Result<Duration, Trouble> {
        let mut page = Page::open(self.gateway, number, None).await?;
        let code = page.code().await?;
        Ok(self.scan(number, page, &code).await?)
    }

    /// Scans, and returns the time until the page was told the person's name.
    async fn scan(&self, number: u64, mut page: Page, code: &Code) -> anyhow::Result<Duration> {
        let (person, began) = (Person::of(number), Instant::now());
        let on_page = async {
            let user = page.logged_in().await?;
            Ok((user, began.elapsed()))
        };
        let ((user, took), ()) = tokio::try_join!(on_page, self.phones.scan(&person, &code.content))?;
        // An empty name is no fault, because WeChat may be too slow for one. Another person's name is a fault.
        let is_theirs = user == person.nickname || user.is_empty();
        ensure!(is_theirs, "the page of {} was told that it is {user}", person.nickname);
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_hundred_visitors_go_the_same_ways_and_mixed() {
        for first in [0, 100, 12_345] {
            let mut shares = BTreeMap::new();
            for number in first..first + 100 {
                *shares.entry(Way::of(number)).or_insert(0) += 1;
            }
            let expected =
                [(Way::Scan, 50), (Way::Leave, 20), (Way::Refresh, 15), (Way::Resume, 12), (Way::Expire, 3)];
            assert_eq!(shares, BTreeMap::from(expected), "from {first}");
        }
        let runs = (0..100).filter(|number| Way::of(*number) == Way::of(number + 1)).count();
        assert!(runs < 50, "{runs} of 100 do what the one before did");
    }
}
