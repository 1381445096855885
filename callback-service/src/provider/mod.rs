//! The OpenID Connect provider. So far it is only its pages.

#[cfg_attr(not(test), expect(dead_code, reason = "nothing serves them yet"))]
mod pages;
