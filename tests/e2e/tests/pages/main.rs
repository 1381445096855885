//! How every page of ours looks, and whether everybody can use it: real pages of the real services in a real browser, in
//! every state, in Chinese and English, by day and by night, on a phone and on a desk.
//!
//! `WRITE_SCREENSHOTS=folder` keeps the pictures. `WRITE_REFERENCES=1` makes what they are compared with anew.

#![allow(clippy::unwrap_used)]

mod alike;
mod axe;
mod heard;
mod live;
mod look;
mod names;
mod own;
mod played;
mod references;
mod shop;
mod stage;
mod walk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_looks_as_it_should_and_is_open_to_everybody_in_chinese() {
    walk::walk("zh-CN").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_looks_as_it_should_and_is_open_to_everybody_in_english() {
    walk::walk("en").await;
}
