//! The kernel as a whole: its sockets, its tasks, its thread, its end.

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jupyter_protocol::ConnectionInfo;
use jupyter_protocol::connection_info::Transport;
use jupyter_zmq_client::{
    KernelControlConnection, KernelHeartbeatConnection, KernelShellConnection, KernelStdinConnection, RuntimeError,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc as tokio_mpsc, oneshot};
use tokio::time::{sleep, timeout};
use zeromq::{SocketRecv as _, SocketSend as _, ZmqError};

use crate::control::{Control, Running};
use crate::iopub::{OUTBOX_SIZE, Outbox, Outgoing, Publisher};
use crate::message::{PROTOCOL_VERSION, broadcast};
use crate::shell::{self, Shell, Wiring};
use crate::stdin::{InputError, Stdin};
use crate::xpub::XPub;
use crate::{Error, Interpreter, KernelInfo};

/// Interpreters recurse over what users write. The memory is only taken when it is used.
const STACK_SIZE: usize = 64 << 20;

/// How long a running cell has to end after it was told to, and the last messages to leave.
const GRACE: Duration = Duration::from_secs(1);

/// ZeroMQ says "sent" when it has queued a message, and forgets what is queued when its socket goes.
const LINGER: Duration = Duration::from_millis(100);

/// Serves an interpreter to Jupyter until a client shuts the kernel down.
///
/// `connection_file` is what Jupyter put in place of `{connection_file}` in the kernelspec's `argv`.
/// `make_interpreter` is called on the thread on which the interpreter then lives.
///
/// If a cell does not end although it was interrupted, its thread is left behind: let the process exit after this.
///
/// # Errors
/// If the connection file cannot be understood, a port is taken, or `make_interpreter` panics.
pub fn run<I, F>(connection_file: &Path, make_interpreter: F) -> Result<(), Error>
where
    I: Interpreter,
    F: FnOnce() -> I + Send + 'static,
{
    let info = read_connection_file(connection_file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    let result = runtime.block_on(serve(&info, make_interpreter));
    runtime.shutdown_background();
    result
}

fn read_connection_file(path: &Path) -> Result<ConnectionInfo, Error> {
    let text = std::fs::read(path).map_err(Error::file("read", path))?;
    let malformed = |reason: String| Error::ConnectionFile { path: path.to_owned(), reason };
    let info: ConnectionInfo = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    // Without a key nothing is signed, and the scheme does not matter.
    if !info.key.is_empty() && info.signature_scheme != "hmac-sha256" {
        return Err(malformed(format!("messages signed with {} are not supported", info.signature_scheme)));
    }
    Ok(info)
}

async fn serve<I, F>(info: &ConnectionInfo, make_interpreter: F) -> Result<(), Error>
where
    I: Interpreter,
    F: FnOnce() -> I + Send + 'static,
{
    let parent = parent();
    let Sockets { shell, iopub, stdin, control, heartbeat } = Sockets::bind(info).await?;
    let (shell_send, shell_receive) = shell.split();
    let (stdin_send, stdin_receive) = stdin.split();

    let outbox = Arc::new(Outbox::new(OUTBOX_SIZE));
    let questions = Arc::new(Stdin::default());
    let (requests_in, requests) = mpsc::channel();
    let (gather, gather_out) = tokio_mpsc::unbounded_channel();
    let (shutdown, shutdown_out) = tokio_mpsc::unbounded_channel();

    let publisher = Publisher::new(outbox.clone(), iopub, shell_send, stdin_send);
    let publisher = tokio::spawn(publisher.run());
    let heartbeat = tokio::spawn(beat(heartbeat));
    outbox.push_now(Outgoing::Publish(broadcast("status", json!({ "execution_state": "starting" }), None)));

    let wiring = Wiring { requests, gather, outbox: outbox.clone(), stdin: questions.clone() };
    let (ready, mut evaluation) = start_evaluation(make_interpreter, wiring)?;
    let Ready { kernel_info, running } = ready.await.map_err(|_| Error::InterpreterGone)?;
    let mut control = Control {
        connection: control,
        kernel_info,
        outbox: outbox.clone(),
        running: running.clone(),
        stdin: questions.clone(),
        shutdown: shutdown_out,
    };

    let result = tokio::select! {
        () = control.run() => Ok(()),
        () = shell::receive(shell_receive, requests_in, gather_out, shutdown) => Ok(()),
        () = questions.serve(stdin_receive) => Ok(()),
        () = orphaned(parent) => Ok(()),
        _ = &mut evaluation => Err(Error::InterpreterGone),
    };

    // The evaluating thread returns after the cell that it may be in.
    if result.is_ok() {
        running.close();
        questions.give_up(InputError::Closed);
        let _ = timeout(GRACE, evaluation).await;
    }
    outbox.close();
    let _ = timeout(GRACE, publisher).await;
    sleep(LINGER).await;
    heartbeat.abort();
    result
}

struct Sockets {
    shell: KernelShellConnection,
    iopub: XPub,
    stdin: KernelStdinConnection,
    control: KernelControlConnection,
    heartbeat: KernelHeartbeatConnection,
}

impl Sockets {
    async fn bind(info: &ConnectionInfo) -> Result<Self, Error> {
        use jupyter_zmq_client as zmq;
        remove_stale_files(info);
        let session = &uuid::Uuid::new_v4().to_string();
        let failed = |channel: &'static str, address: String| move |source| Error::Bind { channel, address, source };
        let shell =
            zmq::create_kernel_shell_connection(info, session).await.map_err(failed("shell", info.shell_url()))?;
        let iopub = XPub::bind(info, &shell)
            .await
            .map_err(|error| RuntimeError::from(ZmqError::from(error)))
            .map_err(failed("iopub", info.iopub_url()))?;
        let stdin =
            zmq::create_kernel_stdin_connection(info, session).await.map_err(failed("stdin", info.stdin_url()))?;
        let control = zmq::create_kernel_control_connection(info, session)
            .await
            .map_err(failed("control", info.control_url()))?;
        let heartbeat = zmq::create_kernel_heartbeat_connection(info).await.map_err(failed("hb", info.hb_url()))?;
        Ok(Self { shell, iopub, stdin, control, heartbeat })
    }
}

/// Sockets that are files outlive a kernel that was killed, and the one that is started in its place uses the same.
fn remove_stale_files(info: &ConnectionInfo) {
    #[cfg(unix)]
    if info.transport == Transport::IPC {
        for port in [info.shell_port, info.iopub_port, info.stdin_port, info.control_port, info.hb_port] {
            let path = format!("{}-{port}", info.ip);
            let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if std::os::unix::net::UnixStream::connect(&path).is_err_and(refused) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Sends back whatever comes: the kernel is alive.
async fn beat(mut heartbeat: KernelHeartbeatConnection) {
    loop {
        let beaten = match heartbeat.socket.recv().await {
            Ok(message) => heartbeat.socket.send(message).await,
            Err(error) => Err(error),
        };
        if beaten.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The process that started the kernel, if the kernel is to end with it. Jupyter sets this variable when it means to
/// outlive the kernel; a kernel started by hand may outlive its shell.
fn parent() -> Option<u32> {
    #[cfg(unix)]
    return std::env::var_os("JPY_PARENT_PID").map(|_| std::os::unix::process::parent_id());
    #[cfg(not(unix))]
    return None;
}

/// Ends when the process that started the kernel has gone without shutting it down.
async fn orphaned(parent: Option<u32>) {
    #[cfg(unix)]
    if let Some(parent) = parent {
        while std::os::unix::process::parent_id() == parent {
            sleep(Duration::from_secs(1)).await;
        }
        return;
    }
    std::future::pending().await
}

/// What the interpreter's thread tells the rest of the kernel once.
struct Ready {
    kernel_info: Value,
    running: Arc<Running>,
}

/// Starts the thread that builds the interpreter and evaluates. The first channel tells when it is ready, the second
/// when it has ended.
fn start_evaluation<I, F>(
    make_interpreter: F,
    wiring: Wiring,
) -> Result<(oneshot::Receiver<Ready>, oneshot::Receiver<()>), Error>
where
    I: Interpreter,
    F: FnOnce() -> I + Send + 'static,
{
    let (ready, ready_out) = oneshot::channel();
    let (ended, ended_out) = oneshot::channel::<()>();
    let evaluate = move || {
        // Dropped, and thereby seen, when the thread ends, in whichever way.
        let _ended = ended;
        let interpreter = make_interpreter();
        let kernel_info = kernel_info(interpreter.info());
        let running = Arc::new(Running::new(interpreter.interrupt_handle()));
        let _ = ready.send(Ready { kernel_info: kernel_info.clone(), running: running.clone() });
        Shell::new(interpreter, kernel_info, running, wiring).run();
    };
    thread::Builder::new().name("evaluation".into()).stack_size(STACK_SIZE).spawn(evaluate).map_err(Error::Start)?;
    Ok((ready_out, ended_out))
}

/// The content of every `kernel_info_reply`.
fn kernel_info(info: KernelInfo) -> Value {
    let language = info.language;
    let mut language_info = json!({
        "name": language.name,
        "version": language.version,
        "mimetype": language.mimetype,
        "file_extension": language.file_extension,
    });
    if let Some(mode) = language.codemirror_mode {
        language_info["codemirror_mode"] = mode;
    }
    if let Some(lexer) = language.pygments_lexer {
        language_info["pygments_lexer"] = lexer.into();
    }
    let link = |(text, url): (String, String)| json!({ "text": text, "url": url });
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL_VERSION,
        "implementation": info.implementation,
        "implementation_version": info.implementation_version,
        "language_info": language_info,
        "banner": info.banner,
        "help_links": info.help_links.into_iter().map(link).collect::<Value>(),
        "debugger": false,
        "supported_features": [],
    })
}
