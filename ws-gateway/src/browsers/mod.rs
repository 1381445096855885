//! The browsers' port, in the order of a browser's journey: [`routes`] (a page, or a WebSocket?) →
//! [`opening`] (may this page connect, and what does it ask for?) → [`handshake`] (RFC 6455) → [`socket`]
//! (messages within limits) → [`page`] (the task that owns the socket), which speaks [`message`]s.
//!
//! The rest decides small things without I/O: [`origin`], [`heartbeat`], [`language`].

pub(crate) mod assets;
pub(crate) mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod language;
pub(crate) mod message;
pub(crate) mod opening;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod routes;
pub(crate) mod socket;
