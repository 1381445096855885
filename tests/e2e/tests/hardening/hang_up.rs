//! SIGHUP at a service that has nothing to read again: a closing terminal, a rule of logrotate, or an operator who has
//! learnt that the gateway reads its files again by it.

use crate::process::until;
use crate::system::System;

#[tokio::test]
async fn a_callback_service_hears_a_hang_up_and_goes_on() {
    let system = System::start().await;
    let page = system.page().await;
    system.callback.hang_up();
    let mut log = String::new();
    until("it says so", || {
        log += &system.callback.log();
        log.contains("SIGHUP: there is nothing to read again")
    })
    .await;
    system.scanned(page).await;
    system.is_ready().await;
}
