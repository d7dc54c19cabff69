//! The control channel: what must be answered while a cell runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jupyter_zmq_client::KernelControlConnection;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::iopub::{Channel, Outbox, Outgoing};
use crate::message::{self, Request, Seen, error_reply};
use crate::stdin::{InputError, Stdin};
use crate::{ExecuteError, InterruptHandle};

/// Whether a cell runs, and how to stop it.
pub(crate) struct Running {
    handle: InterruptHandle,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    Busy,
    /// The kernel ends.
    Closed,
}

impl Running {
    pub(crate) fn new(handle: InterruptHandle) -> Self {
        Self { handle, state: Mutex::new(State::Idle) }
    }

    /// A cell starts: from here on an interrupt is for this one, and one for the cell before it is forgotten.
    pub(crate) fn start(&self) {
        let mut state = self.lock();
        if *state == State::Idle {
            self.handle.clear();
            *state = State::Busy;
        }
    }

    /// The cell has ended.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        if *state == State::Busy {
            *state = State::Idle;
        }
    }

    /// Stops the running cell; if there is none, nothing.
    pub(crate) fn interrupt(&self) {
        let state = self.lock();
        if *state == State::Busy {
            self.handle.interrupt();
        }
    }

    /// Stops the running cell, and no other is to be started.
    pub(crate) fn close(&self) {
        self.interrupt();
        *self.lock() = State::Closed;
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.lock() == State::Closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the control channel works with.
pub(crate) struct Control {
    pub(crate) connection: KernelControlConnection,
    pub(crate) kernel_info: Value,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) running: Arc<Running>,
    pub(crate) stdin: Arc<Stdin>,
    /// Requests to shut down that came on shell.
    pub(crate) shutdown: UnboundedReceiver<Request>,
}

impl Control {
    /// Answers until one asks to shut down.
    pub(crate) async fn run(&mut self) {
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                request = message::receive(&mut self.connection, &mut seen, "control") => {
                    // The outbox may be full because nobody takes what the cell prints: never wait for it here.
                    self.outbox.push_now(Outgoing::Publish(request.status("busy")));
                    let content = self.answer(&request);
                    self.reply(&request, content).await;
                    self.outbox.push_now(Outgoing::Publish(request.status("idle")));
                    if request.kind() == "shutdown_request" {
                        return;
                    }
                }
                Some(request) = self.shutdown.recv() => {
                    self.outbox.push_now(Outgoing::Publish(request.status("busy")));
                    let content = self.shut_down(&request);
                    self.outbox.push_now(Outgoing::Answer(Channel::Shell, request.reply(content)));
                    self.outbox.push_now(Outgoing::Publish(request.status("idle")));
                    return;
                }
            }
        }
    }

    fn answer(&self, request: &Request) -> Value {
        match request.kind() {
            "interrupt_request" => {
                self.running.interrupt();
                self.stdin.give_up(InputError::Interrupted);
                json!({ "status": "ok" })
            }
            "shutdown_request" => self.shut_down(request),
            "kernel_info_request" => self.kernel_info.clone(),
            "comm_info_request" => json!({ "status": "ok", "comms": {} }),
            kind => error_reply(&ExecuteError::new("NotSupported", format!("this kernel knows no {kind} on control"))),
        }
    }

    /// Ends the running cell; tells everybody else that the kernel goes, or goes and comes back.
    fn shut_down(&self, request: &Request) -> Value {
        self.running.close();
        self.stdin.give_up(InputError::Closed);
        let content = json!({ "status": "ok", "restart": request.flag("restart", false) });
        self.outbox.push_now(Outgoing::Publish(request.broadcast("shutdown_reply", content.clone())));
        content
    }

    async fn reply(&mut self, request: &Request, content: Value) {
        if let Err(error) = self.connection.send(request.reply(content)).await {
            crate::log::warn(format_args!("a client has gone before its answer on control: {error}"));
        }
    }
}
