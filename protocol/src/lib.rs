//! Saoma's internal wire, version 1: how a back end notifies the gateway.
//!
//! `PROTOCOL.md` beside this crate specifies it for any language. In short: a frame is a u32
//! big-endian length and that many bytes of JSON ([`codec`]); the gateway says hello with a challenge
//! and the client proves that it holds a key ([`auth`]); then notices about a login, named by its
//! [`scene`], go one way and answers come back in any order ([`message`]). [`client`] is the Rust
//! client, which both the callback service and any other Rust back end use; [`tls`] is for both ends.

pub mod auth;
pub mod client;
pub mod codec;
pub mod message;
pub mod scene;
pub mod tls;

pub use auth::Key;
pub use client::{Client, NoAnswer};
pub use message::{Answer, Context, Notice, State, Status};
pub use scene::Scene;

/// The version of the wire that this crate speaks.
pub const VERSION: u32 = 1;
