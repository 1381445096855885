//! What is left of each account's calls for QR codes, computed at the scrape: the day ends without anybody's doing.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Accounts;
use crate::metrics::by_account;

/// The budgets of these accounts.
pub(crate) struct Budgets(pub(crate) Arc<Accounts>);

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budgets")
    }
}

impl Collector for Budgets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let label = |id: &Option<String>| by_account(id.as_deref().unwrap_or_default());
        let help = "Calls for QR codes that a day may have (GATEWAY_QR_PER_DAY), by account";
        let mut metric = encoder.encode_descriptor("qr_per_day", help, None, MetricType::Gauge)?;
        for account in self.0.iter() {
            let per_day = ConstGauge::new(i64::from(account.qr.budget().per_day()));
            per_day.encode(metric.encode_family(&label(&account.id))?)?;
        }
        let help =
            "Calls for QR codes that are left today, in China's time, as this gateway knows it, by account";
        let mut metric = encoder.encode_descriptor("qr_left", help, None, MetricType::Gauge)?;
        for account in self.0.iter() {
            // With Redis nothing is known before the first call.
            let Some(left) = account.qr.budget().left() else { continue };
            ConstGauge::new(i64::from(left)).encode(metric.encode_family(&label(&account.id))?)?;
        }
        Ok(())
    }
}
