//! Spans, which say in a log line what it is about: a login, by its id and never by its scene. Whatever is kept of a
//! login on its way to a site keeps the id, so the lines of all its steps have it.

use protocol::{LoginId, Scene};
use tracing::Span;

use crate::logins::way::Way;

/// The span of work on one login. ws-gateway's has the same name and field. There is none for what an older version has
/// kept without an id.
pub(crate) fn login(id: Option<LoginId>) -> Span {
    id.map_or_else(Span::none, |id| tracing::info_span!("login", %id))
}

/// The span of a step of a login, such as `token`. It is exported as a part of the login's trace, too; see
/// [`server::traces`].
pub(crate) fn step(id: Option<LoginId>, step: &'static str) -> Span {
    id.map_or_else(Span::none, |id| tracing::info_span!("login", %id, step))
}

/// As [`step`], for a login that is not the one whose work has led here.
pub(crate) fn apart(id: LoginId, step: &'static str) -> Span {
    tracing::info_span!(parent: None, "login", %id, step)
}

/// The step in which a person comes to a login.
pub(crate) fn scan(scene: Scene, way: Way) -> Span {
    tracing::info_span!("login", id = %LoginId::of(scene), step = "scan", way = way.name())
}
