//! The page on which people log in. Two services serve it: the gateway at `/`, and the callback service at `/authorize`,
//! where the login is for a request of a site. This crate gives its markup ([`ForGateway`], [`ForRequest`]), script, style and
//! the policy that says what it may load; how they are served is each service's own affair. [`Brand`] is what an operator
//! puts on it. [`Language`] is the choice of a person's language, which both services make in the same way as the script.
//! [`browser`] says in which browser the page is open, in words.

mod accent;
pub mod brand;
pub mod browser;
mod language;
mod markup;
mod policy;
#[cfg(test)]
mod widget;

pub use self::accent::Accent;
pub use self::brand::Brand;
pub use self::language::Language;
pub use self::markup::{ForGateway, ForRequest};

/// The page's script, at `login.js` beside the page.
pub const SCRIPT: &str = include_str!("../page/login.js");

/// The widget: an ES module that logs people in on any page, at `widget.v1.js`. The page's script is built on it.
pub const WIDGET: &str = include_str!("../page/widget.v1.js");

/// What the widget loads where a login has other ways than its QR code, at `ways.v1.js` beside it.
pub const WAYS: &str = include_str!("../page/ways.v1.js");

/// What TypeScript knows of the widget, at `widget.v1.d.ts` beside it.
pub const WIDGET_TYPES: &str = include_str!("../page/widget.v1.d.ts");

/// The page's style, without the operator's colour: [`Brand::style`] is what is served, at `login.css` beside the page.
pub const STYLE: &str = concat!(include_str!("../page/login.css"), include_str!("../page/brand.css"));

/// The script that carries the code of a [`ForRequest`] page on, at `/authorize.js`.
pub const REQUEST_SCRIPT: &str = include_str!("../page/authorize.js");
