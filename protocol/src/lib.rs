//! Saoma's internal wire, version 1: how a back end notifies the gateway.
//!
//! `PROTOCOL.md` beside this crate specifies it for any language. In short: a frame is a u32 big-endian length and
//! that many bytes of JSON ([`codec`]). The gateway says hello with a challenge, and the client proves that it holds a
//! key ([`auth`]). Then the client sends notices about logins, each named by its [`scene`], and the gateway answers
//! them in any order ([`message`]). [`client`] is the Rust client, for callback-service and any other Rust back end.
//! [`tls`] is for both ends, [`expiry`] for whoever watches over its certificates, and [`login_id`] for whoever writes a log. [`token`] is not part of the wire: it is the form of every secret that the services hand
//! out.

pub mod auth;
pub mod client;
pub mod codec;
pub mod expiry;
pub mod login_id;
pub mod message;
pub mod scene;
pub mod tls;
pub mod token;

pub use auth::Key;
pub use client::{Client, NoAnswer};
pub use login_id::LoginId;
pub use message::{Answer, Context, Notice, State, Status};
pub use scene::Scene;
pub use token::{Token, TokenHash};

/// The version of the wire that this crate speaks.
pub const VERSION: u32 = 1;
