//! The thread that evaluates: it has the interpreter and answers the requests of the shell channel, one by one.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use jupyter_zmq_client::RouterRecvConnection;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc as tokio_mpsc;
use tokio::time::{Instant, timeout_at};

use crate::control::Running;
use crate::history::History;
use crate::iopub::{Channel, Outbox, Outgoing};
use crate::message::{self, Request, Seen, error_content, error_reply};
use crate::stdin::Stdin;
use crate::{Completeness, Completion, Detail, ExecuteError, ExecuteResult, Interpreter, Io};

/// Asks the receiving end of the channel to hand over everything that has arrived so far, and to say when it has.
type Gather = Sender<()>;

/// How long what a client sent in one go may take to arrive.
const TOGETHER: Duration = Duration::from_millis(10);

/// Hands requests from the channel to the evaluating thread; those to shut down go to `shutdown`, past the queue.
pub(crate) async fn receive(
    mut connection: RouterRecvConnection,
    requests: Sender<Request>,
    mut gather: tokio_mpsc::UnboundedReceiver<Gather>,
    shutdown: tokio_mpsc::UnboundedSender<Request>,
) {
    let mut seen = Seen::default();
    let pass_on = |request: Request| match request.kind() {
        "shutdown_request" => drop(shutdown.send(request)),
        _ => drop(requests.send(request)),
    };
    loop {
        tokio::select! {
            request = message::receive(&mut connection, &mut seen, "shell") => pass_on(request),
            Some(done) = gather.recv() => {
                let end = Instant::now() + TOGETHER;
                while let Ok(request) = timeout_at(end, message::receive(&mut connection, &mut seen, "shell")).await {
                    pass_on(request);
                }
                let _ = done.send(());
            }
        }
    }
}

/// The ends of the channels between the evaluating thread and the rest of the kernel.
pub(crate) struct Wiring {
    pub(crate) requests: Receiver<Request>,
    pub(crate) gather: tokio_mpsc::UnboundedSender<Gather>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stdin: Arc<Stdin>,
}

/// What the evaluating thread works with.
pub(crate) struct Shell<I> {
    interpreter: I,
    kernel_info: Value,
    running: Arc<Running>,
    wiring: Wiring,
    /// Requests that were already there when a cell failed.
    queued: VecDeque<Request>,
    history: History,
    /// The number of the next cell.
    next_count: usize,
}

impl<I: Interpreter> Shell<I> {
    pub(crate) fn new(interpreter: I, kernel_info: Value, running: Arc<Running>, wiring: Wiring) -> Self {
        let (queued, history) = (VecDeque::new(), History::default());
        Self { interpreter, kernel_info, running, wiring, queued, history, next_count: 1 }
    }

    /// Answers requests until the kernel ends.
    pub(crate) fn run(mut self) {
        while !self.running.is_closed() {
            // What was queued behind a failed cell is not run, but questions are answered.
            if let Some(request) = self.queued.pop_front() {
                match request.kind() {
                    "execute_request" => self.abort(&request),
                    _ => self.answer(request),
                }
            } else if let Ok(request) = self.wiring.requests.recv() {
                self.answer(request);
            } else {
                return;
            }
        }
    }

    /// Answers one request: busy, whatever it brings about, its reply, idle.
    fn answer(&mut self, request: Request) {
        let request = Arc::new(request);
        let is_cell = request.kind() == "execute_request";
        if is_cell {
            // Before anybody is told: an interrupt by somebody who sees `busy` is for this cell.
            self.wiring.stdin.start_cell();
            self.running.start();
        }
        self.publish(request.status("busy"));
        match request.kind() {
            "execute_request" => self.execute(&request),
            "complete_request" => self.reply(&request, Self::complete),
            "inspect_request" => self.reply(&request, Self::inspect),
            "is_complete_request" => self.reply(&request, Self::is_complete),
            "history_request" => self.reply(
                &request,
                |shell, request| json!({ "status": "ok", "history": shell.history.answer(&request.content) }),
            ),
            "kernel_info_request" => self.reply(&request, |shell, _| shell.kernel_info.clone()),
            "comm_info_request" => self.reply(&request, |_, _| json!({ "status": "ok", "comms": {} })),
            "comm_open" => self.refuse_comm(&request),
            // These belong to a comm, and there is none.
            "comm_msg" | "comm_close" => {}
            kind if kind.ends_with("_request") => {
                let error = ExecuteError::new("NotSupported", format!("this kernel knows no {kind}"));
                self.reply(&request, |_, _| error_reply(&error));
            }
            kind => crate::log::warn(format_args!("ignored a message of unknown type `{kind}` on shell")),
        }
        if is_cell {
            self.running.end();
        }
        self.publish(request.status("idle"));
    }

    fn execute(&mut self, request: &Arc<Request>) {
        let code = request.text("code");
        let silent = request.flag("silent", false);
        let store = !silent && request.flag("store_history", true);
        let count = self.next_count;
        let Wiring { outbox, stdin, .. } = &self.wiring;
        let io = Io::new(request.clone(), outbox.clone(), stdin.clone(), count, silent);
        io.publish("execute_input", json!({ "code": code, "execution_count": count }), code.len());

        let result = self.evaluate(code, &io);
        if store {
            let output = result.as_ref().ok().and_then(Option::as_ref).map_or("", |value| value.plain());
            self.history.push(code, output);
            self.next_count += 1;
        }

        let mut reply = match result {
            Ok(value) => {
                if let Some(value) = value {
                    let weight = value.weight();
                    let mut content = value.into_content();
                    content.insert("execution_count".into(), count.into());
                    io.publish("execute_result", content.into(), weight);
                }
                let user_expressions = self.user_expressions(request, &io);
                json!({ "status": "ok", "user_expressions": user_expressions, "payload": io.take_payload() })
            }
            Err(error) => {
                // What nobody was to notice does not end what somebody has queued.
                if !silent && request.flag("stop_on_error", true) {
                    self.gather_queued();
                }
                io.publish("error", error_content(&error), 0);
                let mut reply = error_reply(&error);
                reply["user_expressions"] = json!({});
                reply["payload"] = json!([]);
                reply
            }
        };
        reply["execution_count"] = count.into();
        io.flush();
        self.send(request.reply(reply));
    }

