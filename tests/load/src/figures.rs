//! What some rounds found out: of each measure, for each server, one figure a round. Machines differ from minute to minute,
//! so servers are compared by their ratio within a round, and of figures and ratios the median is shown with its spread.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::target::Server;

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Measure {
    /// For programs: `open.cpu`.
    pub(crate) id: Cow<'static, str>,
    /// For people.
    pub(crate) name: Cow<'static, str>,
    pub(crate) unit: Unit,
}

/// What figures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "µs")]
    Micros,
    #[serde(rename = "ms")]
    Millis,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "a second")]
    ASecond,
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "")]
    Count,
}

/// The one in the middle, with the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(Measure, BTreeMap<Server, Vec<f64>>)>);

impl Measure {
    /// One of those that are known by name.
    pub(crate) const fn named(id: &'static str, name: &'static str, unit: Unit) -> Self {
        Self { id: Cow::Borrowed(id), name: Cow::Borrowed(name), unit }
    }

    /// One of a family.
    pub(crate) fn of(id: String, name: String, unit: Unit) -> Self {
        Self { id: id.into(), name: name.into(), unit }
    }
}

impl Spread {
    /// A figure without any.
    pub(crate) fn exactly(figure: f64) -> Self {
        Self { median: figure, least: figure, most: figure }
    }

    /// That of these; `None` if there are none.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, least, most })
    }
}

impl Figures {
    /// Keeps the figure of this round.
    pub(crate) fn add(&mut self, server: Server, measure: Measure, figure: f64) {
        let known = self.0.iter().position(|(known, _)| *known == measure);
        let at = known.unwrap_or_else(|| {
            self.0.push((measure, BTreeMap::new()));
            self.0.len() - 1
        });
        self.0[at].1.entry(server).or_default().push(figure);
    }

    /// What was measured, in the order in which it first was.
    pub(crate) fn measures(&self) -> impl Iterator<Item = &Measure> {
        self.0.iter().map(|(measure, _)| measure)
    }

    /// A server's figures, one a round.
    pub(crate) fn of(&self, measure: &Measure, server: Server) -> &[f64] {
        let row = self.0.iter().find(|(known, _)| known == measure);
        row.and_then(|(_, servers)| servers.get(&server)).map_or(&[], Vec::as_slice)
    }

    /// Adds those of another measurement.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Ours as a multiple of another's, of each round that has both. There is none to the floor's memory, which is next to
    /// nothing.
    pub(crate) fn ratios(&self, measure: &Measure, to: Server) -> Vec<f64> {
        if measure.unit == Unit::Bytes && to == Server::Floor {
            return Vec::new();
        }
        let pairs = self.of(measure, Server::Ours).iter().zip(self.of(measure, to));
        pairs.filter(|(_, to)| **to > 0.0).map(|(ours, to)| ours / to).collect()
    }
}

/// Such a part of times is shorter than this; they are sorted by it.
pub(crate) fn percentile(sorted: &[std::time::Duration], part: f64) -> std::time::Duration {
    let at = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(at.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    const CPU: Measure = Measure::named("cpu", "processor", Unit::Micros);

    #[test]
    fn ratios_are_of_each_round() {
        let mut figures = Figures::default();
        for (ours, floor) in [(30.0, 10.0), (20.0, 10.0), (80.0, 20.0)] {
            figures.add(Server::Ours, CPU, ours);
            figures.add(Server::Floor, CPU, floor);
        }
        let spread = Spread::of(&figures.ratios(&CPU, Server::Floor)).unwrap();
        assert_eq!(spread, Spread { median: 3.0, least: 2.0, most: 4.0 });
        assert!(figures.ratios(&CPU, Server::Tuned).is_empty());
        assert_eq!(Spread::of(&[4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let times: Vec<_> = (1..=1000).map(Duration::from_millis).collect();
        for (part, millis) in [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000), (0.0, 1)] {
            assert_eq!(percentile(&times, part), Duration::from_millis(millis));
        }
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
