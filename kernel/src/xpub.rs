//! The socket of IOPub: a ZeroMQ publisher that has a queue for each subscriber.
//!
//! Those of the `zeromq` crate do not fit. Its XPUB sends to one subscriber after the other, so that one that takes
//! nothing holds up all, and which one it is cannot be seen; its PUB has queues, but they are bounded in messages
//! instead of bytes, what is too much is dropped, and nobody learns of subscriptions. So this speaks as much of
//! [ZMTP 3.0](https://rfc.zeromq.org/spec/23/) as a publisher needs: a greeting, one command, frames.
//!
//! A subscriber that is slow makes the publisher wait once its queue is full, so nothing is lost. One that takes not a
//! byte for [`STALL`] while others wait for it is cut off; a ZeroMQ client that comes to life again connects again.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jupyter_protocol::connection_info::Transport;
use jupyter_protocol::{ConnectionInfo, JupyterMessage};
use jupyter_zmq_client::{Connection, RuntimeError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use zeromq::{SocketSend, ZmqMessage, ZmqResult};

/// How many bytes may wait for one subscriber. Those that take the same messages share them.
const QUEUE_SIZE: usize = 32 << 20;

/// How long a subscriber whose queue is full may take nothing at all.
const STALL: Duration = Duration::from_secs(10);

/// How long a peer may take to say that it speaks ZeroMQ.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a subscriber has to say is short.
const LARGEST_FRAME: u64 = 64 << 10;

/// The socket.
pub(crate) struct XPub {
    signer: Connection<Outlet>,
    subscribers: Vec<Subscriber>,
    events: UnboundedReceiver<Event>,
    accepting: JoinHandle<()>,
}

struct Subscriber {
    queue: Arc<Queue>,
    topics: Vec<Vec<u8>>,
}

/// What a subscriber asks for.
pub(crate) enum Event {
    Subscribe(Arc<Queue>, Vec<u8>),
    Unsubscribe(Arc<Queue>, Vec<u8>),
}

impl XPub {
    /// Opens the port. Messages are signed as those on the channel of `like`.
    pub(crate) async fn bind<S>(info: &ConnectionInfo, like: &Connection<S>) -> io::Result<Self> {
        let (events_in, events) = mpsc::unbounded_channel();
        let accepting = match info.transport {
            Transport::TCP => {
                let listener = TcpListener::bind((info.ip.as_str(), info.iopub_port)).await?;
                tokio::spawn(accept(events_in, async move || {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                }))
            }
            #[cfg(unix)]
            Transport::IPC => {
                let path = format!("{}-{}", info.ip, info.iopub_port);
                let listener = tokio::net::UnixListener::bind(path)?;
                tokio::spawn(accept(events_in, async move || Ok(listener.accept().await?.0)))
            }
            #[cfg(not(unix))]
            Transport::IPC => return Err(io::ErrorKind::Unsupported.into()),
        };
        let signer =
            Connection { socket: Outlet(Vec::new()), mac: like.mac.clone(), session_id: like.session_id.clone() };
        Ok(Self { signer, subscribers: Vec::new(), events, accepting })
    }

    /// Queues a message for everybody who has subscribed to its topic, its first frame.
    pub(crate) async fn send(&mut self, message: JupyterMessage) -> Result<(), RuntimeError> {
        let topic = message.zmq_identities.first().map(|topic| topic.to_vec()).unwrap_or_default();
        let message = self.signed(message).await?;
        for Subscriber { queue, topics } in &self.subscribers {
            if topics.iter().any(|wanted| topic.starts_with(wanted)) {
                queue.push(&message).await;
            }
        }
        self.subscribers.retain(|subscriber| !subscriber.queue.is_closed());
        Ok(())
    }

    /// Waits for somebody to subscribe or unsubscribe. Nothing is lost if the returned future is dropped.
    pub(crate) async fn event(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Does what a subscriber asks for. One that is new gets `welcome` before anything else.
    pub(crate) async fn answer(
        &mut self,
        event: Event,
        welcome: impl FnOnce(&str) -> JupyterMessage,
    ) -> Result<(), RuntimeError> {
        match event {
            Event::Subscribe(queue, topic) => {
                let welcome = self.signed(welcome(&String::from_utf8_lossy(&topic))).await?;
                queue.try_push(&welcome);
                match self.subscribers.iter_mut().find(|subscriber| Arc::ptr_eq(&subscriber.queue, &queue)) {
                    Some(known) => known.topics.push(topic),
                    None => self.subscribers.push(Subscriber { queue, topics: vec![topic] }),
                }
            }
            Event::Unsubscribe(queue, topic) => {
                let known = self.subscribers.iter_mut().find(|subscriber| Arc::ptr_eq(&subscriber.queue, &queue));
                if let Some(Subscriber { topics, .. }) = known
                    && let Some(at) = topics.iter().position(|known| *known == topic)
                {
                    topics.swap_remove(at);
                }
            }
        }
        Ok(())
    }

    /// Waits until everybody has taken what is queued.
    pub(crate) async fn flush(&self) {
        for subscriber in &self.subscribers {
            subscriber.queue.emptied().await;
        }
    }

    async fn signed(&mut self, message: JupyterMessage) -> Result<Arc<Vec<u8>>, RuntimeError> {
        self.signer.send(message).await?;
        Ok(Arc::new(std::mem::take(&mut self.signer.socket.0)))
    }
}

impl Drop for XPub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where a [`Connection`], which alone can sign, leaves the message that it has signed, as it goes over the wire.
struct Outlet(Vec<u8>);

impl SocketSend for Outlet {
    fn send<'life0, 'async_trait>(
        &'life0 mut self,
        message: ZmqMessage,
    ) -> Pin<Box<dyn Future<Output = ZmqResult<()>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        self.0 = encode(&message);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What waits for one subscriber.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// For the task that writes: a message came.
    arrived: Notify,
    /// For the publisher: the subscriber took something, or has gone.
    taken: Notify,
    /// For the connection: it is to end.
    closed: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Arc<Vec<u8>>>,
    /// The bytes that are not written yet.
    size: usize,
    closed: bool,
}

impl Queue {
    fn new() -> Self {
        Self { state: Mutex::default(), arrived: Notify::new(), taken: Notify::new(), closed: Notify::new() }
    }

    /// Queues a message as soon as there is room, or else gives the subscriber up.
    async fn push(&self, message: &Arc<Vec<u8>>) {
        while !self.try_push(message) {
            if timeout(STALL, self.taken.notified()).await.is_err() {
                crate::log::warn("a subscriber of iopub has stalled and was cut off");
                self.close();
            }
        }
    }

    /// Whether no more needs to be done about the message: it is queued, or nobody is there to get it. One that is
    /// too large for the queue is queued when it is alone.
    fn try_push(&self, message: &Arc<Vec<u8>>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return true;
        }
        if state.size > 0 && state.size + message.len() > QUEUE_SIZE {
            return false;
        }
        state.size += message.len();
        state.messages.push_back(message.clone());
        drop(state);
        self.arrived.notify_one();
        true
    }

    async fn pop(&self) -> Arc<Vec<u8>> {
        loop {
            if let Some(message) = self.lock().messages.pop_front() {
                return message;
            }
            self.arrived.notified().await;
        }
    }

    fn written(&self, count: usize) {
        let mut state = self.lock();
        state.size = state.size.saturating_sub(count);
        drop(state);
        self.taken.notify_one();
    }

    async fn emptied(&self) {
        while self.lock().size > 0 {
            self.taken.notified().await;
        }
    }

    fn close(&self) {
        *self.lock() = State { closed: true, ..State::default() };
        self.taken.notify_one();
        self.closed.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves whoever connects. Everybody is let go when the returned future is dropped.
async fn accept<S: AsyncRead + AsyncWrite + Send + 'static>(
    events: UnboundedSender<Event>,
    next: impl AsyncFn() -> io::Result<S>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = next() => match stream {
                Ok(stream) => drop(connections.spawn(serve(stream, events.clone()))),
                // Too many files are open, for one: that may pass.
                Err(error) => {
                    crate::log::warn(format_args!("iopub: {error}"));
                    sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one subscriber until it goes or is given up.
async fn serve<S: AsyncRead + AsyncWrite>(stream: S, events: UnboundedSender<Event>) {
    let (read, mut write) = tokio::io::split(stream);
    let mut read = BufReader::new(read);
    if !matches!(timeout(HANDSHAKE, shake_hands(&mut read, &mut write)).await, Ok(Ok(()))) {
        return;
    }
    let queue = Arc::new(Queue::new());
    // However either half ends, the other one is of no use any more.
    tokio::select! {
        _ = listen(&mut read, &queue, &events) => {}
        _ = write_all(&mut write, &queue) => {}
        () = queue.closed.notified() => {}
    }
    queue.close();
}

/// Passes on what a subscriber asks for.
async fn listen(
    read: &mut (impl AsyncRead + Unpin),
    queue: &Arc<Queue>,
    events: &UnboundedSender<Event>,
) -> io::Result<()> {
    loop {
        let (flags, body) = read_frame(read).await?;
        if flags & COMMAND != 0 {
            continue;
        }
        // Whether the publisher still listens matters no more to this connection: it ends with it.
        let _ = match body.split_first() {
            Some((1, topic)) => events.send(Event::Subscribe(queue.clone(), topic.to_vec())),
            Some((0, topic)) => events.send(Event::Unsubscribe(queue.clone(), topic.to_vec())),
            _ => Ok(()),
        };
    }
}

async fn write_all(write: &mut (impl AsyncWrite + Unpin), queue: &Queue) -> io::Result<()> {
    loop {
        let message = queue.pop().await;
        let mut rest = &message[..];
        while !rest.is_empty() {
            // Not `write_all`: each part that a slow subscriber takes is a sign of life.
            let count = write.write(rest).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[count..];
            queue.written(count);
        }
    }
}

/// Another frame of the same message follows.
const MORE: u8 = 1;
/// The size takes eight bytes instead of one.
const LONG: u8 = 2;
/// This is no message.
const COMMAND: u8 = 4;

/// How a connection begins: the signature, the version, the mechanism, and that this is not the server of one.
const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    let mut at = 0;
    while at < NULL.len() {
        greeting[12 + at] = NULL[at];
        at += 1;
    }
    greeting
};

/// The mechanism that is none: the signatures of the messages are what can be trusted.
const NULL: &[u8; 20] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The command by which a peer says what it is.
const READY: &[u8; 28] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04XPUB";

async fn shake_hands(read: &mut (impl AsyncRead + Unpin), write: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    write.write_all(&GREETING).await?;
    let mut theirs = [0; GREETING.len()];
    read.read_exact(&mut theirs).await?;
    if theirs[0] != GREETING[0] || theirs[9] & 1 == 0 || theirs[10] < 3 || theirs[12..32] != *NULL {
        return Err(io::ErrorKind::InvalidData.into());
    }
    write.write_all(READY).await?;
    let (flags, command) = read_frame(read).await?;
    if flags & COMMAND == 0 || !command.starts_with(b"\x05READY") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// The next frame: its flags and its content.
async fn read_frame(read: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let flags = read.read_u8().await?;
    let size = if flags & LONG == 0 { read.read_u8().await?.into() } else { read.read_u64().await? };
    if size > LARGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    read.take(size).read_to_end(&mut body).await?;
    if body.len() as u64 == size { Ok((flags, body)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A message as it goes over the wire.
fn encode(message: &ZmqMessage) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.iter().map(|frame| frame.len() + 9).sum());
    let last = message.len().saturating_sub(1);
    for (at, frame) in message.iter().enumerate() {
        let more = if at < last { MORE } else { 0 };
        match u8::try_from(frame.len()) {
            Ok(size) => bytes.extend([more, size]),
            Err(_) => {
                bytes.push(more | LONG);
                bytes.extend((frame.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(frame);
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_of_every_size_are_read_as_they_were_written() {
        let mut message = ZmqMessage::from("topic");
        for size in [0, 1, 255, 256, 60_000] {
            message.push_back(vec![7; size].into());
        }
        let bytes = encode(&message);
        let mut read = &bytes[..];
        for (at, frame) in message.iter().enumerate() {
            let (flags, body) = read_frame(&mut read).await.unwrap();
            assert_eq!((flags & MORE != 0, &body[..]), (at + 1 < message.len(), &frame[..]));
        }
        assert!(read.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_frame_of_a_subscriber_is_refused() {
        let huge = [LONG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for bytes in [&b""[..], &[0], &[0, 2, 1], &huge] {
            assert!(read_frame(&mut &bytes[..]).await.is_err(), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_waits_for_a_slow_subscriber_and_not_for_one_that_has_gone() {
        let queue = Arc::new(Queue::new());
        let message = Arc::new(vec![0; QUEUE_SIZE / 2 + 1]);
        queue.push(&message).await;
        assert!(!queue.try_push(&message));
        queue.pop().await;
        queue.written(message.len() - 1);
        // As one that is still being written counts, it is full until the last byte is taken if it must be.
        assert!(queue.try_push(&message));
        let waiting = tokio::spawn({
            let (queue, message) = (queue.clone(), message.clone());
            async move { queue.push(&message).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        queue.close();
        waiting.await.unwrap();
        assert!(queue.is_closed());
        queue.emptied().await;
    }
}
