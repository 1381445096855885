//! What a newer version has added to a record stays in it, whoever writes it.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A record, or a part of one, with what a newer version has added beside it. `T` is a struct without flattened
/// fields of its own: those would take what is not theirs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept<T> {
    #[serde(flatten)]
    known: T,
    /// Nearly always nothing, so it is in a box.
    #[serde(flatten, deserialize_with = "unknown")]
    unknown: Option<Box<Map<String, Value>>>,
}

fn unknown<'de, D: Deserializer<'de>>(fields: D) -> Result<Option<Box<Map<String, Value>>>, D::Error> {
    let unknown = Map::deserialize(fields)?;
    Ok(if unknown.is_empty() { None } else { Some(unknown.into()) })
}

impl<T> From<T> for Kept<T> {
    fn from(known: T) -> Self {
        Self { known, unknown: None }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.known
    }
}

impl<T> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.known
    }
}
