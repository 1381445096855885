//! Spans, which say in a log line what it is about. A connection's own, with the peer, is
//! [`server::listen`]'s; here is the login's.

use protocol::Scene;
use tracing::Span;

/// Characters of a scene in a span: enough to find the lines of one login.
const SHOWN: usize = 8;

/// The span of work on one login.
pub(crate) fn login(scene: Scene) -> Span {
    let scene = scene.as_str().get(..SHOWN).unwrap_or_default();
    tracing::info_span!("login", scene)
}