    fn evaluate(&mut self, code: &str, io: &Io) -> ExecuteResult {
        guard(|| self.interpreter.execute(code, io)).unwrap_or_else(Err)
    }

    /// The values of small expressions that front ends may ask for along with a cell.
    fn user_expressions(&mut self, request: &Request, io: &Io) -> Value {
        let Some(expressions) = request.content["user_expressions"].as_object() else { return json!({}) };
        let mut value = |code: &Value| match self.evaluate(code.as_str().unwrap_or_default(), &io.silenced()) {
            Ok(value) => {
                let mut content = value.unwrap_or_default().into_content();
                content.insert("status".into(), "ok".into());
                Value::Object(content)
            }
            Err(error) => error_reply(&error),
        };
        expressions.iter().map(|(name, code)| (name.clone(), value(code))).collect::<Map<_, _>>().into()
    }

    /// Sets aside everything that had arrived when the cell failed. The client does not know of the failure yet, so
    /// nothing that it sends in answer to it can be among this.
    fn gather_queued(&mut self) {
        let (done, gathered) = mpsc::channel();
        if self.wiring.gather.send(done).is_ok() {
            let _ = gathered.recv();
        }
        self.queued.extend(self.wiring.requests.try_iter());
    }

    fn abort(&mut self, request: &Request) {
        self.publish(request.status("busy"));
        self.send(request.reply(json!({ "status": "aborted" })));
        self.publish(request.status("idle"));
    }

    fn complete(&mut self, request: &Request) -> Value {
        let (code, cursor) = cursor(request);
        match guard(|| self.interpreter.complete(code, cursor)) {
            Err(error) => error_reply(&error),
            Ok(found) => {
                let (start, end) = (found.start, found.end);
                let typed = |Completion { text, kind, signature }: &Completion| {
                    let kind = kind.as_deref().unwrap_or("<unknown>");
                    json!({ "text": text, "type": kind, "signature": signature.as_deref().unwrap_or_default(),
                            "start": start, "end": end })
                };
                let types: Value = found.matches.iter().map(typed).collect();
                let matches: Value = found.matches.iter().map(|found| found.text.as_str()).collect();
                json!({ "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end,
                        "metadata": { "_jupyter_types_experimental": types } })
            }
        }
    }

    fn inspect(&mut self, request: &Request) -> Value {
        let (code, cursor) = cursor(request);
        let detail = if request.content["detail_level"].as_u64() == Some(1) { Detail::Source } else { Detail::Docs };
        match guard(|| self.interpreter.inspect(code, cursor, detail)) {
            Err(error) => error_reply(&error),
            Ok(found) => {
                let is_found = found.is_some();
                let mut content = found.unwrap_or_default().into_content();
                content.insert("status".into(), "ok".into());
                content.insert("found".into(), is_found.into());
                Value::Object(content)
            }
        }
    }

    fn is_complete(&mut self, request: &Request) -> Value {
        match guard(|| self.interpreter.is_complete(request.text("code"))) {
            Ok(Completeness::Complete) => json!({ "status": "complete" }),
            Ok(Completeness::Incomplete { indent }) => json!({ "status": "incomplete", "indent": indent }),
            Ok(Completeness::Invalid) => json!({ "status": "invalid" }),
            Ok(Completeness::Unknown) | Err(_) => json!({ "status": "unknown" }),
        }
    }

    /// There is nothing here for a widget to talk to, and this is how to say so.
    fn refuse_comm(&self, request: &Request) {
        let comm = request.text("comm_id");
        self.publish(request.broadcast("comm_close", json!({ "comm_id": comm, "data": {} })));
    }

    fn reply(&mut self, request: &Request, content: impl FnOnce(&mut Self, &Request) -> Value) {
        let content = content(self, request);
        self.send(request.reply(content));
    }

    fn send(&self, reply: jupyter_protocol::JupyterMessage) {
        self.wiring.outbox.push(Outgoing::Answer(Channel::Shell, reply), 0);
    }

    fn publish(&self, message: jupyter_protocol::JupyterMessage) {
        self.wiring.outbox.push(Outgoing::Publish(message), 0);
    }
}

/// The code of a request and the cursor in it, in code points.
fn cursor(request: &Request) -> (&str, usize) {
    let code = request.text("code");
    let length = code.chars().count();
    let cursor = request.content["cursor_pos"].as_u64().and_then(|at| usize::try_from(at).ok());
    (code, cursor.map_or(length, |at| at.min(length)))
}

/// A panic of the interpreter is an error of the cell: the kernel, and everybody's variables, live on.
fn guard<T>(work: impl FnOnce() -> T) -> Result<T, ExecuteError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| ExecuteError::new("Panic", panic_message(&*panic)))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the interpreter failed: {}", text.unwrap_or("it did not say why"))
}
