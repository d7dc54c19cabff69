//! Everything that leaves the kernel on account of a cell, in one order, through one owner.
//!
//! The thread that evaluates, and any thread it starts, put messages into the [`Outbox`]. One task, the [`Publisher`],
//! owns the IOPub socket and the sending halves of shell and stdin, and sends them one by one: so a reply goes out after
//! the outputs before it, and `idle` after the reply, without anybody waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jupyter_protocol::JupyterMessage;
use jupyter_zmq_client::RouterSendConnection;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::message::{Request, broadcast};
use crate::queue::Queue;
use crate::xpub::XPub;

/// What waits to be sent. Bounded: a cell that shows more than clients take waits for them.
pub(crate) type Outbox = Queue<Outgoing>;

/// How many bytes may wait in the outbox.
pub(crate) const OUTBOX_SIZE: usize = 8 << 20;

pub(crate) enum Outgoing {
    /// To everybody.
    Publish(JupyterMessage),
    /// To one client: a reply on shell, a question on stdin.
    Answer(Channel, JupyterMessage),
    /// Text was printed and is not in the outbox yet: to be sent in a moment, if it is still there then.
    TextPending(Arc<Text>, u64),
}

/// The channels on which single clients are answered.
#[derive(Clone, Copy)]
pub(crate) enum Channel {
    Shell,
    Stdin,
}

/// The two streams a cell can print to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What a cell has printed and nobody has sent: taken by the cell itself before it sends anything else, or by the
/// publisher when it has waited for a moment.
pub(crate) struct Text {
    request: Arc<Request>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    chunks: Vec<(Stream, String)>,
    size: usize,
    /// Counts how often the text was taken. A moment that began before the last time is not for what is there now,
    /// which must wait behind what the cell has sent since.
    generation: u64,
}

/// What became of printed text.
pub(crate) enum Added {
    /// It is the first to wait, in this generation.
    First(u64),
    /// It waits with what was there.
    More,
    /// So much waits that it should go now.
    Full,
}

impl Text {
    /// The size at which text does not wait for more.
    pub(crate) const FULL: usize = 64 << 10;

    /// How long text waits for more.
    const MOMENT: Duration = Duration::from_millis(50);

    pub(crate) fn new(request: Arc<Request>) -> Self {
        Self { request, pending: Mutex::default() }
    }

    pub(crate) fn add(&self, stream: Stream, text: &str) -> Added {
        let mut pending = self.lock();
        match pending.chunks.last_mut() {
            Some((last, chunk)) if *last == stream => chunk.push_str(text),
            _ => pending.chunks.push((stream, text.to_owned())),
        }
        let first = pending.size == 0;
        pending.size += text.len();
        match () {
            () if pending.size >= Self::FULL => Added::Full,
            () if first => Added::First(pending.generation),
            () => Added::More,
        }
    }

    /// Takes all of it, as messages with their sizes.
    pub(crate) fn take(&self) -> Vec<(JupyterMessage, usize)> {
        self.drain(&mut self.lock())
    }

    /// Takes it if nobody has since `generation`.
    fn take_if(&self, generation: u64) -> Vec<(JupyterMessage, usize)> {
        let mut pending = self.lock();
        if pending.generation == generation { self.drain(&mut pending) } else { Vec::new() }
    }

    fn drain(&self, pending: &mut Pending) -> Vec<(JupyterMessage, usize)> {
        pending.generation += 1;
        pending.size = 0;
        let stream = |(stream, text): (Stream, String)| {
            let weight = text.len();
            (self.request.broadcast("stream", json!({ "name": stream.name(), "text": text })), weight)
        };
        pending.chunks.drain(..).map(stream).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long replies wait for a subscriber that is slow to take the outputs before them.
const PATIENCE: Duration = Duration::from_millis(500);

/// The task that sends.
pub(crate) struct Publisher {
    outbox: Arc<Outbox>,
    iopub: XPub,
    answers: Answers,
    /// Printed text, and when its moment ends.
    waiting: VecDeque<(Instant, Arc<Text>, u64)>,
}

impl Publisher {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        iopub: XPub,
        shell: RouterSendConnection,
        stdin: RouterSendConnection,
    ) -> Self {
        Self { outbox, iopub, answers: Answers { shell, stdin }, waiting: VecDeque::new() }
    }

    /// Sends until the outbox is closed and empty, and everybody has taken what was sent.
    pub(crate) async fn run(mut self) {
        loop {
            // Every moment is equally long, so the first in the queue is the first to end.
            let moment = self.waiting.front().map(|(end, ..)| *end);
            tokio::select! {
                outgoing = self.outbox.pop() => match outgoing {
                    Some(outgoing) => self.send(outgoing).await,
                    None => return self.iopub.flush().await,
                },
                event = self.iopub.event() => {
                    if let Err(error) = self.iopub.answer(event, welcome).await {
                        crate::log::warn(format_args!("iopub: {error}"));
                    }
                }
                () = sleep_until(moment.unwrap_or_else(Instant::now)), if moment.is_some() => {
                    if let Some((_, text, generation)) = self.waiting.pop_front() {
                        for (message, _) in text.take_if(generation) {
                            self.publish(message).await;
                        }
                    }
                }
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Publish(message) => self.publish(message).await,
            Outgoing::Answer(channel, message) => self.answers.send(channel, message).await,
            Outgoing::TextPending(text, generation) => {
                self.waiting.push_back((Instant::now() + Text::MOMENT, text, generation));
            }
        }
    }

    /// Sends a message to all subscribers, as soon as the slow ones have room for it.
    async fn publish(&mut self, message: JupyterMessage) {
        let Self { outbox, iopub, answers, .. } = self;
        // A client may well wait for its reply before it takes the outputs: do not let the one wait for the other.
        let answer_meanwhile = async {
            loop {
                sleep(PATIENCE).await;
                for outgoing in outbox.extract(|outgoing| matches!(outgoing, Outgoing::Answer(..))) {
                    if let Outgoing::Answer(channel, answer) = outgoing {
                        answers.send(channel, answer).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            sent = iopub.send(message) => if let Err(error) = sent {
                crate::log::warn(format_args!("iopub: {error}"));
            },
            () = answer_meanwhile => {}
        }
    }
}

/// Tells a new subscriber that from now on it misses nothing.
fn welcome(topic: &str) -> JupyterMessage {
    let welcome = broadcast("iopub_welcome", json!({ "subscription": topic }), None);
    welcome.with_zmq_identities(vec![topic.as_bytes().to_vec().into()])
}

/// The ways to single clients.
struct Answers {
    shell: RouterSendConnection,
    stdin: RouterSendConnection,
}

impl Answers {
    async fn send(&mut self, channel: Channel, message: JupyterMessage) {
        let connection = match channel {
            Channel::Shell => &mut self.shell,
            Channel::Stdin => &mut self.stdin,
        };
        if let Err(error) = connection.send(message).await {
            crate::log::warn(format_args!("a client has gone before its answer: {error}"));
        }
    }
}
