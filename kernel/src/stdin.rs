//! Questions to the user, and their answers.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jupyter_zmq_client::RouterRecvConnection;

use crate::message::{self, Request, Seen};

/// Why [`Io::input`](crate::Io::input) has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The front end said that it cannot ask; nbconvert, for one.
    #[error("this front end cannot ask for input")]
    NotAllowed,
    /// The cell was interrupted while it waited.
    #[error("interrupted while waiting for input")]
    Interrupted,
    /// The kernel shuts down.
    #[error("the kernel shut down while waiting for input")]
    Closed,
}

/// The one question that may be open.
#[derive(Default)]
pub(crate) struct Stdin {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Question>,
    /// Set when nobody is to wait any more: by an interrupt until the next cell, by the shutdown for good.
    given_up: Option<InputError>,
}

struct Question {
    /// The ids that the parent header of the answer may bear: the question's, or the cell's with some front ends.
    ids: [String; 2],
    answer: Sender<Result<String, InputError>>,
}

impl Stdin {
    /// Has `send` send the question and waits for the answer.
    pub(crate) fn ask(&self, id: &str, cell: &str, send: impl FnOnce()) -> Result<String, InputError> {
        let (answer, answered): (_, Receiver<_>) = mpsc::channel();
        {
            let mut state = self.lock();
            if let Some(why) = state.given_up {
                return Err(why);
            }
            state.open = Some(Question { ids: [id.to_owned(), cell.to_owned()], answer });
        }
        send();
        // It fails only if another thread of the interpreter asked something else meanwhile.
        answered.recv().unwrap_or(Err(InputError::Interrupted))
    }

    /// Ends the wait, if there is one, and those to come until [`start_cell`](Self::start_cell).
    pub(crate) fn give_up(&self, why: InputError) {
        let mut state = self.lock();
        state.given_up = Some(why);
        if let Some(question) = state.open.take() {
            let _ = question.answer.send(Err(why));
        }
    }

    /// A new cell may ask again, even if the one before it was interrupted.
    pub(crate) fn start_cell(&self) {
        let mut state = self.lock();
        if state.given_up == Some(InputError::Interrupted) {
            state.given_up = None;
        }
    }

    /// Takes answers for as long as the kernel lives.
    pub(crate) async fn serve(&self, mut connection: RouterRecvConnection) {
        let mut seen = Seen::default();
        loop {
            let reply = message::receive(&mut connection, &mut seen, "stdin").await;
            if reply.kind() == "input_reply" {
                self.answer(&reply);
            }
        }
    }

    /// An answer without a parent is one to the open question; an answer to another question comes too late.
    fn answer(&self, reply: &Request) {
        let parent = reply.parent.parent_header.as_ref().map(|header| &header.msg_id);
        let open = &mut self.lock().open;
        if open.as_ref().is_some_and(|question| parent.is_none_or(|id| question.ids.contains(id)))
            && let Some(question) = open.take()
        {
            let _ = question.answer.send(Ok(reply.text("value").to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
