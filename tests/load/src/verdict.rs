//! Whether a program's memory is flat: the rule of `soak`.
//!
//! In the first minutes the store of logins grows to a size that depends on the load and not on the time, so
//! the warm-up is not judged. After it, the median of the last fifth of the samples may exceed the median of
//! the first fifth by 5 % and 2 MiB. Medians are used because sweeps and SQLite's checkpoints cause short
//! peaks. Fifths are used because a fifth of five minutes is one minute, which holds several of these peaks.
//! The 5 % allow for the load, which a busy machine slows down at times. The 2 MiB allow for the allocator,
//! which takes memory by the megabyte. The rule cannot see a smaller leak, so a verdict says how large one
//! could be: with a hundred thousand logins between the two fifths, some tens of bytes a login.

use std::time::Duration;

/// The number of equal parts of the judged time. The first and the last are compared.
const PARTS: usize = 5;

/// The fewest samples in a part that can be judged.
const LEAST: usize = 3;

/// Bytes that the allocator may take in addition.
const SLACK: u64 = 2 << 20;

/// One sample in the judged time: its time, and the resident bytes.
pub(crate) type At = (Duration, u64);

/// The findings for one program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// The median of the first part, in bytes.
    pub(crate) first: u64,
    /// The median of the last part, in bytes.
    pub(crate) last: u64,
    /// The largest sample, in bytes.
    pub(crate) peak: u64,
    /// The least-squares slope, in bytes a minute. It is printed but not judged, because one peak at an end
    /// changes it.
    pub(crate) slope: f64,
}

impl Verdict {
    /// Judges evenly spaced samples; `None` when there are too few.
    #[must_use]
    pub(crate) fn of(samples: &[At]) -> Option<Self> {
        let (first, last) = (first_part(samples), last_part(samples));
        if first.len() < LEAST {
            return None;
        }
        Some(Self {
            first: median(first),
            last: median(last),
            peak: samples.iter().map(|(_, bytes)| *bytes).max()?,
            slope: slope(samples) * 60.0,
        })
    }

    /// How much the last part may be above the first, in bytes.
    #[must_use]
    pub(crate) fn allowed(&self) -> u64 {
        self.first / 20 + SLACK
    }

    /// Whether memory stayed within what is allowed.
    #[must_use]
    pub(crate) fn is_flat(&self) -> bool {
        self.last <= self.first + self.allowed()
    }
}

/// The first of the two parts that are compared.
pub(crate) fn first_part<T>(samples: &[T]) -> &[T] {
    &samples[..samples.len() / PARTS]
}

/// The last of the two parts that are compared.
pub(crate) fn last_part<T>(samples: &[T]) -> &[T] {
    &samples[samples.len() - samples.len() / PARTS..]
}

fn median(samples: &[At]) -> u64 {
    let mut bytes: Vec<u64> = samples.iter().map(|(_, bytes)| *bytes).collect();
    bytes.sort_unstable();
    bytes[bytes.len() / 2]
}

/// Bytes a second.
#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
fn slope(samples: &[At]) -> f64 {
    let points = || samples.iter().map(|(at, bytes)| (at.as_secs_f64(), *bytes as f64));
    let count = samples.len() as f64;
    let (at, bytes) = points().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (at, bytes) = (at / count, bytes / count);
    let (both, square) = points().fold((0.0, 0.0), |(both, square), point| {
        (both + (point.0 - at) * (point.1 - bytes), square + (point.0 - at).powi(2))
    });
    if square > 0.0 { both / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Five minutes, a sample a second.
    fn judged(bytes: impl Fn(u64) -> u64) -> Verdict {
        let samples: Vec<At> = (0..300).map(|at| (Duration::from_secs(at), bytes(at))).collect();
        Verdict::of(&samples).unwrap()
    }

    #[test]
    fn what_stays_is_flat_with_its_teeth_and_a_peak() {
        assert!(judged(|_| 100 * MIB).is_flat());
        assert!(judged(|at| 100 * MIB + at % 10 * MIB).is_flat());
        let peaked = judged(|at| if (100..140).contains(&at) { 200 * MIB } else { 100 * MIB });
        assert!(peaked.is_flat() && peaked.peak == 200 * MIB, "{peaked:?}");
        let spiked = judged(|at| if at == 290 { 200 * MIB } else { 100 * MIB });
        assert!(spiked.is_flat(), "{spiked:?}");
        assert!(judged(|at| 100 * MIB - at * MIB / 10).is_flat(), "what shrinks does not grow");
    }

    #[test]
    fn what_grows_is_seen_slowly_or_in_a_step() {
        // Four minutes lie between the middles of the two fifths.
        assert!(!judged(|at| 100 * MIB + at * 8 * MIB / 240).is_flat());
        assert!(judged(|at| 100 * MIB + at * 6 * MIB / 240).is_flat(), "5 % and 2 MiB are allowed");
        assert!(!judged(|at| if at < 150 { 100 * MIB } else { 108 * MIB }).is_flat());
        assert!(!judged(|at| 10 * MIB + at * 3 * MIB / 240 + at % 10 * MIB / 10).is_flat());
    }

    #[test]
    fn the_slope_is_what_a_minute_adds() {
        let grows = judged(|at| 100 * MIB + at * 1000);
        assert!((grows.slope - 60_000.0).abs() < 0.1, "{grows:?}");
        assert!(judged(|_| MIB).slope.abs() < f64::EPSILON);
    }

    #[test]
    fn too_few_samples_are_no_verdict() {
        let samples = [(Duration::ZERO, MIB); 14];
        assert_eq!(Verdict::of(&samples), None);
        assert_eq!(Verdict::of(&[]), None);
    }
}
