//! A Jupyter client over ZeroMQ, and a kernel for it in a thread of its own.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use jupyter_protocol::connection_info::Transport;
use jupyter_protocol::{ConnectionInfo, JupyterMessage, UnknownMessage};
use jupyter_zmq_client as zmq;
use serde_json::{Value, json};
use tempfile::TempDir;
use zeromq::SocketRecv;

use crate::toy::Toy;

/// Far more than anything takes: only so that a broken kernel fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kernel and its only client.
pub struct Client {
    pub info: ConnectionInfo,
    pub session: String,
    pub shell: zmq::ClientShellConnection,
    pub control: zmq::ClientControlConnection,
    pub stdin: zmq::ClientStdinConnection,
    pub iopub: zmq::ClientIoPubConnection,
    pub heartbeat: zmq::ClientHeartbeatConnection,
    kernel: JoinHandle<Result<(), percept_kernel::Error>>,
    _folder: TempDir,
}

/// A message, with what tests look at.
#[derive(Clone, Debug)]
pub struct Message {
    pub kind: String,
    pub content: Value,
    /// The id of the request that brought it about; empty if there was none.
    pub parent: String,
    pub id: String,
}

/// All that came of one request: its reply, and everything on IOPub between busy and idle.
pub struct Outcome {
    pub reply: Value,
    pub outputs: Vec<Message>,
}

impl Outcome {
    pub fn kinds(&self) -> Vec<&str> {
        self.outputs.iter().map(|message| message.kind.as_str()).collect()
    }

    pub fn printed(&self, stream: &str) -> String {
        let streams = self.outputs.iter().filter(|message| message.content["name"] == stream);
        streams.map(|message| message.content["text"].as_str().unwrap()).collect()
    }
}

