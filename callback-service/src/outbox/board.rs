//! Which site is looked at next, and how many of its deliveries may be tried at once. Sites that do not answer get a part
//! of the places between them, so that they hold up nobody else.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

/// Deliveries that are tried at once. Each may hold a connection for as long as a try takes.
const PLACES: usize = 16;

/// Of those, what sites have together whose last try has failed.
const PLACES_OF_FAILING: usize = 8;

/// What one site has at once.
const EACH: usize = 2;

/// How often each site is looked at: another process may have put something there, or have died while it tried.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The sites and their places.
#[derive(Debug, Default)]
pub(super) struct Board {
    sites: BTreeMap<String, Site>,
}

#[derive(Debug)]
struct Site {
    /// It was named when the sites were asked for last.
    is_served: bool,
    /// When it is looked at next; nothing while it is being looked at and was not woken since.
    look_at: Option<Instant>,
    is_looked_at: bool,
    /// Places that it has, or may get from the look under way.
    places: usize,
    /// Its last try has failed.
    is_failing: bool,
}

impl Board {
    /// Takes over which sites there are. A new one is looked at `now`; one that has gone keeps its places until they
    /// are given back.
    pub(super) fn serve(&mut self, sites: Vec<String>, now: Instant) {
        for site in self.sites.values_mut() {
            site.is_served = false;
        }
        for name in sites {
            let new = Site {
                is_served: true,
                look_at: Some(now),
                is_looked_at: false,
                places: 0,
                is_failing: false,
            };
            self.sites.entry(name).or_insert(new).is_served = true;
        }
        self.sites.retain(|_, site| site.is_served || site.is_looked_at || site.places > 0);
    }

    /// Something was put there; says whether the site is known.
    pub(super) fn wake(&mut self, name: &str, now: Instant) -> bool {
        let site = self.sites.get_mut(name).filter(|site| site.is_served);
        let is_known = site.is_some();
        if let Some(site) = site {
            site.look_at_the_latest(now);
        }
        is_known
    }

    /// The site that is to be looked at now, with the places that it gets for what is found. The one comes first whose
    /// time came first.
    pub(super) fn next(&mut self, now: Instant) -> Option<(String, usize)> {
        let (_, name) = self.looks().filter(|(at, _)| *at <= now).min()?;
        let name = name.to_owned();
        let site = self.sites.get(&name)?;
        let room = self.room(site);
        let site = self.sites.get_mut(&name)?;
        (site.look_at, site.is_looked_at) = (None, true);
        site.places += room;
        Some((name, room))
    }

    /// When the next site is to be looked at that has room.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.looks().map(|(at, _)| at).min()
    }

    /// A site was looked at with `room`, `taken` of which is used; it is looked at again at `again_at` the latest.
    pub(super) fn looked(&mut self, name: &str, room: usize, taken: usize, again_at: Instant) {
        if let Some(site) = self.sites.get_mut(name) {
            site.is_looked_at = false;
            site.places -= room - taken;
            site.look_at_the_latest(again_at);
        }
    }

    /// A try has ended.
    pub(super) fn tried(&mut self, name: &str, has_failed: bool) {
        if let Some(site) = self.sites.get_mut(name) {
            site.places -= 1;
            site.is_failing = has_failed;
        }
    }

    /// When each site is looked at that may be.
    fn looks(&self) -> impl Iterator<Item = (Instant, &str)> {
        let sites = self.sites.iter().filter(|(_, site)| site.is_served && !site.is_looked_at);
        sites
            .filter(|(_, site)| self.room(site) > 0)
            .filter_map(|(name, site)| Some((site.look_at?, name.as_str())))
    }

    /// How many more places a site may have.
    fn room(&self, site: &Site) -> usize {
        let taken = |of: fn(&Site) -> bool| -> usize {
            self.sites.values().filter(|site| of(site)).map(|site| site.places).sum()
        };
        let left = PLACES.saturating_sub(taken(|_| true));
        match site.is_failing {
            // One shows whether it is back.
            true => left
                .min(PLACES_OF_FAILING.saturating_sub(taken(|site| site.is_failing)))
                .min(1_usize.saturating_sub(site.places)),
            false => left.min(EACH.saturating_sub(site.places)),
        }
    }
}

impl Site {
    fn look_at_the_latest(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |sooner| sooner.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(sites: usize, now: Instant) -> Board {
        let mut board = Board::default();
        board.serve((0..sites).map(|site| format!("{site:02}")).collect(), now);
        board
    }

    /// Looks at all that may be looked at, and finds as much as there is room for.
    fn fill(board: &mut Board, now: Instant) -> Vec<(String, usize)> {
        let mut looked = Vec::new();
        while let Some((site, room)) = board.next(now) {
            board.looked(&site, room, room, now + Duration::from_millis(looked.len() as u64 + 1));
            looked.push((site, room));
        }
        looked
    }

    #[test]
    fn each_site_has_its_places_and_all_have_theirs() {
        let now = Instant::now();
        let mut board = board(20, now);
        let looked = fill(&mut board, now);
        assert_eq!((looked.len(), looked.iter().all(|(_, room)| *room == EACH)), (PLACES / EACH, true));
        assert_eq!(board.next_at(), None, "nobody has room");
        board.tried("00", false);
        assert_eq!(board.next(now), Some(("08".to_owned(), 1)), "who has waited longest is next");
    }

    #[test]
    fn sites_that_fail_leave_half_of_the_places_to_others() {
        let now = Instant::now();
        let mut board = board(20, now);
        let mut later = now;
        // All but two of them do not answer.
        for _ in 0..10 {
            later += LOOK_EVERY;
            for (site, room) in fill(&mut board, later) {
                for _ in 0..room {
                    board.tried(&site, !["18", "19"].contains(&site.as_str()));
                }
            }
        }
        later += LOOK_EVERY;
        let looked = fill(&mut board, later);
        let of_failing: Vec<usize> =
            looked.iter().filter(|(site, _)| site.as_str() < "18").map(|(_, room)| *room).collect();
        assert_eq!(of_failing, [1; PLACES_OF_FAILING]);
        assert_eq!(looked.len(), PLACES_OF_FAILING + 2, "{looked:?}");
        board.serve(vec!["new".to_owned()], later);
        assert_eq!(board.next(later), Some(("new".to_owned(), EACH)), "there is room for another site");
    }

    #[test]
    fn a_site_that_was_woken_while_it_was_looked_at_is_looked_at_again() {
        let now = Instant::now();
        let mut board = board(1, now);
        assert_eq!(board.next(now), Some(("00".to_owned(), EACH)));
        assert_eq!(board.next(now), None, "one look at a time");
        assert!(board.wake("00", now) && !board.wake("other", now));
        board.looked("00", EACH, 0, now + LOOK_EVERY);
        assert_eq!(board.next(now), Some(("00".to_owned(), EACH)));
        board.looked("00", EACH, 0, now + LOOK_EVERY);
        assert_eq!((board.next(now), board.next_at()), (None, Some(now + LOOK_EVERY)));
    }

    #[test]
    fn a_site_that_has_gone_is_not_looked_at_and_is_forgotten_with_its_last_try() {
        let now = Instant::now();
        let mut board = board(1, now);
        assert_eq!(board.next(now), Some(("00".to_owned(), EACH)));
        board.looked("00", EACH, 1, now);
        board.serve(Vec::new(), now);
        assert_eq!((board.next(now), board.wake("00", now)), (None, false));
        board.tried("00", false);
        board.serve(Vec::new(), now);
        assert!(board.sites.is_empty());
    }
}
