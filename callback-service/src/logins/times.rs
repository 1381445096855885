//! A scan's time: how the 4 s that are promised to WeChat are shared out among its steps, and how long the work goes on
//! after them.

use std::time::Duration;

/// The limits of a scan. The first four count from the push's arrival.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The words are ready. WeChat waits 5 s, and our promise is 4 s; the rest is for reading, sealing and the way back.
    pub(super) words: Duration,
    /// The claim is clear, so that there is time for the scan.
    pub(super) claim: Duration,
    /// A scan or a denial is not sent again after this, if the gateway was too busy for it. Where the phone can only be
    /// told to look at the page, `clear` replaces this and `claim`.
    pub(super) scan: Duration,
    /// The end of all asking, for a scan that may have been recorded, so that it becomes known and is counted; and for
    /// every notice of a person who can only be told to look at the page.
    pub(super) clear: Duration,
    /// The provider has not granted a login for a site after this: it makes three calls of the store.
    pub(super) grant: Duration,
    /// A call of the store has failed after this. A login makes three, and its words may still be in time.
    pub(super) store: Duration,
}

/// The times outside of tests.
pub(super) const TIMES: Times = Times {
    words: Duration::from_millis(3700),
    claim: Duration::from_millis(2200),
    scan: Duration::from_millis(3300),
    clear: Duration::from_secs(60),
    grant: Duration::from_secs(1),
    store: Duration::from_secs(1),
};
