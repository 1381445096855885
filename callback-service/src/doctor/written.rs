//! The settings as they are written: all that is wrong about them, and names that are none.

use doctor::http::with_open_urls;
use doctor::{Sheet, Words};

use crate::config::{self, Config, Settings};

/// Writes what is wrong; gives what the service would run with, if nothing is.
pub(super) fn config(sheet: &Sheet, settings: Result<Settings, Vec<String>>) -> Option<Config> {
    doctor::names::look(sheet);
    let wrong = match settings {
        Err(wrong) => wrong,
        Ok(settings) => match config::of_environment(settings) {
            Ok(config) => {
                let (accounts, sites) = config.numbers();
                let found = Words::new(
                    format!("official accounts: {accounts}, sites: {sites}"),
                    format!("公众号 {accounts} 个，站点 {sites} 个"),
                );
                sheet.ok_with(good(), found);
                return Some(config);
            }
            Err(wrong) => wrong.lines(),
        },
    };
    for problem in wrong {
        sheet.failure(
            good(),
            Words::same(with_open_urls(&problem)),
            Words::new(
                "correct it; docs/settings.md says what each setting is for. Until then the service does not start, and \
                 doctor looks at nothing else",
                "请改正；各设置的含义见 docs/settings.md。在此之前服务无法启动，doctor 也不检查其他项目",
            ),
        );
    }
    None
}

fn good() -> Words {
    Words::new("the settings can be used", "设置可用")
}