impl Client {
    /// Starts a kernel and waits until it welcomes its subscriber. Sockets are files, so no port can be taken.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ip = folder.path().join("k").to_str().unwrap().to_owned();
        Self::start_with(folder, Transport::IPC, ip, [1, 2, 3, 4, 5]).await
    }

    pub async fn start_with(folder: TempDir, transport: Transport, ip: String, ports: [u16; 5]) -> Self {
        let info = ConnectionInfo {
            ip,
            transport,
            shell_port: ports[0],
            iopub_port: ports[1],
            stdin_port: ports[2],
            control_port: ports[3],
            hb_port: ports[4],
            key: "a key".into(),
            signature_scheme: "hmac-sha256".into(),
            kernel_name: None,
        };
        let file: PathBuf = folder.path().join("connection.json");
        std::fs::write(&file, serde_json::to_vec(&info).unwrap()).unwrap();
        let kernel = std::thread::spawn(move || percept_kernel::run(&file, Toy::default));

        let session = uuid::Uuid::new_v4().to_string();
        let identity = zmq::peer_identity_for_session(&session).unwrap();
        let mut client = Self {
            shell: zmq::create_client_shell_connection_with_identity(&info, &session, identity.clone()).await.unwrap(),
            stdin: zmq::create_client_stdin_connection_with_identity(&info, &session, identity).await.unwrap(),
            control: zmq::create_client_control_connection(&info, &session).await.unwrap(),
            iopub: zmq::create_client_iopub_connection(&info, "", &session).await.unwrap(),
            heartbeat: zmq::create_client_heartbeat_connection(&info).await.unwrap(),
            info,
            session,
            kernel,
            _folder: folder,
        };
        let welcome = client.iopub().await;
        assert_eq!((welcome.kind.as_str(), &welcome.content), ("iopub_welcome", &json!({ "subscription": "" })));
        client
    }

    /// Runs a cell to its end.
    pub async fn execute(&mut self, code: &str) -> Outcome {
        self.request("execute_request", execute_content(code)).await
    }

    /// Sends a request on shell and waits for all that comes of it.
    pub async fn request(&mut self, kind: &str, content: Value) -> Outcome {
        let id = self.send_shell(kind, content).await;
        self.outcome(&id).await
    }

    /// Waits for all that comes of a request that was sent on shell.
    pub async fn outcome(&mut self, id: &str) -> Outcome {
        let (reply, outputs) = tokio::join!(receive(&mut self.shell), outputs(&mut self.iopub, id));
        assert_eq!(reply.parent, id, "{reply:?}");
        Outcome { reply: reply.content, outputs }
    }

    /// Everything on IOPub from a request's busy to its idle.
    pub async fn outputs(&mut self, id: &str) -> Vec<Message> {
        outputs(&mut self.iopub, id).await
    }

    pub async fn send_shell(&mut self, kind: &str, content: Value) -> String {
        let (id, message) = message(kind, content);
        self.shell.send(message).await.unwrap();
        id
    }

    /// Asks on control, and waits for the answer.
    pub async fn control(&mut self, kind: &str, content: Value) -> Message {
        let (id, message) = message(kind, content);
        self.control.send(message).await.unwrap();
        let reply = receive(&mut self.control).await;
        assert_eq!(reply.parent, id);
        reply
    }

    pub async fn iopub(&mut self) -> Message {
        receive(&mut self.iopub).await
    }

    /// The next message on IOPub that this request brought about.
    pub async fn iopub_of(&mut self, id: &str) -> Message {
        next_of(&mut self.iopub, id).await
    }

    /// Shuts the kernel down and waits until it has gone.
    pub async fn shut_down(mut self) {
        let reply = self.control("shutdown_request", json!({ "restart": false })).await;
        assert_eq!((reply.kind.as_str(), reply.content), ("shutdown_reply", json!({"status": "ok", "restart": false})));
        self.gone().await;
    }

    /// Waits until the kernel has gone.
    pub async fn gone(self) {
        let kernel = self.kernel;
        tokio::time::timeout(PATIENCE, async {
            while !kernel.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the kernel did not end");
        kernel.join().unwrap().unwrap();
    }
}

async fn outputs(iopub: &mut zmq::ClientIoPubConnection, id: &str) -> Vec<Message> {
    let mut outputs = Vec::new();
    let busy = next_of(iopub, id).await;
    assert_eq!(busy.content, json!({ "execution_state": "busy" }));
    loop {
        let message = next_of(iopub, id).await;
        if message.kind == "status" {
            assert_eq!(message.content, json!({ "execution_state": "idle" }));
            return outputs;
        }
        outputs.push(message);
    }
}

async fn next_of(iopub: &mut zmq::ClientIoPubConnection, id: &str) -> Message {
    loop {
        let message = receive(iopub).await;
        if message.parent == id {
            return message;
        }
    }
}

pub fn execute_content(code: &str) -> Value {
    json!({ "code": code, "silent": false, "store_history": true, "user_expressions": {}, "allow_stdin": true,
            "stop_on_error": true })
}

/// A request, with its id.
pub fn message(kind: &str, content: Value) -> (String, JupyterMessage) {
    let message = JupyterMessage::new(UnknownMessage { msg_type: kind.into(), content }, None);
    (message.header.msg_id.clone(), message)
}

/// The next message on a channel, as it is: what types would fill in or leave out is part of what is tested.
pub async fn receive<S: SocketRecv>(from: &mut zmq::Connection<S>) -> Message {
    let frames = tokio::time::timeout(PATIENCE, from.socket.recv()).await.expect("no message came").unwrap();
    let raw = zmq::RawMessage::from_multipart(frames, &from.mac).unwrap();
    let json = |part: usize| serde_json::from_slice::<Value>(&raw.jparts[part]).unwrap();
    let (header, parent) = (json(0), json(1));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Message {
        kind: text(&header["msg_type"]),
        content: json(3),
        parent: text(&parent["msg_id"]),
        id: text(&header["msg_id"]),
    }
}
