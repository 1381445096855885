//! What must hold for any input from outside. Each property is a function of bytes that panics where it does
//! not hold.
//!
//! cargo-fuzz searches for such bytes (`tests/fuzz` and `protocol/fuzz`). The inputs that it has collected are
//! its corpus, which `tests/corpus.rs` replays as an ordinary test. Every function returns a word for how far
//! the input came. So the replay notices a corpus whose inputs are all refused at once.

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
