//! What sites are told when it suits them: logouts and events, as the outbox delivers them.

use server::clock;

use super::Provider;
use crate::outbox::post::{Event, Poster, signature};
use crate::outbox::{Delivery, Message};

impl Provider {
    /// Delivers what waits for sites, for as long as it is polled.
    pub(crate) async fn tell_sites(&self, poster: &Poster) {
        let post =
            |site: String, delivery: Delivery| async move { self.tell(poster, &site, &delivery).await };
        self.outbox.run(|| self.told_sites(), post).await;
    }

    /// Tells a site one thing. Where it does not want to know any more, there is nothing to do.
    async fn tell(&self, poster: &Poster, id: &str, delivery: &Delivery) -> Result<(), String> {
        let Some(site) = self.sites.get(id) else { return Ok(()) };
        match &delivery.message {
            Message::Logout { sub, sid, .. } => {
                let Some(uri) = &site.backchannel_logout_uri else { return Ok(()) };
                // It is made for each try, because it is good for minutes only.
                let claims = self.logout_token(id, sub, sid, clock::unix_now());
                let token = self.keys.sign("logout+jwt", claims).await.map_err(|error| error.to_string())?;
                poster.post_form(uri, &[("logout_token", &token)]).await
            }
            Message::Event { name, sub, at, login, login_id, reason } => {
                let Some(webhook) = &site.webhook else { return Ok(()) };
                let event = Event {
                    id: &delivery.id,
                    name: name.as_str(),
                    created: *at,
                    site: id,
                    sub,
                    login: login.as_deref(),
                    login_id: *login_id,
                    reason: reason.as_deref(),
                };
                let body = event.body();
                let signature = signature(&webhook.key, clock::unix_now(), &body);
                poster.post_json(&webhook.url, &[("Saoma-Signature", &signature)], body).await
            }
        }
    }
}
