//! What the tests of the internal wire's clients share: the test vectors, a gateway that plays their conversations, and
//! the sample clients of `protocol/clients`.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

pub mod player;
pub mod samples;
pub mod vectors;
