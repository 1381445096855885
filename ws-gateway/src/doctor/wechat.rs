//! WeChat, as far as the gateway needs it: the API, and QR codes of each account.

use std::time::Duration;

use doctor::{Category, Sheet, Words, account, wechat_api};
use protocol::Scene;
use wechat::{Client, Quota};

use crate::account::official::Official;
use crate::account::ways::Kind;
use crate::config::Rooms;

/// Seconds for which a code is good that nobody is shown.
const LIFE: Duration = Duration::from_secs(60);

/// Adds the looks at the API and at each account.
pub(super) fn look(category: &mut Category, rooms: &Rooms, make_qr_code: bool) {
    let officials = rooms.officials.as_deref().unwrap_or_default();
    let Some(any) = officials.first() else { return };
    wechat_api::look(category, any.source.client(), &rooms.codes.wechat_api_url);
    for official in officials {
        // Where pages show no code of WeChat's, none is needed.
        let needs_codes = official.presented.ways.first() == Kind::Account;
        let official = Asked::of(official);
        let what =
            account::of(Words::new("the account can be used", "账号可以使用"), official.name.as_deref());
        category.look(what, account::WITHIN, move |sheet| {
            let official = official.clone();
            async move { official.look(&sheet, needs_codes, make_qr_code).await }
        });
    }
}

/// An account, and what is asked about it.
#[derive(Debug, Clone)]
struct Asked {
    name: Option<String>,
    client: Client,
    per_day: u32,
}

impl Asked {
    fn of(official: &Official) -> Self {
        Self {
            name: official.id.clone(),
            client: official.source.client().clone(),
            per_day: official.per_day,
        }
    }

    async fn look(&self, sheet: &Sheet, needs_codes: bool, make_qr_code: bool) {
        let name = self.name.as_deref();
        if !account::token(sheet, &self.client, name).await || !needs_codes {
            return;
        }
        if let Some(quota) = account::qr_quota(sheet, &self.client, name).await {
            self.compare(sheet, quota);
        }
        if make_qr_code {
            self.make(sheet).await;
        }
    }

    /// Compares the gateway's budget with what WeChat allows.
    fn compare(&self, sheet: &Sheet, quota: Quota) {
        let per_day = self.per_day;
        if u64::from(per_day) <= quota.limit || quota.limit == 0 {
            return;
        }
        let limit = quota.limit;
        sheet.warning(
            account::of(
                Words::new("the budget is no more than WeChat allows", "每日预算不超过微信的限额"),
                self.name.as_deref(),
            ),
            Words::new(
                format!("GATEWAY_QR_PER_DAY is {per_day}, and WeChat allows {limit} a day"),
                format!("GATEWAY_QR_PER_DAY 为 {per_day}，微信每天只允许 {limit}"),
            ),
            Words::new(
                format!(
                    "set GATEWAY_QR_PER_DAY (qr_per_day of an account's entry) to {} or less, so that the budget ends \
                     before WeChat's",
                    limit * 9 / 10
                ),
                format!("请把 GATEWAY_QR_PER_DAY（或账号条目中的 qr_per_day）设为不超过 {}，让预算先于微信限额用完", limit * 9 / 10),
            ),
        );
    }

    /// Makes a code that nobody is shown.
    async fn make(&self, sheet: &Sheet) {
        let description = account::of(
            Words::new("WeChat makes a QR code", "微信可以生成带参数的二维码"),
            self.name.as_deref(),
        );
        match self.client.create_qr_code(Scene::random().as_str(), LIFE).await {
            Ok(_) => sheet.ok(description),
            Err(error) => account::failed(sheet, &self.client, description, &error).await,
        }
    }
}
