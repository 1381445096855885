//! What people do with their phones: scan, follow, unfollow, write. Each action becomes a push.

use tokio::time::Instant;

use crate::delivery::Delivery;
use crate::event::Head;
use crate::people::{Bubble, Follow, Person, Writer};
use crate::{Simulator, lock, unix_millis, unix_now};

/// Why a phone's action failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// No person here has the openid.
    #[error("there is nobody with this openid; add the person first")]
    NoSuchPerson,
    /// The text is not that of a code made here.
    #[error("this is not the text of a QR code that was made here")]
    UnknownCode,
    /// The code has expired. WeChat tells the person, and pushes nothing to the account.
    #[error("the QR code has expired")]
    ExpiredCode,
    /// The person does not follow the account, and only followers have a chat with it.
    #[error("the person does not follow the account")]
    NotFollowing,
    /// The person follows the account already.
    #[error("the person follows the account already")]
    Following,
}

impl Simulator {
    /// Adds a person, or changes one. An empty openid or nickname is filled in.
    pub fn add_person(&self, person: Person) -> Person {
        lock(&self.state.people).add(person, unix_now())
    }

    /// Adds a person with a random openid.
    pub fn invent_person(&self, nickname: &str, follower: bool) -> Person {
        self.add_person(Person { nickname: nickname.to_owned(), follower, ..Person::default() })
    }

    /// The person with this openid.
    #[must_use]
    pub fn person(&self, openid: &str) -> Option<Person> {
        lock(&self.state.people).get(openid)
    }

    /// A person's chat with the account, oldest bubble first.
    #[must_use]
    pub fn chat(&self, openid: &str) -> Vec<Bubble> {
        lock(&self.state.people).chat(openid, 0)
    }

    /// Scans a QR code, given the text that a reader finds in its picture.
    ///
    /// A follower's scan is pushed as `SCAN`. Any other person presses Follow: that is pushed as `subscribe`
    /// with `qrscene_` before the scene, and the person is a follower from then on.
    ///
    /// # Errors
    /// When there is no such person, or the code is unknown or expired.
    pub async fn scan(&self, openid: &str, qr_text: &str) -> Result<Delivery, ScanError> {
        self.scan_repeated(openid, qr_text, 1).await
    }

    /// As [`Simulator::scan`], but the answers to the first tries are lost, so that WeChat pushes the scan `tries`
    /// times, three at most, with its pauses.
    ///
    /// # Errors
    /// As [`Simulator::scan`].
    pub async fn scan_repeated(&self, openid: &str, qr_text: &str, tries: u8) -> Result<Delivery, ScanError> {
        let code = lock(&self.state.codes).by_text(qr_text).cloned();
        let code = code.ok_or(ScanError::UnknownCode)?;
        if code.is_expired(Instant::now()) {
            return Err(ScanError::ExpiredCode);
        }
        let scene = code.scene.to_string();
        let follow = Follow { at: unix_now(), scene: Some(code.scene.clone()) };
        let was = lock(&self.state.people).follow(openid, follow);
        let xml = if was.ok_or(ScanError::NoSuchPerson)? {
            self.head(openid).event("SCAN", &scene, Some(&code.ticket))
        } else {
            let key = format!("qrscene_{scene}");
            self.head(openid).event("subscribe", &key, Some(&code.ticket))
        };
        lock(&self.state.people).write(openid, Writer::Camera, &scene, unix_millis());
        let delivery = self.deliver_by(xml, openid, tries).await;
        if delivery.is_ok() {
            lock(&self.state.codes).note_scan(&code.id, openid);
        }
        Ok(delivery)
    }

    /// Follows the account without a QR code, as people do who find it by search or by a friend's card.
    ///
    /// # Errors
    /// When there is no such person, or they follow already.
    pub async fn follow(&self, openid: &str) -> Result<Delivery, ScanError> {
        let follow = Follow { at: unix_now(), scene: None };
        match lock(&self.state.people).follow(openid, follow) {
            None => return Err(ScanError::NoSuchPerson),
            Some(true) => return Err(ScanError::Following),
            Some(false) => {}
        }
        Ok(self.push_event(openid, "subscribe", "").await)
    }

    /// Unfollows the account. No reply can reach the person any more.
    ///
    /// # Errors
    /// When there is no such person, or they do not follow.
    pub async fn unfollow(&self, openid: &str) -> Result<Delivery, ScanError> {
        match lock(&self.state.people).unfollow(openid) {
            None => return Err(ScanError::NoSuchPerson),
            Some(false) => return Err(ScanError::NotFollowing),
            Some(true) => {}
        }
        let xml = self.head(openid).event("unsubscribe", "", None);
        Ok(self.bring(&xml, openid, 1).await)
    }

    /// Writes a text message to the account.
    ///
    /// # Errors
    /// When there is no such person, or they do not follow.
    pub async fn say(&self, openid: &str, text: &str) -> Result<Delivery, ScanError> {
        self.say_repeated(openid, text, 1).await
    }

    /// As [`Simulator::say`], but the answers to the first tries are lost, so that WeChat pushes the message `tries`
    /// times, three at most, with its pauses: one MsgId, as it is one message.
    ///
    /// # Errors
    /// As [`Simulator::say`].
    pub async fn say_repeated(&self, openid: &str, text: &str, tries: u8) -> Result<Delivery, ScanError> {
        {
            let mut people = lock(&self.state.people);
            let person = people.get(openid).ok_or(ScanError::NoSuchPerson)?;
            if !person.follower {
                return Err(ScanError::NotFollowing);
            }
            people.write(openid, Writer::Person, text, unix_millis());
        }
        let xml = self.head(openid).text(text, self.next_message_id());
        Ok(self.deliver_by(xml, openid, tries).await)
    }

    /// Pushes any event. The person need not be known.
    pub async fn push_event(&self, openid: &str, event: &str, event_key: &str) -> Delivery {
        let xml = self.head(openid).event(event, event_key, None);
        self.deliver(xml, openid).await
    }

    fn head<'a>(&'a self, openid: &'a str) -> Head<'a> {
        Head { to: &self.state.settings.original_id, from: openid, at: self.now() }
    }
}
