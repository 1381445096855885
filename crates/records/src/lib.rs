//! Records: what the services remember, with one rule for each kind of record, whichever store holds it.
//!
//! A record is a value under a key that is forgotten at a moment of its own. Its owner writes one pure function: from
//! the record and the store's clock to a [`Step`]. [`Records`] reads the record, asks that function, and writes what it
//! decided only if the record is still what was read, and, where the decision rests on a moment not having come yet,
//! only before that moment. So no two processes can decide differently, and a rule is tested without a store.
//!
//! Beside records there are journals ([`mod@journal`]): lines that are appended and read by time.
//!
//! [`memory`] is one process's own. [`mod@sqlite`] is one file on one machine. [`mod@redis`] is shared by any number of
//! processes; there all of them can also count together what they may do ([`Redis::take`]). [`store_url`] reads which
//! of these an operator wants. [`StoreMetrics`] measures whichever it is.

mod as_text;
mod copies;
mod failure;
mod journal;
mod kept;
mod memory;
mod metrics;
mod moment;
mod records;
mod redis;
mod sqlite;
mod store_url;

pub use self::as_text::AsText;
pub use self::failure::Failure;
pub use self::journal::{Journal, Keeps, Line, Note, Page, Place, Range};
pub use self::kept::Kept;
pub use self::metrics::{Operation, StoreMetrics};
pub use self::moment::Moment;
pub use self::records::{Found, Records, Step, Write};
pub use self::redis::{
    Bucket, Count, Heard, Keeper, Redis, RedisState, RedisUrl, Replicas, Subscription, Take, Taken,
};
pub use self::sqlite::{OpenError, Sqlite, SqliteState, inspect as inspect_sqlite};
pub use self::store_url::{Local, RedisSettings, StoreUrl};

#[cfg(test)]
mod contract;
