//! What was taken and turned out not to be used goes back to where it came from.

use redis::Script;

use crate::{Bucket, Count, Failure, Records, microseconds, milliseconds};

impl Records {
    /// Gives one back to each bucket and takes it off the count. Where there is none to give back, nothing changes.
    ///
    /// # Errors
    /// [`Failure`]; perhaps it was given back.
    pub async fn give_back(&self, to: &[Bucket<'_>], count: Option<Count<'_>>) -> Result<(), Failure> {
        let script = Script::new(include_str!("give_back.lua"));
        let mut call = script.arg(to.len());
        for bucket in to {
            call.key(self.key(bucket.name)).arg(microseconds(bucket.refill));
        }
        if let Some(count) = count {
            call.key(self.key(count.name)).arg(milliseconds(count.kept));
        }
        self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
    }
}
