//! Buckets of histograms, by what is measured. Each has few, because every bucket of every label is a series that is kept
//! for weeks; and one bound is a limit that somebody feels.

use prometheus_client::metrics::histogram::Histogram;

/// Work of a machine: a notice, a store. Well below 1 ms in memory, and 500 ms is the end of a command to Redis.
pub const WORK: [f64; 9] = [0.000_5, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0];

/// A push of WeChat, which waits for 5 s; most of ours end at 4 s at the latest.
pub const PUSH: [f64; 8] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 4.0];

/// A page that waits for its QR code: at once where one was made ahead; 9 s is our own limit.
pub const SHOWN: [f64; 8] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// A person who takes out a phone, scans and confirms. A login is shown for 2 min unless set otherwise.
pub const PERSON: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 600.0];

/// A histogram of [`WORK`].
#[must_use]
pub fn work() -> Histogram {
    Histogram::new(WORK)
}

/// A histogram of [`PUSH`].
#[must_use]
pub fn push() -> Histogram {
    Histogram::new(PUSH)
}

/// A histogram of [`SHOWN`].
#[must_use]
pub fn shown() -> Histogram {
    Histogram::new(SHOWN)
}

/// A histogram of [`PERSON`].
#[must_use]
pub fn person() -> Histogram {
    Histogram::new(PERSON)
}
