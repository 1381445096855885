//! wechat-server's protocol, asked by a client that was written from its public contract alone: method, path, the bare
//! token in the header, and the answers as one-api and new-api read them.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod accounts;
mod audit;
mod client;
mod codes;
mod instances;
mod limits;
mod qr_codes;
mod tokens;
