//! The live view: what an operator sees of a running service at `/` of its admin port, kept up to date by server-sent events.
//!
//! A service gives a [`Source`], which says its present [`State`] in a language and may end a login. Everything else is the
//! same for both services and is here: [`guard`] decides who may look and who may act, [`session`] is the cookie of somebody
//! who has shown the token, [`routes`] answers requests, [`present`] is the state as it is now, [`events`] sends each new one,
//! and [`markup`] is the page without JavaScript. The script in `page/` builds the same from the events. [`rates`] counts by
//! the minute, and [`sections`] are the parts that both services have.
//!
//! While nobody looks nothing is computed, and however many look, it is computed once a second for each language. What the
//! services keep for the view is bounded. A state holds nothing that a log may not say.

mod events;
mod guard;
mod markup;
mod present;
mod rates;
mod routes;
pub mod sections;
mod session;
mod state;
mod words;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use ipnet::IpNet;
use login_page::Language;
use secrecy::{ExposeSecret as _, SecretString};
use server::admin::Pages;
use server::settings::SettingError;

pub use self::rates::{MINUTES, Rates};
pub use self::state::{Body, Cell, Row, Section, Series, State, Tone};
pub use self::words::either;

use self::guard::Guard;
use self::routes::View;

/// Characters that a token has at least. It opens a page that shows much of a service, and it may be guessed at.
const LEAST_TOKEN: usize = 16;

/// What a service tells of itself.
pub trait Source: Send + Sync + 'static {
    /// The present state, in this language. It must not wait for anything that may be away.
    fn state(&self, language: Language) -> BoxFuture<'_, State>;

    /// Whether logins can be ended here at all.
    fn ends_logins(&self) -> bool {
        false
    }

    /// Ends the login with this id, because somebody at `by` wants so.
    fn end<'a>(&'a self, login: &'a str, by: IpAddr) -> BoxFuture<'a, Ended> {
        let _ = (login, by);
        ready(Ended::NotHere).boxed()
    }
}

/// What came of the wish to end a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It has ended, as expired.
    Done,
    /// No page of this process shows it any more.
    NotHere,
    /// The store of logins cannot be used.
    Failed,
}

/// Checks the token of the live view, which this setting has.
///
/// # Errors
/// When it is short.
pub fn checked(
    setting: &'static str,
    token: Option<SecretString>,
) -> Result<Option<SecretString>, SettingError> {
    match &token {
        Some(token) if token.expose_secret().chars().count() < LEAST_TOKEN => Err(SettingError::new(
            setting,
            format!(
                "has less than {LEAST_TOKEN} characters, and could be guessed; make one by: openssl rand -hex 24"
            ),
        )),
        _ => Ok(token),
    }
}

/// The pages of the live view, for the admin port of a service.
#[must_use]
pub fn pages(setup: Setup) -> Pages {
    let Setup { program, token_setting, token, listens, trusted_proxies, source } = setup;
    let guard = Guard::new(token_setting, token, listens);
    let view = Arc::new(View::new(program, guard, trusted_proxies, source));
    Arc::new(move |request, asked| Arc::clone(&view).answer(request, asked).boxed())
}

/// What the live view of a service is made of.
pub struct Setup {
    /// The program's name.
    pub program: &'static str,
    /// The setting of the token, which the page names where it is needed.
    pub token_setting: &'static str,
    /// The token, where one is set.
    pub token: Option<SecretString>,
    /// Where the admin port listens.
    pub listens: SocketAddr,
    /// The proxies that are believed about whose request it is: who shows wrong tokens, and who ends a login.
    pub trusted_proxies: Vec<IpNet>,
    /// What it shows.
    pub source: Arc<dyn Source>,
}
