//! Captures what a test logs, for tests of the operator's messages.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of the current thread, from [`Logged::start`] on; tests run their tasks on that thread too.
///
/// All threads share one subscriber. With one for each thread, `tracing` may ask another thread whether anybody wants a
/// line, and then nobody gets it.
pub(crate) struct Logged(PhantomData<*const ()>);

impl Logged {
    pub(crate) fn start() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let log = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).finish();
            tracing::subscriber::set_global_default(log).unwrap();
        });
        LINES.take();
        Self(PhantomData)
    }

    /// How many lines contain `words`.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.to_string().lines().filter(|line| line.contains(words)).count()
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LINES.with_borrow(|lines| f.write_str(&String::from_utf8_lossy(lines)))
    }
}

/// The lines of the thread that writes.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
