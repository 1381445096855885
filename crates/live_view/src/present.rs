//! The state as it is now, made once for all who look: at most once a second in each language.

use std::sync::Arc;
use std::time::Duration;

use login_page::Language;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Source;
use crate::state::State;

/// How old a state may be that is shown. The service's rooms are locked for a moment while one is made, and the logins
/// themselves need them too.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// What was made last, in each language.
pub(crate) struct Present {
    source: Arc<dyn Source>,
    /// Held while one is made, so that whoever comes meanwhile gets the same.
    chinese: Mutex<Option<Made>>,
    english: Mutex<Option<Made>>,
}

struct Made {
    at: Instant,
    for_acting: Arc<State>,
    for_looking: Arc<State>,
}

impl Present {
    pub(crate) fn of(source: Arc<dyn Source>) -> Self {
        Self { source, chinese: Mutex::default(), english: Mutex::default() }
    }

    /// The state for somebody who may act or not.
    pub(crate) async fn state(&self, language: Language, acts: bool) -> Arc<State> {
        let mut last = match language {
            Language::Chinese => self.chinese.lock().await,
            Language::English => self.english.lock().await,
        };
        let now = Instant::now();
        if last.as_ref().is_none_or(|made| now.duration_since(made.at) >= EVERY) {
            let state = self.source.state(language).await;
            let for_looking = Arc::new(state.clone().without_acts());
            *last = Some(Made { at: now, for_acting: Arc::new(state), for_looking });
        }
        let made = last.as_ref().map(|made| if acts { &made.for_acting } else { &made.for_looking });
        made.cloned().unwrap_or_default()
    }

    /// The next one is made anew: something was changed here.
    pub(crate) async fn forget(&self) {
        *self.chinese.lock().await = None;
        *self.english.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{BoxFuture, FutureExt as _, join_all};
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::state::{Body, Cell, Row, Section};

    /// A service that takes a while to say how it is, and counts how often it was asked.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Source for Counting {
        fn state(&self, _: Language) -> BoxFuture<'_, State> {
            async {
                let times = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                sleep(Duration::from_millis(10)).await;
                let row = Row { cells: vec![Cell::text(times.to_string()), Cell::end("0123abcd")] };
                let body = Body::Table {
                    columns: vec!["times".to_owned(), String::new()],
                    rows: vec![row],
                    empty: String::new(),
                };
                let section =
                    Section { id: "logins", title: String::new(), note: String::new(), wide: false, body };
                State { sections: vec![section] }
            }
            .boxed()
        }
    }

    fn cells(state: &State) -> Vec<Cell> {
        let Body::Table { rows, .. } = &state.sections[0].body else { unreachable!("it is a table") };
        rows[0].cells.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_look_the_state_is_made_once_a_second_for_each_language() {
        let source = Arc::new(Counting::default());
        let present = Present::of(Arc::<Counting>::clone(&source));
        let made = || source.0.load(Ordering::Relaxed);
        let looks = (0..100).map(|at| present.state(Language::English, at % 2 == 0));
        let seen = join_all(looks).await;
        assert_eq!(made(), 1);
        for (at, state) in seen.iter().enumerate() {
            let acts = at % 2 == 0;
            assert_eq!(
                cells(state).iter().any(|cell| cell.end.is_some()),
                acts,
                "only who acts has a button"
            );
        }
        present.state(Language::Chinese, false).await;
        assert_eq!(made(), 2, "the other language's is another one");
        let english = async || cells(&*present.state(Language::English, false).await);
        advance(EVERY).await;
        for _ in 0..100 {
            assert_eq!(english().await[0].text, "3");
        }
        present.forget().await;
        assert_eq!(english().await[0].text, "4");
    }
}
