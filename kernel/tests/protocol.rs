//! The protocol, as a client sees it. Nothing here depends on how long something takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
#[path = "../examples/toy.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod toy;

use client::{Client, execute_content, message, receive};
use jupyter_zmq_client as zmq;
use ring::hmac;
use serde_json::{Value, json};
use zeromq::{Socket as _, SocketSend as _};

#[tokio::test]
async fn kernel_info_says_who_it_is_on_shell_and_control() {
    let mut client = Client::start().await;
    let info = client.request("kernel_info_request", json!({})).await.reply;
    assert_eq!(info["status"], "ok");
    assert_eq!(info["protocol_version"], "5.5");
    assert_eq!(info["implementation"], "toy");
    assert_eq!(info["language_info"]["file_extension"], ".toy");
    assert_eq!(info["language_info"]["codemirror_mode"], json!({ "name": "toy", "mime": "text/x-sh" }));
    assert_eq!(info["help_links"], json!([{ "text": "Jupyter", "url": "https://jupyter.org" }]));
    assert_eq!(info["debugger"], false);
    assert_eq!(client.control("kernel_info_request", json!({})).await.content, info);
    client.shut_down().await;
}

#[tokio::test]
async fn outputs_come_in_the_order_in_which_they_were_shown() {
    let mut client = Client::start().await;
    let cell = "print a\nprint b\nwarn c\nprint d\npicture\nlive 1\nprint e\nupdate 2\nclear\nvalue 42";
    let outcome = client.execute(cell).await;
    let got: Vec<(&str, Value)> = outcome
        .outputs
        .iter()
        .map(|message| (message.kind.as_str(), message.content.clone()))
        .filter(|(kind, _)| *kind != "stream")
        .collect();
    assert_eq!(got[0], ("execute_input", json!({ "code": cell, "execution_count": 1 })));
    assert_eq!(got[1].0, "display_data");
    assert!(got[1].1["data"]["image/png"].is_string());
    assert_eq!(got[1].1["transient"], json!({}));
    let display =
        |text: &str| json!({ "data": { "text/plain": text }, "metadata": {}, "transient": { "display_id": "live" } });
    assert_eq!(got[2], ("display_data", display("1")));
    assert_eq!(got[3], ("update_display_data", display("2")));
    assert_eq!(got[4], ("clear_output", json!({ "wait": true })));
    let result =
        json!({ "data": { "text/plain": "42", "text/html": "<b>42</b>" }, "metadata": {}, "execution_count": 1 });
    assert_eq!(got[5], ("execute_result", result));
    assert_eq!(got.len(), 6);

    // Text may be cut anywhere, but never moves past anything else.
    let mut shown = String::new();
    for message in &outcome.outputs {
        match message.kind.as_str() {
            "stream" => shown += message.content["text"].as_str().unwrap(),
            "execute_input" => {}
            kind => shown += &format!("<{kind}>"),
        }
    }
    let expected = "a\nb\nc\nd\n<display_data><display_data>e\n<update_display_data><clear_output><execute_result>";
    assert_eq!(shown, expected);
    assert_eq!(outcome.printed("stderr"), "c\n");
    assert_eq!(outcome.reply, json!({ "status": "ok", "execution_count": 1, "user_expressions": {}, "payload": [] }));
    client.shut_down().await;
}

