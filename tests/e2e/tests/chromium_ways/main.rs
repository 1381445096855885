//! Every way to log in but the scan of WeChat's own code, by the whole system in a real browser, in Chinese and English:
//! on one device, in WeChat's browser and outside it; with an account that may make no QR codes, and on a day whose codes
//! are spent. `WRITE_SCREENSHOTS=folder` keeps the pictures.

#![allow(clippy::unwrap_used)]

mod device;
mod journeys;

use journeys::Words;

#[tokio::test]
async fn every_way_logs_a_chinese_person_in() {
    journeys::all("zh-CN", &Words::CHINESE).await;
}

#[tokio::test]
async fn every_way_logs_an_english_person_in() {
    journeys::all("en", &Words::ENGLISH).await;
}
