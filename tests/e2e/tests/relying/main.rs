//! Clients that others wrote log people in: Authlib, Apache's mod_auth_openidc, a file of PHP, and a token request in
//! JSON as gateways of AI models send it. The clients and their settings are those that docs/recipes/ shows, word by word;
//! the services are the real programs behind TLS; the browser is Chromium, and the phone the simulated WeChat's.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod authlib;
mod client;
mod json;
mod mod_auth_openidc;
mod php;
mod proxy;
mod recipe;
mod world;
