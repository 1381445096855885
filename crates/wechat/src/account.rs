//! One official account: the side that takes its pushes, and the side that calls its API.

use crate::api::Client;
use crate::push::Endpoint;

/// An official account, ready for both directions. It is put together once, where the settings are read.
#[derive(Debug)]
pub struct Account {
    /// Believes and answers the account's pushes.
    pub push: Endpoint,
    /// Calls WeChat for the account.
    pub api: Client,
}
