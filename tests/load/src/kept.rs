//! What was reached, and must not be lost: ratios of ours to a reference in the same round, and counts. Times are not among
//! them, because machines differ by more than twice.
//!
//! A run that is worse by more than half has lost something. One that is much better says so by its table: then the figure
//! here follows it, in the change that brought it.

use crate::figures::{Figures, Spread};
use crate::target::Server;

/// One figure that is kept. All of them are costs: less is better.
struct Kept {
    id: &'static str,
    /// What it is compared with; nothing, if it is a count.
    to: Option<Server>,
    /// Of programs that are built for release. This and the other are of the worse of the two kinds of machine that were tried:
    /// what programs do themselves takes half as long again on the one, beside what the kernel does.
    release: f64,
    /// Of those that are built as tests are, where our own code is not optimised, and the libraries' is. Every run of the tests
    /// has them, while a release build would cost it minutes; what grows by half, grows in both.
    debug: f64,
}

/// So many times what is kept is lost.
const LOST: f64 = 1.5;

const KEPT: [Kept; 8] = [
    Kept { id: "open.cpu", to: Some(Server::Tuned), release: 1.8, debug: 5.0 },
    Kept { id: "open.cpu_alone", to: Some(Server::Tuned), release: 1.55, debug: 5.3 },
    Kept { id: "open.memory", to: Some(Server::Tuned), release: 0.55, debug: 0.56 },
    Kept { id: "notices.cpu", to: Some(Server::Floor), release: 3.0, debug: 11.0 },
    Kept { id: "notices.cpu_1024", to: Some(Server::Floor), release: 2.8, debug: 11.0 },
    Kept { id: "scans.safe_sqlite.cpu", to: Some(Server::Floor), release: 23.0, debug: 90.0 },
    Kept { id: "scans.safe_redis.cpu", to: Some(Server::Floor), release: 18.0, debug: 55.0 },
    // It counts what happens within scripts, too.
    Kept { id: "logins.redis.commands", to: None, release: 46.2, debug: 46.2 },
];

impl Kept {
    fn figure(&self) -> f64 {
        if cfg!(debug_assertions) { self.debug } else { self.release }
    }
}

/// Each figure that was lost, in words. What was not measured is not judged.
pub(crate) fn lost(figures: &Figures) -> Vec<String> {
    let judge = |kept: &Kept| {
        let measure = figures.measures().find(|measure| measure.id == kept.id)?;
        let (found, of) = match kept.to {
            Some(server) => (figures.ratios(measure, server), format!(" of {}", server.name())),
            None => (figures.of(measure, Server::Ours).to_vec(), String::new()),
        };
        let Spread { median, .. } = Spread::of(&found)?;
        let reached = kept.figure();
        (median > reached * LOST)
            .then(|| format!("{}: {median:.2}{of}, where {reached} was reached: {}", kept.id, measure.name))
    };
    KEPT.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Measure, Unit};

    #[test]
    fn a_median_that_is_worse_by_more_than_half_is_named() {
        let measure = Measure::named("open.cpu", "processor", Unit::Micros);
        let found = |factor: f64| {
            let mut figures = Figures::default();
            for noise in [0.2, 1.0, 9.0] {
                figures.add(Server::Tuned, measure.clone(), 10.0);
                figures.add(Server::Ours, measure.clone(), 10.0 * KEPT[0].figure() * factor * noise);
            }
            lost(&figures)
        };
        assert!(found(1.49).is_empty() && found(0.1).is_empty());
        assert!(matches!(&found(1.51)[..], [one] if one.starts_with("open.cpu: ")), "{:?}", found(1.51));
        assert!(lost(&Figures::default()).is_empty());
    }

    #[test]
    fn a_count_is_judged_by_itself() {
        let commands = Measure::named("logins.redis.commands", "commands", Unit::Count);
        let mut figures = Figures::default();
        figures.add(Server::Ours, commands, 1000.0);
        assert_eq!(lost(&figures).len(), 1);
    }
}
