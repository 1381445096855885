//! What `benches/` measures of the gateway's own: the picture of a QR code, and what a notice makes of a login's record.

use std::sync::Arc;
use std::time::Duration;

use protocol::message::{Answer, Context};
use protocol::{Notice, Scene};
use records::Moment;

use crate::codes;
use crate::logins::seats::Pages;
use crate::logins::{NewLogin, QrCode, Record, ResumeKey, Sender, Shown, rights};

/// Draws the picture of a QR code, as pages are sent it.
#[must_use]
pub fn picture(content: &str) -> String {
    codes::draw(content)
}

/// A login whose page waits, and a client that may do everything.
#[derive(Debug, Clone)]
pub struct Login {
    record: Record,
    from: Sender,
    opened_at: Moment,
}

impl Login {
    /// A login that shows a QR code of WeChat's.
    #[must_use]
    pub fn open(scene: Scene, context: Context) -> Self {
        let qr = QrCode::Account {
            url: format!("https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket={scene}"),
            content: format!("http://weixin.qq.com/q/{scene}"),
        };
        let (secret, opened_at) = (ResumeKey::new(scene).hash(), Moment(1_000_000));
        let shown = Shown { qr: Some(qr), typed: None };
        let new = NewLogin { context: Arc::new(context), shown, secret, probe_of: None };
        let seat = Arc::new(Pages::default()).join(scene).name().clone();
        let from = Sender { client: "callback".to_owned(), may: rights::Rights::all(), id: None };
        let record = Record::new(new, opened_at, Duration::from_secs(120), Some(seat));
        Self { record, from, opened_at }
    }

    /// Takes a notice a second after the login was opened.
    pub fn take(&mut self, notice: &Notice) -> Answer {
        self.record.apply(notice, &self.from, self.opened_at + Duration::from_secs(1)).value
    }
}
