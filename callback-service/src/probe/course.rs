//! What the log says of probes: one line when they begin to fail, one more for each other fault of the same outage, and
//! one when they work again.

use super::broken::{Broken, Fault};

/// How the probes have gone so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The faults of the present outage; none while probes are delivered.
    told: Vec<Fault>,
}

/// What is worth a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News<'a> {
    /// Probes fail, and this is why.
    Fails(&'a Broken),
    /// Probes are delivered after they have failed.
    Works,
}

impl Course {
    /// Takes the next probe.
    pub(super) fn goes_on<'a>(&mut self, probed: Result<(), &'a Broken>) -> Option<News<'a>> {
        match probed {
            Ok(()) => {
                let failed = !self.told.is_empty();
                self.told.clear();
                failed.then_some(News::Works)
            }
            Err(broken) if self.told.contains(&broken.fault) => None,
            Err(broken) => {
                self.told.push(broken.fault);
                Some(News::Fails(broken))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_at_its_begin_for_each_new_fault_and_at_its_end() {
        let (socket, silent) =
            (Broken::new(Fault::NoSocket, "refused"), Broken::new(Fault::NotDelivered, "silence"));
        let mut course = Course::default();
        for (probed, news) in [
            (Ok(()), None),
            (Err(&socket), Some(News::Fails(&socket))),
            (Err(&socket), None),
            (Err(&silent), Some(News::Fails(&silent))),
            (Err(&socket), None),
            (Ok(()), Some(News::Works)),
            (Ok(()), None),
            (Err(&socket), Some(News::Fails(&socket))),
        ] {
            assert_eq!(course.goes_on(probed), news, "{probed:?}");
        }
    }
}
