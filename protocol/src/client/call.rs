//! One notice on its way, and whether it was sent or given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

use super::NoAnswer;
use crate::message::{Answer, Notice, Sent, Status};

/// A notice, and where its answer goes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) notice: Arc<Notice>,
    pub(super) fate: Fate,
    pub(super) reply: oneshot::Sender<Answer>,
    /// An earlier connection sent it, and ended before the answer came.
    pub(super) sent_before: bool,
}

impl Call {
    /// Hands the answer to the caller, if there still is one. An earlier sending of the notice may have recorded an
    /// end. An answer that says nothing about that sending becomes `unsure`.
    pub(super) fn answer(self, mut answer: Answer) {
        if self.sent_before && says_nothing_of_another_sending(&answer, &self.notice) {
            answer.status = Status::Unsure;
        }
        let _ = self.reply.send(answer);
    }

    /// What to send, unless the caller has given up. From here on the notice counts as sent.
    pub(super) fn to_send(&self) -> Option<Sent<'_>> {
        if self.reply.is_closed() || !self.fate.send() {
            return None;
        }
        Some(Sent { id: Some(&self.id), notice: &self.notice })
    }
}

/// Whether an answer says nothing about another sending of the same notice. `busy`, `forbidden` and `bad` say only that
/// this sending recorded nothing; another one may have recorded the notice. `unknown` may come from a gateway that has
/// lost its memory, so it is believed only for a notice that ends no login.
pub(super) fn says_nothing_of_another_sending(answer: &Answer, notice: &Notice) -> bool {
    match answer.status {
        Status::Busy | Status::Forbidden | Status::Bad => true,
        Status::Unknown => matches!(notice, Notice::Scan { .. } | Notice::Deny { .. }),
        _ => false,
    }
}

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Whether a notice has left the process. The caller and the connection share it, and the first decision holds:
/// a notice that was given up before it was sent is never sent.
#[derive(Debug, Clone)]
pub(super) struct Fate(Arc<AtomicU8>);

impl Fate {
    pub(super) fn waiting() -> Self {
        Self(Arc::new(AtomicU8::new(WAITING)))
    }

    /// Marks the notice as sent; false when the caller has given up.
    fn send(&self) -> bool {
        match self.0.compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == SENT,
        }
    }

    /// Marks the notice as given up, and says whether it had been sent.
    pub(super) fn give_up(&self) -> NoAnswer {
        match self.0.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire) {
            Err(SENT) => NoAnswer::Unknown,
            _ => NoAnswer::NotSent,
        }
    }
}
