//! The calls that were refused lately, by the `rid` at the end of their errors, for `openapi/rid/get`.

use std::collections::VecDeque;
use std::net::IpAddr;

use serde_json::{Value, json};

/// Refusals that are remembered. WeChat remembers those of seven days.
const REMEMBERED: usize = 64;

/// The refused calls, oldest first.
#[derive(Default)]
pub(crate) struct Refused(VecDeque<Call>);

struct Call {
    rid: String,
    at: u64,
    query: String,
    answer: String,
    client: IpAddr,
}

impl Refused {
    /// Remembers a refusal: when, with which query, with which answer, and from where.
    pub(super) fn remember(&mut self, rid: String, at: u64, query: &str, answer: &Value, client: IpAddr) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Call { rid, at, query: query.to_owned(), answer: answer.to_string(), client });
    }

    /// What WeChat tells of the refusal with this rid.
    pub(super) fn get(&self, rid: &str) -> Option<Value> {
        let call = self.0.iter().find(|call| call.rid == rid)?;
        Some(json!({
            "invoke_time": call.at,
            "cost_in_ms": 3,
            "request_url": call.query,
            "request_body": "",
            "response_body": call.answer,
            "client_ip": call.client.to_string(),
        }))
    }
}
