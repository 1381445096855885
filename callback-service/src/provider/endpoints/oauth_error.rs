//! What is wrong, in the standard's words. A description is for developers, in the characters that RFC 6749 allows.

use http::StatusCode;
use serde_json::json;
use server::http::Response;

use super::json as answer;

/// An error of OAuth 2.0 or OpenID Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub code: &'static str,
    /// ASCII without quotation marks and backslashes (RFC 6749, section 4.1.2.1).
    pub description: &'static str,
}

impl OAuthError {
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    pub(super) const fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    /// The answer to a back end.
    pub(super) fn answer(self, status: StatusCode) -> Response {
        answer(status, &json!({ "error": self.code, "error_description": self.description }))
    }
}

/// The store does not answer; nothing was granted.
pub(super) const BUSY: OAuthError = OAuthError::new("temporarily_unavailable", "try again in a moment");
