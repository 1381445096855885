//! The simulator over real sockets. Each test has its own simulator on a free port.

#![allow(clippy::unwrap_used)]

mod api;
mod phone;
mod pushes;
mod support;
mod web;
