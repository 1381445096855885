//! Asking the gateway until its answer is clear. `busy` and `unsure` are repeated, which the wire makes safe.

use std::time::Duration;

use protocol::message::Status;
use protocol::{Answer, Client, NoAnswer, Notice};
use tokio::time::{Instant, sleep};

/// Wait before the same notice is sent again, unless the gateway names a longer one.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends `notice` until an answer is neither `busy` nor `unsure`, at the latest until `deadline`.
/// `perhaps` says that an earlier sending may have been recorded.
///
/// # Errors
/// [`NoAnswer::NotSent`] when no attempt can have recorded anything, [`NoAnswer::Unknown`] when one may
/// have. Dropping the future stops asking.
pub(crate) async fn ask(
    client: &Client,
    notice: &Notice,
    deadline: Instant,
    mut perhaps: bool,
) -> Result<Answer, NoAnswer> {
    loop {
        let wait = match client.send(notice.clone(), deadline).await {
            Ok(answer) if answer.status == Status::Busy => {
                answer.retry_in.map_or(AGAIN, Duration::from_millis).max(AGAIN)
            }
            Ok(answer) if answer.status == Status::Unsure => {
                perhaps = true;
                AGAIN
            }
            // These say nothing about an earlier sending. A gateway that has lost its memory knows no login.
            Ok(answer)
                if perhaps && matches!(answer.status, Status::Forbidden | Status::Bad | Status::Unknown) =>
            {
                return Err(NoAnswer::Unknown);
            }
            Ok(answer) => return Ok(answer),
            Err(NoAnswer::NotSent) if !perhaps => return Err(NoAnswer::NotSent),
            Err(_) => return Err(NoAnswer::Unknown),
        };
        if Instant::now() + wait >= deadline {
            return Err(if perhaps { NoAnswer::Unknown } else { NoAnswer::NotSent });
        }
        sleep(wait).await;
    }
}
