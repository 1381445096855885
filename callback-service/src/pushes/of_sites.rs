//! Pushes for sites that ask by wechat-server's protocol: texts, and scans of the QR codes that these sites have asked for.
//! From here on a person is one of this official account, whatever openid the push says.

use records::Moment;
use tokio::time::Instant;
use wechat::push::{Kind, Push};

use super::Pushes;
use super::events::Reply;
use crate::logins::answer::Text;
use crate::wechat_server::{Scene, WeChatServer};

impl Pushes {
    /// Whether a scan's key is that of such a QR code.
    pub(super) fn is_of_a_site(&self, key: &str) -> bool {
        self.of_sites().is_some() && Scene::parse(key).is_some()
    }

    /// What answers for sites of this account, where there are any.
    fn of_sites(&self) -> Option<&WeChatServer> {
        self.wechat_server.as_deref().filter(|server| server.is_for(self.names()))
    }

    /// Takes a scan of such a QR code.
    pub(super) async fn scanned_of_a_site(&self, push: &Push, key: &str, arrived: Instant) -> Option<Reply> {
        let (server, scene) = self.of_sites().zip(Scene::parse(key))?;
        let (person, first) = (self.names().person(&push.from), matches!(push.kind, Kind::Subscribe { .. }));
        let words = server.scanned(&scene, &person, first, push.created_at, arrived).await;
        words.map(Reply::Words)
    }

    /// When the person was asked about such a QR code, where this text may be the answer.
    pub(super) async fn asked_for_a_site(&self, text: &Text<'_>, arrived: Instant) -> Option<Moment> {
        self.wechat_server.as_ref()?.asked(text, arrived).await
    }

    /// Takes a text that is for such a site; the outer `None` is for any other.
    pub(super) async fn heard_for_a_site(&self, text: &Text<'_>, arrived: Instant) -> Option<Option<Reply>> {
        let person = self.names().person(text.person);
        let words = self.of_sites()?.heard(&Text { person: &person, ..*text }, arrived).await?;
        Some(words.map(Reply::Words))
    }

    /// Forgets what a person who unfollows has asked for.
    pub(super) async fn forget_of_sites(&self, push: &Push) {
        if let Some(server) = &self.wechat_server {
            server.forget(&self.names().person(&push.from), push.created_at).await;
        }
    }
}
