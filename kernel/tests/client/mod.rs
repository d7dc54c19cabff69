//! A Jupyter client over ZeroMQ, and a kernel for it in a thread or process of its own.

// Each file of tests uses its part of it.
#![allow(dead_code)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
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

/// A kernel and a client of it.
pub struct Client {
    pub info: ConnectionInfo,
    pub session: String,
    pub shell: zmq::ClientShellConnection,
    pub control: zmq::ClientControlConnection,
    pub stdin: zmq::ClientStdinConnection,
    pub iopub: zmq::ClientIoPubConnection,
    pub heartbeat: zmq::ClientHeartbeatConnection,
    kernel: Kernel,
    _folder: TempDir,
}

enum Kernel {
    Thread(JoinHandle<Result<(), percept_kernel::Error>>),
    Process(Process),
}

/// A process that ends with its test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    /// Starts a kernel and waits until it welcomes its subscriber. Sockets are files where they can be: no port can be
    /// taken.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let info = if cfg!(unix) { ipc(&folder) } else { tcp() };
        Self::start_thread(folder, info).await
    }

    pub async fn start_thread(folder: TempDir, info: ConnectionInfo) -> Self {
        let file = connection_file(&folder, &info);
        let kernel = Kernel::Thread(std::thread::spawn(move || percept_kernel::run(&file, Toy::default)));
        Self::connect(folder, info, kernel).await
    }

    /// Starts a kernel as Jupyter does: as a process of its own, over TCP.
    pub async fn start_process() -> Self {
        Self::spawn(tempfile::tempdir().unwrap(), tcp()).await
    }

    async fn spawn(folder: TempDir, info: ConnectionInfo) -> Self {
        let process = kernel_command(&connection_file(&folder, &info)).spawn().unwrap();
        Self::connect(folder, info, Kernel::Process(Process(process))).await
    }

    async fn connect(folder: TempDir, info: ConnectionInfo, kernel: Kernel) -> Self {
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
        welcomed(&mut client.iopub).await;
        client
    }

    /// Another subscriber of the same kernel.
    pub async fn subscribe(&self) -> zmq::ClientIoPubConnection {
        let mut iopub = zmq::create_client_iopub_connection(&self.info, "", "another session").await.unwrap();
        welcomed(&mut iopub).await;
        iopub
    }

    /// The kernel's process.
    pub fn process(&mut self) -> &mut Child {
        match &mut self.kernel {
            Kernel::Process(process) => &mut process.0,
            Kernel::Thread(_) => panic!("the kernel is a thread"),
        }
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

    /// Restarts the kernel, as Jupyter does: a new process with the same connection file.
    pub async fn restart(mut self) -> Self {
        let reply = self.control("shutdown_request", json!({ "restart": true })).await;
        assert_eq!(reply.content, json!({ "status": "ok", "restart": true }));
        let Self { info, kernel, _folder: folder, .. } = self;
        gone(&info, kernel).await;
        Self::spawn(folder, info).await
    }

    /// Waits until the kernel has gone, by itself and without an error, and nothing is left of it.
    pub async fn gone(self) {
        gone(&self.info, self.kernel).await;
    }
}

async fn gone(info: &ConnectionInfo, kernel: Kernel) {
    match kernel {
        Kernel::Thread(thread) => {
            until(|| thread.is_finished()).await;
            thread.join().unwrap().unwrap();
        }
        Kernel::Process(mut process) => {
            until(|| process.0.try_wait().unwrap().is_some()).await;
            assert!(process.0.wait().unwrap().success());
        }
    }
    assert_free(info);
}

/// Waits until something has come about.
pub async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it did not come about");
}

/// Nobody listens on the ports of a kernel any more, and somebody else can.
pub fn assert_free(info: &ConnectionInfo) {
    assert!(info.transport != Transport::TCP || are_free(info));
}

pub fn are_free(info: &ConnectionInfo) -> bool {
    ports(info).into_iter().all(|port| TcpListener::bind((info.ip.as_str(), port)).is_ok())
}

pub fn ports(info: &ConnectionInfo) -> [u16; 5] {
    [info.shell_port, info.iopub_port, info.stdin_port, info.control_port, info.hb_port]
}

/// Sockets that are files.
pub fn ipc(folder: &TempDir) -> ConnectionInfo {
    info(Transport::IPC, folder.path().join("k").to_str().unwrap(), [1, 2, 3, 4, 5])
}

/// Ports that are free. They lie below those that the system gives to clients, and no two tests get the same.
pub fn tcp() -> ConnectionInfo {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    let mut free = std::iter::repeat_with(|| base + NEXT.fetch_add(1, Ordering::SeqCst))
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports = std::array::from_fn(|_| free.next().unwrap());
    info(Transport::TCP, "127.0.0.1", ports)
}

fn info(transport: Transport, ip: &str, ports: [u16; 5]) -> ConnectionInfo {
    ConnectionInfo {
        ip: ip.into(),
        transport,
        shell_port: ports[0],
        iopub_port: ports[1],
        stdin_port: ports[2],
        control_port: ports[3],
        hb_port: ports[4],
        key: "a key".into(),
        signature_scheme: "hmac-sha256".into(),
        kernel_name: None,
    }
}

pub fn connection_file(folder: &TempDir, info: &ConnectionInfo) -> PathBuf {
    let file = folder.path().join("connection.json");
    std::fs::write(&file, serde_json::to_vec(info).unwrap()).unwrap();
    file
}

/// Tells [`kernel_process`] that it is one.
const CONNECTION_FILE: &str = "KERNEL_TEST_CONNECTION_FILE";

/// The command that starts a kernel as a process of its own: this test binary, of which only the test that calls
/// [`kernel_process`] is run. Unlike an example it is never out of date.
pub fn kernel_command(connection_file: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kernel_process", "--nocapture"]).stdout(Stdio::null());
    command.env(CONNECTION_FILE, connection_file);
    command
}

/// Runs a kernel if this process was started for that.
pub fn kernel_process() {
    if let Some(file) = std::env::var_os(CONNECTION_FILE) {
        percept_kernel::run(file.as_ref(), Toy::default).unwrap();
    }
}

async fn welcomed(iopub: &mut zmq::ClientIoPubConnection) {
    let welcome = receive(iopub).await;
    assert_eq!((welcome.kind.as_str(), &welcome.content), ("iopub_welcome", &json!({ "subscription": "" })));
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
