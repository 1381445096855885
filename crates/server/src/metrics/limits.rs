//! Limits that were met, by their names in docs/limits.md.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How often each limit was met. Clones count together.
///
/// A limit's name is that of the setting, or the place of the constant, in docs/limits.md. The list is a service's own and
/// fixed, so every limit is shown from the start, with 0.
#[derive(Debug, Clone)]
pub struct Limits {
    names: &'static [&'static str],
    met: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Limits {
    /// Limits of these names, none of which was met yet.
    #[must_use]
    pub fn new(names: &'static [&'static str]) -> Self {
        let met = Family::default();
        for name in names {
            met.get_or_create_owned(&[("limit", *name)]);
        }
        Self { names, met }
    }

    /// The counter of a limit, for a room that meets it.
    ///
    /// # Panics
    /// In a debug build, when the name is not on the list.
    #[must_use]
    pub fn of(&self, name: &'static str) -> Counter {
        debug_assert!(self.names.contains(&name), "{name} is not on the list of limits");
        self.met.get_or_create_owned(&[("limit", name)])
    }

    /// A limit was met: somebody was refused, dropped or told to wait.
    pub fn hit(&self, name: &'static str) {
        self.of(name).inc();
    }

    /// Registers them under the prefix of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "limits_hit",
            "Times that a limit was met, and somebody was refused, dropped or told to wait; limit as in docs/limits.md",
            self.met.clone(),
        );
    }
}
