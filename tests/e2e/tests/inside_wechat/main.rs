//! People log in inside WeChat, whose browser says who looks at a page: by a page that a QR code's address opens, and at
//! sites. Everything is real but WeChat, whose browser is the simulator's.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod accounts;
mod audit;
mod login;
mod refused;
mod site;
mod stage;
