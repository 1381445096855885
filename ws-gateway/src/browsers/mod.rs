//! The browsers' port, in the order of a browser's journey: [`routes`] (a page, or a WebSocket?) →
//! [`opening`] (may this page connect, and what does it ask for?) → [`handshake`] (RFC 6455) → [`socket`]
//! (messages within limits) → [`page`] (the task that owns the socket).
//!
//! What the page is told is decided without I/O by the [`conversation`], in [`message`]s and [`words`], with
//! the help of [`heartbeat`] and [`origin`]. Pages of sites get the [`widget`].

pub(crate) mod assets;
pub(crate) mod conversation;
pub(crate) mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod message;
pub(crate) mod opening;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod routes;
mod settings;
pub(crate) mod socket;
pub(crate) mod widget;
pub(crate) mod words;

pub(crate) use self::settings::Settings;
