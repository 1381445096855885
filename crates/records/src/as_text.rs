//! Records as text, which is what SQLite and Redis hold.
//!
//! Such a store compares texts and knows nothing of what they say. [`TextStore`] is all that it must be able to do.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, Found, Kept, Moment, Write};

/// A record that can be written as text: as JSON, unless its type says otherwise.
pub trait AsText: Serialize + DeserializeOwned {
    /// Reads it.
    ///
    /// # Errors
    /// When the text is no such record.
    fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Writes it; never as the empty text.
    ///
    /// # Errors
    /// When it cannot be written.
    fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl<T: Serialize + DeserializeOwned> AsText for Kept<T> {}

impl AsText for Moment {}

/// What came of comparing and setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compared {
    /// It is written.
    Written,
    /// It is not: this is there, or the moment has come.
    Not(Found<String>),
}

/// A store of texts by key.
pub(crate) trait TextStore: fmt::Debug + Send + Sync {
    /// What it is called in the log.
    fn name(&self) -> &'static str;

    /// Reads a text.
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Found<String>, Failure>>;

    /// Reads a text, where it is no harm if the clock is known a little less well. Perhaps a change of it follows.
    fn glance<'a>(
        &'a self,
        key: &'a str,
        _change_follows: bool,
    ) -> BoxFuture<'a, Result<Found<String>, Failure>> {
        self.read(key)
    }

    /// What the text probably is; nothing where the store has to be asked. No text is a guess, too.
    fn guess(&self, _key: &str) -> Option<Found<String>> {
        None
    }

    /// What this process has just written there, as [`Write::is_news`], if nothing is known to have changed it since.
    fn news(&self, _key: &str) -> Option<Found<String>> {
        None
    }

    /// Another process says that it has changed the text.
    fn outdate(&self, _key: &str) {}

    /// The store's clock, as far as it is known.
    fn now(&self) -> BoxFuture<'_, Result<Moment, Failure>>;

    /// Writes a text, whatever was there.
    fn put<'a>(&'a self, key: &'a str, write: &'a Write<String>) -> BoxFuture<'a, Result<(), Failure>>;

    /// Writes a text if the present one is `from`, and only before the moment that `write` names.
    fn compare_and_set<'a>(
        &'a self,
        key: &'a str,
        from: Option<&'a str>,
        write: &'a Write<String>,
    ) -> BoxFuture<'a, Result<Compared, Failure>>;

    /// Whether a durable change must be written even if the text stays the same.
    fn writes_repeats(&self) -> bool {
        false
    }
}
