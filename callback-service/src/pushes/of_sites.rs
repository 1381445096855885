//! Pushes for sites that ask by wechat-server's protocol: texts, and scans of the QR codes that these sites have asked for.

use records::Moment;
use tokio::time::Instant;
use wechat::push::{Kind, Push};

use super::Pushes;
use super::events::Reply;
use crate::logins::answer::Text;
use crate::wechat_server::Scene;

impl Pushes {
    /// Whether a scan's key is that of such a QR code.
    pub(super) fn is_of_a_site(&self, key: &str) -> bool {
        self.wechat_server.is_some() && Scene::parse(key).is_some()
    }

    /// Takes a scan of such a QR code.
    pub(super) async fn scanned_of_a_site(&self, push: &Push, key: &str, arrived: Instant) -> Option<Reply> {
        let (server, scene) = self.wechat_server.as_ref().zip(Scene::parse(key))?;
        let first = matches!(push.kind, Kind::Subscribe { .. });
        let words = server.scanned(&scene, &push.from, first, push.created_at, arrived).await;
        words.map(Reply::Words)
    }

    /// When the person was asked about such a QR code, where this text may be the answer.
    pub(super) async fn asked_for_a_site(&self, text: &Text<'_>, arrived: Instant) -> Option<Moment> {
        self.wechat_server.as_ref()?.asked(text, arrived).await
    }

    /// Takes a text that is for such a site; the outer `None` is for any other.
    pub(super) async fn heard_for_a_site(&self, text: &Text<'_>, arrived: Instant) -> Option<Option<Reply>> {
        let words = self.wechat_server.as_ref()?.heard(text, arrived).await?;
        Some(words.map(Reply::Words))
    }

    /// Forgets what a person who unfollows has asked for.
    pub(super) async fn forget_of_sites(&self, push: &Push) {
        if let Some(server) = &self.wechat_server {
            server.forget(&push.from, push.created_at).await;
        }
    }
}
