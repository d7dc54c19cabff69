//! Messages in and out: frames become a [`Request`], a kind and a JSON content become a [`JupyterMessage`].
//!
//! Contents stay JSON values on both sides. A request that leaves out a member must still be understood or at least
//! be answered, and some replies need members that the typed structs of `jupyter-protocol` cannot express.

use std::collections::{HashSet, VecDeque};

use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{Connection, RawMessage};
use serde_json::{Value, json};
use zeromq::{SocketRecv, ZmqMessage};

use crate::ExecuteError;

/// The version of the messaging protocol that is spoken here.
pub(crate) const PROTOCOL_VERSION: &str = "5.5";

/// The frame between the routing identities and the message proper.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// A message from a client: its content, and the rest of it as the parent of every answer.
pub(crate) struct Request {
    pub(crate) content: Value,
    pub(crate) parent: JupyterMessage,
}

impl Request {
    /// Its `msg_type`.
    pub(crate) fn kind(&self) -> &str {
        &self.parent.header.msg_type
    }

    /// A text member of the content; empty if it is missing.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.content[member].as_str().unwrap_or_default()
    }

    /// A truth value of the content.
    pub(crate) fn flag(&self, member: &str, default: bool) -> bool {
        self.content[member].as_bool().unwrap_or(default)
    }

    /// The answer to this request: `x_request` is answered by `x_reply`, to the client that asked.
    pub(crate) fn reply(&self, content: Value) -> JupyterMessage {
        let kind = self.kind().strip_suffix("_request").unwrap_or(self.kind());
        message(&format!("{kind}_reply"), content, Some(&self.parent))
    }

    /// A message to everybody that this request brought about.
    pub(crate) fn broadcast(&self, kind: &str, content: Value) -> JupyterMessage {
        broadcast(kind, content, Some(&self.parent))
    }

    /// The kernel works on this request, or no longer does.
    pub(crate) fn status(&self, state: &str) -> JupyterMessage {
        self.broadcast("status", json!({ "execution_state": state }))
    }
}

/// A message for everybody, under its kind as topic.
pub(crate) fn broadcast(kind: &str, content: Value, parent: Option<&JupyterMessage>) -> JupyterMessage {
    message(kind, content, parent).with_zmq_identities(vec![kind.as_bytes().to_vec().into()])
}

/// A message to the client that sent `parent`.
pub(crate) fn message(kind: &str, content: Value, parent: Option<&JupyterMessage>) -> JupyterMessage {
    let mut message = JupyterMessage::new(UnknownMessage { msg_type: kind.to_owned(), content }, parent);
    message.header.username = "kernel".to_owned();
    message.header.version = PROTOCOL_VERSION.to_owned();
    message
}

/// The members that tell of an error, in replies and on IOPub alike.
pub(crate) fn error_content(error: &ExecuteError) -> Value {
    json!({ "ename": error.ename, "evalue": error.evalue, "traceback": error.traceback })
}

/// A reply's content that tells of an error.
pub(crate) fn error_reply(error: &ExecuteError) -> Value {
    let mut content = error_content(error);
    content["status"] = "error".into();
    content
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejected {
    #[error("its signature is wrong or its frames are incomplete ({0})")]
    Frames(#[from] jupyter_zmq_client::RuntimeError),
    #[error("it was seen before")]
    Replayed,
    #[error("it is not JSON of the right form ({0})")]
    Json(#[from] serde_json::Error),
}

/// Waits for the next acceptable message of a channel; what is not acceptable is dropped and logged.
///
/// Nothing is lost if the returned future is dropped before it is ready.
pub(crate) async fn receive<S: SocketRecv>(from: &mut Connection<S>, seen: &mut Seen, channel: &str) -> Request {
    loop {
        match from.socket.recv().await {
            Ok(frames) => match open(frames, from, seen) {
                Ok(request) => return request,
                Err(reason) => crate::log::warn(format_args!("dropped a message on {channel}: {reason}")),
            },
            // A peer broke off. Others go on, but never spin should the socket itself be what is broken.
            Err(error) => {
                crate::log::warn(format_args!("{channel}: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

fn open<S>(frames: ZmqMessage, from: &Connection<S>, seen: &mut Seen) -> Result<Request, Rejected> {
    let signature = frames.iter().skip_while(|frame| frame[..] != *DELIMITER).nth(1).map(|frame| frame.to_vec());
    // `from_multipart` compares the signature, in constant time, with that of exactly the four JSON frames.
    let raw = RawMessage::from_multipart(frames, &from.mac)?;
    if from.mac.is_some() && !seen.is_new(signature.unwrap_or_default()) {
        return Err(Rejected::Replayed);
    }

    let header: Header = serde_json::from_slice(&raw.jparts[0])?;
    let parent_header = serde_json::from_slice(&raw.jparts[1]).ok();
    let content = serde_json::from_slice(&raw.jparts[3])?;
    let parent = JupyterMessage {
        zmq_identities: raw.zmq_identities,
        parent_header,
        metadata: Value::Null,
        content: JupyterMessageContent::UnknownMessage(UnknownMessage {
            msg_type: header.msg_type.clone(),
            content: Value::Null,
        }),
        header,
        buffers: Vec::new(),
        channel: None,
    };
    Ok(Request { content, parent })
}

/// The signatures of the latest messages: one that comes again was recorded and sent by somebody else.
#[derive(Default)]
pub(crate) struct Seen {
    known: HashSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Seen {
    const MOST: usize = 1 << 16;

    fn is_new(&mut self, signature: Vec<u8>) -> bool {
        if !self.known.insert(signature.clone()) {
            return false;
        }
        self.order.push_back(signature);
        if self.order.len() > Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
