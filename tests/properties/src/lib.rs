//! What must hold of any input from outside, whoever made it. Each property is a function of bytes that panics where
//! it does not hold.
//!
//! cargo-fuzz searches for such bytes (`tests/fuzz` and `protocol/fuzz`); what it has collected on its way is its
//! corpus, which `tests/corpus.rs` replays as an ordinary test. Every function gives back a word for how far the input came, so
//! that the replay can tell a corpus that gets everywhere from one that is refused at the door.

mod account;
mod envelope;
mod event;
mod frames;
mod handshake;
mod page_message;
mod query;
mod script;

pub use self::envelope::envelope;
pub use self::event::event;
pub use self::frames::frames;
pub use self::handshake::handshake;
pub use self::page_message::page_message;
pub use self::query::query;
