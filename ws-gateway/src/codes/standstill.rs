//! Notices that the machine stood still: a virtual machine was suspended, a laptop slept. The clock that measures
//! lengths of time stands still meanwhile, so that codes look younger than they are at WeChat. The wall clock goes on.

use std::time::Duration;

use tokio::time::Instant;

/// The difference between the clocks that is ignored, from one look to the next. The wall clock is corrected a little
/// now and then, and is read in whole seconds. A larger correction costs no more than a few new codes.
const TOLERATED: Duration = Duration::from_secs(5);

/// Both clocks, as they were at the last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    measured: Instant,
    /// Seconds since 1970.
    wall: u64,
}

impl Clocks {
    #[must_use]
    pub(super) fn new(measured: Instant, wall: u64) -> Self {
        Self { measured, wall }
    }

    /// Looks at both anew, and says whether they have parted since.
    pub(super) fn have_parted(&mut self, measured: Instant, wall: u64) -> bool {
        let before = std::mem::replace(self, Self { measured, wall });
        let by_wall = i128::from(wall) - i128::from(before.wall);
        let by_measure = measured.saturating_duration_since(before.measured).as_secs();
        (by_wall - i128::from(by_measure)).unsigned_abs() > u128::from(TOLERATED.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_part_by_a_standstill_or_a_step_and_not_by_little_steps_however_many() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut clocks = Clocks::new(began, 1_000_000);
        assert!(!clocks.have_parted(began + 60 * second, 1_000_060));
        assert!(!clocks.have_parted(began + 3660 * second, 1_003_665));
        assert!(clocks.have_parted(began + 3661 * second, 1_003_665 + 3600), "an hour's standstill");
        assert!(!clocks.have_parted(began + 3662 * second, 1_003_666 + 3600), "once");
        assert!(clocks.have_parted(began + 3663 * second, 1_003_666), "set back");
        for little in 1..100 {
            assert!(!clocks.have_parted(began + (3663 + little) as u32 * second, 1_003_666 + 3 * little));
        }
    }
}
