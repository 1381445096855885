//! How notices or pushes are sent, and when each counts as heard of.
//!
//! A latency counts from when a thing was due until its page has read the message, or, where there are no pages, until it was
//! answered. At a fixed rate it is due when the rate says so, whether or not the load was able to send it then; without a rate
//! it is due when there is room among those in flight. It is in flight until both its page and its sender have heard.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Crowd, PATIENCE, Scene};

/// How they are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// So many in flight.
    InFlight(usize),
    /// So many a second.
    Rate(f64),
}

/// Whoever sends them, over connections of the crowd.
pub(crate) trait Senders {
    /// Takes the bytes of one.
    fn take(&mut self, number: usize, bytes: &[u8]);

    /// Writes what was taken, as far as there is room.
    ///
    /// # Errors
    /// When a connection is gone.
    fn write(&mut self) -> anyhow::Result<()>;

    /// Reads what has come over one connection, and gives the number of each that was answered.
    ///
    /// # Errors
    /// When the connection is gone, or an answer is not a good one.
    fn read(&mut self, connection: usize, buffer: &mut [u8], answered: &mut Vec<usize>)
    -> anyhow::Result<()>;
}

/// What some took.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// From the first one's due time until the last was heard of.
    pub(crate) took: Duration,
    /// Each one's latency.
    pub(crate) each: Vec<Duration>,
}

struct OnItsWay {
    due: Instant,
    heard: Option<Instant>,
    is_answered: bool,
}

impl Crowd {
    /// Waiting pages in no order, and their scenes: as many as are asked for.
    ///
    /// # Errors
    /// When there are less.
    pub(crate) fn choose(&self, count: usize) -> anyhow::Result<(Vec<usize>, Vec<Scene>)> {
        let mut pages: Vec<usize> = (0..self.pages.len()).filter(|at| self.pages[*at].is_waiting()).collect();
        ensure!(pages.len() >= count, "{count} are to be told, of {} pages", pages.len());
        fastrand::Rng::with_seed(1).shuffle(&mut pages);
        pages.truncate(count);
        let scenes = pages.iter().map(|page| self.pages[*page].scene).collect();
        Ok((pages, scenes))
    }

    /// Sends all of these, one for each of the pages if there are any, and waits until each was heard of.
    ///
    /// # Errors
    /// When one fails, or nothing is heard of it.
    pub(crate) fn send(
        &mut self,
        senders: &mut impl Senders,
        all: &[Vec<u8>],
        pages: Option<&[usize]>,
        pace: Pace,
    ) -> anyhow::Result<Told> {
        let mut number_of = vec![usize::MAX; self.pages.len()];
        for (number, page) in pages.unwrap_or_default().iter().enumerate() {
            number_of[*page] = number;
        }
        let (mut sent, mut done, mut answered) = (Vec::<OnItsWay>::with_capacity(all.len()), 0, Vec::new());
        let (began, mut last_news) = (Instant::now(), Instant::now());
        let due = |number: usize| match pace {
            Pace::InFlight(_) => Instant::now(),
            Pace::Rate(rate) => began + Duration::from_secs_f64(number as f64 / rate),
        };
        while done < all.len() {
            loop {
                let number = sent.len();
                let is_time = number < all.len()
                    && match pace {
                        Pace::InFlight(most) => number - done < most,
                        Pace::Rate(_) => due(number) <= Instant::now(),
                    };
                if !is_time {
                    break;
                }
                senders.take(number, &all[number]);
                sent.push(OnItsWay { due: due(number), heard: None, is_answered: false });
            }
            senders.write()?;
            // The kernel waits for whole milliseconds, which is too long at a rate: so this looks again at once.
            let wait = match pace {
                Pace::Rate(_) if sent.len() < all.len() => Duration::ZERO,
                _ => Duration::from_secs(1),
            };
            self.turn(Some(wait))?;
            if wait.is_zero() && self.events.is_empty() {
                // Redis, or a played gateway, may have something to do on this core.
                std::thread::yield_now();
            }
            ensure!(self.news.gone.is_empty(), "the server let go of a page that waits");
            for (page, at) in &self.news.told {
                let told = sent.get_mut(number_of[*page]).context("a page was told of a login too early")?;
                told.heard = Some(*at);
                done += usize::from(told.is_answered);
                last_news = *at;
            }
            answered.clear();
            for at in &self.news.senders {
                senders.read(*at, &mut self.buffer, &mut answered)?;
            }
            for number in &answered {
                let told = sent.get_mut(*number).context("an answer to nothing that was sent")?;
                told.is_answered = true;
                if pages.is_none() {
                    last_news = Instant::now();
                    told.heard = Some(last_news);
                }
                done += usize::from(told.heard.is_some());
            }
            ensure!(
                last_news.elapsed() < PATIENCE,
                "of {} that were sent {done} were heard of in time",
                all.len()
            );
        }
        let each = sent.iter().filter_map(|told| Some(told.heard?.duration_since(told.due))).collect();
        Ok(Told { took: began.elapsed(), each })
    }
}
