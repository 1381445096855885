//! What WeChat knows of a person, asked beside everything else. The nickname is decoration: nobody waits for it long, and a
//! login happens without it. The unionid is a name for sites that ask for it.

use std::sync::Arc;
use std::time::Duration;

use server::tell;
use server::told::Told;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use wechat::{Person, User};

/// Asks for nicknames.
pub(super) struct Nicknames {
    wechat: wechat::Client,
    within: Duration,
    tasks: TaskTracker,
    told: Arc<Told>,
}

impl Nicknames {
    /// Asks WeChat for at most `within`, and not at all if that is zero. The calls run on `tasks`.
    pub(super) fn new(wechat: wechat::Client, within: Duration, tasks: TaskTracker, told: Arc<Told>) -> Self {
        Self { wechat, within, tasks, told }
    }

    /// Asks at once; the future waits for the answer.
    pub(super) fn ask(&self, person: &Person) -> impl Future<Output = Option<User>> + use<> {
        let asked = (!self.within.is_zero()).then(|| {
            let (wechat, person, told) = (self.wechat.clone(), person.clone(), Arc::clone(&self.told));
            let within = self.within;
            let call = async move {
                match timeout(within, wechat.user(person.as_str())).await {
                    Ok(Ok(user)) => Some(user),
                    Ok(Err(error)) => {
                        tell!(warn, told, "nickname", "no nickname: {error}");
                        None
                    }
                    Err(_) => {
                        tracing::debug!("no nickname in time");
                        None
                    }
                }
            };
            self.tasks.spawn(call.in_current_span())
        });
        async { asked?.await.ok().flatten() }
    }
}
