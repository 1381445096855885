//! The numbers that pages show, for the people in front of them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The numbers on all pages so far, by the scenes of their logins. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<watch::Sender<HashMap<String, String>>>);

impl Numbers {
    /// A page shows the number of its login.
    pub(super) fn show(&self, scene: &str, number: &str) {
        self.0.send_modify(|numbers| drop(numbers.insert(scene.to_owned(), number.to_owned())));
    }

    /// Looks at the page of a login until its number is there.
    pub async fn see(&self, scene: &str) -> String {
        let mut numbers = self.0.subscribe();
        let seen = numbers.wait_for(|numbers| numbers.contains_key(scene)).await;
        // The sender is in here.
        seen.map(|numbers| numbers[scene].clone()).unwrap_or_default()
    }
}
