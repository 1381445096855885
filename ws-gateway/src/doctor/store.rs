//! Where logins are kept.

use doctor::redis::{self, Wanted};
use doctor::{Category, Sheet, Words};
use records::StoreUrl;

use crate::stores::Storage;

/// Adds the look at the store.
pub(super) fn look(category: &mut Category, storage: &Storage) {
    match storage.url() {
        StoreUrl::Redis { url, replicas } => {
            let wanted = Wanted {
                setting: "GATEWAY_STORE",
                url: url.clone(),
                prefix: storage.prefix().to_owned(),
                replicas: *replicas,
                // A login lives for minutes.
                keeps: false,
                audits: false,
            };
            category.look(kept(), redis::WITHIN, move |sheet| {
                let wanted = wanted.clone();
                async move { redis::look(&sheet, &wanted).await }
            });
        }
        // The settings know no other.
        StoreUrl::Memory | StoreUrl::Sqlite(_) => {
            let sheet = Sheet::default();
            let found = Words::new(
                "in the gateway's own memory: a restart ends those under way, and there can be one gateway only",
                "在网关自己的内存中：重启会中断进行中的登录，并且只能有一个网关",
            );
            sheet.ok_with(kept(), found);
            category.found(&sheet);
        }
    }
}

fn kept() -> Words {
    Words::new("logins can be kept", "登录可以保存")
}
