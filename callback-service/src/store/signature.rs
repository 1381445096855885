//! What is kept of the signature of a push in plaintext mode: what stands for the body that it came with.

use records::AsText;
use serde::{Deserialize, Serialize};

/// What stands for a body. It is kept as it is, without JSON's quotation marks, as the first version wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Body(pub(super) String);

impl AsText for Body {
    fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self(text.to_owned()))
    }

    fn to_text(&self) -> Result<String, serde_json::Error> {
        Ok(self.0.clone())
    }
}
