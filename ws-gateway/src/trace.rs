//! Spans, which say in a log line what it is about. A connection's own, with the peer, is
//! [`server::listen`]'s; here is the login's, by its id and never by its scene.

use protocol::{LoginId, Scene};
use tracing::Span;

/// The span of work on one login. callback-service's has the same name and field.
pub(crate) fn login(scene: Scene) -> Span {
    tracing::info_span!("login", id = %LoginId::of(scene))
}

/// The span of a step of a login, such as `claim`. It is exported as a part of the login's trace, too; see
/// [`server::traces`].
pub(crate) fn step(scene: Scene, step: &'static str) -> Span {
    tracing::info_span!("login", id = %LoginId::of(scene), step)
}
