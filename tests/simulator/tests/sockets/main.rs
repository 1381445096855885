//! The simulator over real sockets, each test with one of its own on a free port.

#![allow(clippy::unwrap_used)]

mod api;
mod phone;
mod pushes;
mod support;
