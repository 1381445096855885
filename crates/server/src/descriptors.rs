//! The limit on open files. Each connection is one, and a process without any left cannot accept, connect, or read its
//! own files. So each port that strangers may fill has a limited number of connections, and the rest stays free.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit on open files as far as the system allows (from its soft to its hard limit,
/// see getrlimit(2)) and gives it. Many systems begin with 1,024.
#[must_use]
pub fn raise() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If this is refused, the limit stays what it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A port that may be filled, and what its connections cost in open files.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// The setting that says how many connections it takes.
    pub setting: &'static str,
    /// What the setting says.
    pub wanted: usize,
    /// Open files for each connection: one, and more where serving it opens others.
    pub each: usize,
    /// Open files that are kept for everything else, whatever happens at this port.
    pub beside: usize,
}

impl Port {
    /// The connections that a limit of `files` open files allows: as many as wanted, or what is left beside everything
    /// else. It is at least a quarter of the files, so that a small limit makes a small service and not none. A number
    /// below the wanted one is logged.
    #[must_use]
    pub fn places(&self, files: usize) -> usize {
        let allowed = files.saturating_sub(self.beside).max(files / 4) / self.each.max(1);
        let allowed = allowed.max(1);
        if allowed < self.wanted {
            tracing::warn!(
                "{} is {}, but a limit of {files} open files allows {allowed} connections; \
                 raise that limit (ulimit -n, LimitNOFILE=)",
                self.setting,
                self.wanted,
            );
        }
        self.wanted.min(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_gets_what_it_wants_or_what_is_left_and_a_quarter_at_least() {
        let port = Port { setting: "MAX", wanted: 1000, each: 1, beside: 256 };
        let of_two = Port { each: 2, ..port };
        for (files, places, of_two_each) in
            [(20_000, 1000, 1000), (1256, 1000, 500), (1255, 999, 499), (300, 75, 37), (64, 16, 8), (3, 1, 1)]
        {
            assert_eq!((port.places(files), of_two.places(files)), (places, of_two_each), "{files}");
        }
        assert_eq!(port.places(usize::MAX), 1000, "no limit at all");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let files = raise();
        assert_eq!(raise(), files);
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(hard.map_or(usize::MAX, |hard| usize::try_from(hard).unwrap_or(usize::MAX)), files);
    }
}
