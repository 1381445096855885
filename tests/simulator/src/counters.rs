//! Counts of the calls that the simulator got and of the pushes that it sent, for tests.

use serde::Serialize;

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Calls of stable_token.
    pub token_calls: u64,
    /// Calls of the classic token.
    pub classic_token_calls: u64,
    /// Calls of qrcode/create.
    pub qr_calls: u64,
    /// Pictures asked for.
    pub picture_calls: u64,
    /// Calls of user/info.
    pub user_info_calls: u64,
    /// Calls of sns/oauth2/access_token.
    pub web_token_calls: u64,
    /// Calls of sns/userinfo.
    pub web_user_calls: u64,
    /// Calls of openapi/quota/get.
    pub quota_calls: u64,
    /// Calls of openapi/rid/get.
    pub rid_calls: u64,
    /// Calls of callback/check.
    pub callback_check_calls: u64,
    /// Calls of getcallbackip.
    pub callback_ip_calls: u64,
    /// Requests sent as pushes: every try and every copy.
    pub pushes: u64,
    /// Tries after the first.
    pub retries: u64,
    /// Pushes of which every try failed.
    pub failed: u64,
}