#[tokio::test]
async fn an_error_is_told_once_and_its_cell_counts() {
    let mut client = Client::start().await;
    let outcome = client.execute("print before\nfail because").await;
    assert_eq!(outcome.kinds(), ["execute_input", "stream", "error"]);
    let error = json!({ "ename": "Failure", "evalue": "because", "traceback": ["Failure: because"] });
    assert_eq!(outcome.outputs[2].content, error);
    assert_eq!(outcome.reply["status"], "error");
    assert_eq!(outcome.reply["ename"], "Failure");
    assert_eq!(outcome.reply["user_expressions"], json!({}));
    assert_eq!(client.execute("value 1").await.reply["execution_count"], 2);
    client.shut_down().await;
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_kernel_lives_on() {
    let mut client = Client::start().await;
    let outcome = client.execute("panic a bug").await;
    assert_eq!(outcome.reply["ename"], "Panic");
    assert_eq!(outcome.reply["evalue"], "the interpreter failed: a bug");
    assert_eq!(client.execute("value 1").await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn cells_queued_behind_an_error_are_aborted_and_nothing_else() {
    let mut client = Client::start().await;
    // The first cell waits for its answer until the others have certainly arrived: they are sent on the same
    // connection as a request that is answered while it waits.
    let failing = client.send_shell("execute_request", execute_content("ask ?\nfail")).await;
    let question = receive(&mut client.stdin).await;
    let second = client.send_shell("execute_request", execute_content("value 2")).await;
    let info = client.send_shell("kernel_info_request", json!({})).await;
    let third = client.send_shell("execute_request", execute_content("value 3")).await;
    for _ in 0..10 {
        client.control("kernel_info_request", json!({})).await;
    }
    answer(&mut client, &question, "now").await;

    assert_eq!(client.outcome(&failing).await.reply["status"], "error");
    let aborted = client.outcome(&second).await;
    assert_eq!(aborted.reply, json!({ "status": "aborted" }));
    assert!(aborted.outputs.is_empty());
    assert_eq!(client.outcome(&info).await.reply["status"], "ok");
    assert_eq!(client.outcome(&third).await.reply["status"], "aborted");
    // What is sent after the failure is known runs.
    assert_eq!(client.execute("value 4").await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn without_stop_on_error_queued_cells_run() {
    let mut client = Client::start().await;
    let mut content = execute_content("ask ?\nfail");
    content["stop_on_error"] = false.into();
    let failing = client.send_shell("execute_request", content).await;
    let question = receive(&mut client.stdin).await;
    let second = client.send_shell("execute_request", execute_content("value 2")).await;
    answer(&mut client, &question, "now").await;
    assert_eq!(client.outcome(&failing).await.reply["status"], "error");
    assert_eq!(client.outcome(&second).await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn a_silent_cell_aborts_nothing() {
    let mut client = Client::start().await;
    let mut content = execute_content("ask ?\nfail");
    content["silent"] = true.into();
    let failing = client.send_shell("execute_request", content).await;
    let question = receive(&mut client.stdin).await;
    let second = client.send_shell("execute_request", execute_content("value 2")).await;
    answer(&mut client, &question, "now").await;
    let outcome = client.outcome(&failing).await;
    assert_eq!((&outcome.reply["status"], outcome.outputs.len()), (&json!("error"), 0));
    assert_eq!(client.outcome(&second).await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn heartbeat_and_control_answer_during_a_cell_and_an_interrupt_ends_it() {
    let mut client = Client::start().await;
    for round in 1..=200 {
        let cell = client.send_shell("execute_request", execute_content("print started\nspin")).await;
        // Whoever has seen `busy` can interrupt, whether or not the interpreter has begun.
        assert_eq!(client.iopub_of(&cell).await.content["execution_state"], "busy");
        if round % 2 == 0 {
            while client.iopub_of(&cell).await.kind != "stream" {}
        }
        client.heartbeat.single_heartbeat().await.unwrap();
        assert_eq!(client.control("kernel_info_request", json!({})).await.content["status"], "ok");
        assert_eq!(client.control("interrupt_request", json!({})).await.content, json!({ "status": "ok" }));
        let reply = receive(&mut client.shell).await;
        assert_eq!((reply.parent.as_str(), &reply.content["ename"]), (cell.as_str(), &json!("Interrupted")));
        // An interrupt between cells must not hit the next one.
        client.control("interrupt_request", json!({})).await;
        assert_eq!(client.execute("value 1").await.reply["execution_count"], 2 * round);
    }
    client.shut_down().await;
}

#[tokio::test]
async fn input_asks_and_can_be_refused_interrupted_and_answered_late() {
    let mut client = Client::start().await;
    let cell = client.send_shell("execute_request", execute_content("print first\nask your name?")).await;
    let question = receive(&mut client.stdin).await;
    assert_eq!((question.kind.as_str(), question.parent.as_str()), ("input_request", cell.as_str()));
    assert_eq!(question.content, json!({ "prompt": "your name?", "password": false }));
    answer(&mut client, &question, "Ada").await;
    assert_eq!(client.outcome(&cell).await.printed("stdout"), "first\nyou said Ada\n");

    let mut content = execute_content("ask ?");
    content["allow_stdin"] = false.into();
    let outcome = client.request("execute_request", content).await;
    assert_eq!(outcome.reply["evalue"], "this front end cannot ask for input");

    let cell = client.send_shell("execute_request", execute_content("ask ?")).await;
    let abandoned = receive(&mut client.stdin).await;
    client.control("interrupt_request", json!({})).await;
    assert_eq!(client.outcome(&cell).await.reply["evalue"], "interrupted while waiting for input");

    // The answer to the abandoned question is not taken for that to the next.
    let cell = client.send_shell("execute_request", execute_content("ask ?")).await;
    let question = receive(&mut client.stdin).await;
    answer(&mut client, &abandoned, "too late").await;
    answer(&mut client, &question, "in time").await;
    assert_eq!(client.outcome(&cell).await.printed("stdout"), "you said in time\n");
    client.shut_down().await;
}

async fn answer(client: &mut Client, question: &client::Message, value: &str) {
    let (_, mut reply) = message("input_reply", json!({ "value": value, "status": "ok" }));
    let mut parent = reply.header.clone();
    parent.msg_id = question.id.clone();
    reply.parent_header = Some(parent);
    client.stdin.send(reply).await.unwrap();
}

#[tokio::test]
async fn silent_cells_show_nothing_and_do_not_count() {
    let mut client = Client::start().await;
    let mut content = execute_content("print x\nvalue 1");
    content["silent"] = true.into();
    let outcome = client.request("execute_request", content).await;
    assert!(outcome.outputs.is_empty());
    assert_eq!(outcome.reply["status"], "ok");

    let mut content = execute_content("value 1");
    content["store_history"] = false.into();
    for _ in 0..2 {
        let outcome = client.request("execute_request", content.clone()).await;
        assert_eq!(outcome.kinds(), ["execute_input", "execute_result"]);
        assert_eq!(outcome.reply["execution_count"], 1);
    }
    let history = json!({ "hist_access_type": "tail", "n": 10, "output": false, "raw": true });
    assert_eq!(client.request("history_request", history.clone()).await.reply["history"], json!([]));
    client.execute("value 1").await;
    let reply = client.request("history_request", history).await.reply;
    assert_eq!(reply, json!({ "status": "ok", "history": [[1, 1, "value 1"]] }));
    client.shut_down().await;
}

#[tokio::test]
async fn user_expressions_and_payloads_come_with_the_reply() {
    let mut client = Client::start().await;
    let mut content = execute_content("page help\nnext value 2");
    content["user_expressions"] = json!({ "good": "value 7", "bad": "fail", "none": "print unseen" });
    let outcome = client.request("execute_request", content).await;
    assert_eq!(outcome.kinds(), ["execute_input"]);
    let payload = json!([
        { "source": "page", "data": { "text/plain": "help" }, "start": 0 },
        { "source": "set_next_input", "text": "value 2", "replace": false },
    ]);
    assert_eq!(outcome.reply["payload"], payload);
    let values = &outcome.reply["user_expressions"];
    assert_eq!(values["good"]["data"]["text/plain"], "7");
    assert_eq!(values["bad"]["status"], "error");
    assert_eq!(values["none"], json!({ "status": "ok", "data": {}, "metadata": {} }));
    client.shut_down().await;
}

#[tokio::test]
async fn cursors_are_counted_in_code_points() {
    let mut client = Client::start().await;
    // Two code points outside of the basic plane, one of two bytes, and a cursor in the middle of the line.
    let code = "😀😀 grö pr";
    let reply = client.request("complete_request", json!({ "code": code, "cursor_pos": 6 })).await.reply;
    assert_eq!(reply["matches"], json!(["größe"]));
    assert_eq!((&reply["cursor_start"], &reply["cursor_end"]), (&json!(3), &json!(6)));
    let typed = json!([{ "text": "größe", "type": "keyword", "signature": "", "start": 3, "end": 6 }]);
    assert_eq!(reply["metadata"]["_jupyter_types_experimental"], typed);
    let reply = client.request("complete_request", json!({ "code": code, "cursor_pos": 9 })).await.reply;
    assert_eq!((&reply["matches"], &reply["cursor_start"]), (&json!(["print"]), &json!(7)));

    let at = |cursor: i64| json!({ "code": "😀 größe", "cursor_pos": cursor, "detail_level": 0 });
    let reply = client.request("inspect_request", at(7)).await.reply;
    assert_eq!((&reply["status"], &reply["found"]), (&json!("ok"), &json!(true)));
    assert_eq!(reply["data"]["text/markdown"], "**größe** has a name outside of ASCII");
    let reply = client.request("inspect_request", at(3)).await.reply;
    assert_eq!(reply, json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }));
    // Beyond the end, or from a client that counts otherwise.
    assert_eq!(client.request("inspect_request", at(99)).await.reply["found"], true);
    assert_eq!(client.request("inspect_request", at(-1)).await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn is_complete_tells_what_a_console_should_do_at_enter() {
    let mut client = Client::start().await;
    let mut ask = async |code: &str| client.request("is_complete_request", json!({ "code": code })).await.reply;
    assert_eq!(ask("value 1").await, json!({ "status": "complete" }));
    assert_eq!(ask("value 1\\").await, json!({ "status": "incomplete", "indent": "  " }));
    assert_eq!(ask(")").await, json!({ "status": "invalid" }));
    client.shut_down().await;
}

#[tokio::test]
async fn comms_are_refused_and_unknown_requests_answered() {
    let mut client = Client::start().await;
    let info = client.request("comm_info_request", json!({})).await.reply;
    assert_eq!(info, json!({ "status": "ok", "comms": {} }));
    let id = client.send_shell("comm_open", json!({ "comm_id": "c1", "target_name": "t", "data": {} })).await;
    let outputs = client.outputs(&id).await;
    assert_eq!(outputs.len(), 1);
    assert_eq!(
        (outputs[0].kind.as_str(), &outputs[0].content),
        ("comm_close", &json!({ "comm_id": "c1", "data": {} }))
    );
    let reply = client.request("teleport_request", json!({})).await.reply;
    assert_eq!((&reply["status"], &reply["ename"]), (&json!("error"), &json!("NotSupported")));
    assert_eq!(client.control("debug_request", json!({})).await.content["status"], "error");
    // What is no request gets no reply: the next one is to the next request.
    for kind in ["", "x", "comm_msg", "comm_close", "execute_reply"] {
        let id = client.send_shell(kind, json!({ "comm_id": "c1", "data": {} })).await;
        assert!(client.outputs(&id).await.is_empty(), "{kind}");
    }
    assert_eq!(client.execute("value 1").await.reply["status"], "ok");
    client.shut_down().await;
}

#[tokio::test]
async fn requests_with_nothing_in_them_are_still_answered() {
    let mut client = Client::start().await;
    for kind in ["execute", "complete", "inspect", "is_complete", "history", "comm_info", "kernel_info"] {
        for content in [json!({}), json!({ "code": 3, "cursor_pos": "x", "n": -1 })] {
            let reply = client.request(&format!("{kind}_request"), content).await.reply;
            assert!(reply["status"].is_string(), "{kind}: {reply}");
        }
    }
    // Contents that are no objects.
    for (i, content) in ["[1]", "\"x\"", "null", "7"].iter().enumerate() {
        let header = message("execute_request", json!({})).1.header;
        let frames = signed(&client, [&serde_json::to_string(&header).unwrap(), "{}", "{}", content]);
        client.shell.socket.send(frames).await.unwrap();
        let outcome = client.outcome(&header.msg_id).await;
        assert_eq!(
            (&outcome.reply["status"], outcome.reply["execution_count"].as_u64()),
            (&json!("ok"), Some(i as u64 + 3))
        );
    }
    client.shut_down().await;
}

#[tokio::test]
async fn forged_replayed_and_malformed_messages_are_dropped() {
    let mut client = Client::start().await;
    let identity = zmq::peer_identity_for_session("a stranger").unwrap();
    let mut forger_info = client.info.clone();
    forger_info.key = "another key".into();
    let mut forger = zmq::create_client_shell_connection_with_identity(&forger_info, "forger", identity).await.unwrap();
    forger.send(message("execute_request", execute_content("value 1")).1).await.unwrap();
    forger_info.key = String::new();
    let mut unsigned = zmq::create_client_control_connection(&forger_info, "forger").await.unwrap();
    unsigned.send(message("shutdown_request", json!({ "restart": false })).1).await.unwrap();

    // Frames that are no message at all.
    for parts in [&["x"][..], &["<IDS|MSG>"], &["<IDS|MSG>", ""], &["<IDS|MSG>", "zz", "{}", "{}", "{}", "{}"]] {
        client.shell.socket.send(frames(parts)).await.unwrap();
        client.control.socket.send(frames(parts)).await.unwrap();
        client.stdin.socket.send(frames(parts)).await.unwrap();
    }

    // Messages signed by somebody who knows the key and not the protocol.
    let header = serde_json::to_string(&message("execute_request", json!({})).1.header).unwrap();
    let (code, deep) = (r#"{"code": "value 1"}"#, "[".repeat(100_000));
    for parts in [
        ["", "{}", "{}", code],
        ["{}", "{}", "{}", code],
        ["[1, 2]", "{}", "{}", code],
        [&header, "{}", "{}", ""],
        [&header, "{}", "{}", "{\"code\": "],
        [&header, "{}", "{}", &deep],
    ] {
        client.shell.socket.send(signed(&client, parts)).await.unwrap();
        client.control.socket.send(signed(&client, parts)).await.unwrap();
    }

    // A message that was changed on its way, or lost the end of its signature.
    let good = signed(&client, [&header, "{}", "{}", code]).into_vec();
    let text = |at: usize| std::str::from_utf8(&good[at]).unwrap().to_owned();
    let mut changed: Vec<String> = (0..good.len()).map(text).collect();
    changed[5] = r#"{"code": "value 2"}"#.into();
    let mut cut: Vec<String> = (0..good.len()).map(text).collect();
    cut[1].truncate(32);
    for parts in [changed, cut] {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        client.shell.socket.send(frames(&parts)).await.unwrap();
    }

    // A message recorded and sent again: the signature is the right one.
    let (id, once) = message("execute_request", execute_content("value 1"));
    let recorded = record(&client, once).await;
    client.shell.socket.send(recorded.clone()).await.unwrap();
    assert_eq!(client.outcome(&id).await.reply["execution_count"], 1);
    client.shell.socket.send(recorded).await.unwrap();
    let (id, once) = message("kernel_info_request", json!({}));
    let recorded = record(&client, once).await;
    client.control.socket.send(recorded.clone()).await.unwrap();
    assert_eq!(receive(&mut client.control).await.parent, id);
    client.control.socket.send(recorded).await.unwrap();

    // None of it ran: the next cell is the second, and the very next reply is to it.
    assert_eq!(client.execute("value 2").await.reply["execution_count"], 2);
    client.shut_down().await;
}

fn frames(parts: &[&str]) -> zeromq::ZmqMessage {
    let mut frames = zeromq::ZmqMessage::from(parts[0]);
    parts[1..].iter().for_each(|part| frames.push_back(part.as_bytes().to_vec().into()));
    frames
}

/// A message of these four frames, with the right signature.
fn signed(client: &Client, parts: [&str; 4]) -> zeromq::ZmqMessage {
    let signature = hmac::sign(client.shell.mac.as_ref().unwrap(), parts.concat().as_bytes());
    let signature = data_encoding::HEXLOWER.encode(signature.as_ref());
    frames(&[&["<IDS|MSG>", &signature], &parts[..]].concat())
}

/// The frames of a message as they would go over the wire.
async fn record(client: &Client, message: jupyter_protocol::JupyterMessage) -> zeromq::ZmqMessage {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/tap", folder.path().display());
    let mut tap = zeromq::PullSocket::new();
    tap.bind(&endpoint).await.unwrap();
    let mut push = zmq::Connection::new(zeromq::PushSocket::new(), &client.info.key, &client.session);
    push.socket.connect(&endpoint).await.unwrap();
    push.send(message).await.unwrap();
    zeromq::SocketRecv::recv(&mut tap).await.unwrap()
}

#[tokio::test]
async fn shutdown_ends_a_running_cell_and_the_cells_behind_it() {
    let mut client = Client::start().await;
    let cell = client.send_shell("execute_request", execute_content("print started\nspin")).await;
    client.send_shell("execute_request", execute_content("spin")).await;
    while client.iopub_of(&cell).await.kind != "stream" {}
    let reply = client.control("shutdown_request", json!({ "restart": true })).await;
    assert_eq!(reply.content, json!({ "status": "ok", "restart": true }));
    // Everybody else is told as well.
    while client.iopub().await.kind != "shutdown_reply" {}
    client.gone().await;
}

#[tokio::test]
async fn shutdown_on_shell_works_as_it_once_did() {
    let mut client = Client::start().await;
    let id = client.send_shell("shutdown_request", json!({ "restart": false })).await;
    let reply = receive(&mut client.shell).await;
    assert_eq!((reply.parent, reply.kind.as_str()), (id, "shutdown_reply"));
    client.gone().await;
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let mut info = client::tcp();
    info.key = String::new();
    let mut client = Client::start_thread(tempfile::tempdir().unwrap(), info).await;
    assert_eq!(client.execute("value 1").await.reply["status"], "ok");
    client.shut_down().await;
}

#[cfg(unix)]
#[tokio::test]
async fn sockets_that_a_killed_kernel_left_behind_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let info = client::ipc(&folder);
    for port in client::ports(&info) {
        drop(std::os::unix::net::UnixListener::bind(format!("{}-{port}", info.ip)).unwrap());
    }
    let mut client = Client::start_thread(folder, info).await;
    assert_eq!(client.execute("value 1").await.reply["status"], "ok");
    client.shut_down().await;
}

#[test]
fn a_bad_connection_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connection.json");
    let run = || percept_kernel::run(&path, toy::Toy::default).unwrap_err().to_string();
    assert!(run().starts_with("cannot read "));
    std::fs::write(&path, "{}").unwrap();
    assert!(run().contains("is not a Jupyter connection file: missing field"));
}
