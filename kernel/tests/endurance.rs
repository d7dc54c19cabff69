//! What a kernel has to stand: many cells, much output, subscribers that do not take it, interrupts at any moment, and
//! an end after which nothing is left. Nothing here depends on how long something takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
#[path = "../examples/toy.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod toy;

use std::cell::Cell;
use std::process::Stdio;
use std::time::{Duration, Instant};

use client::{Client, Message, execute_content, receive};
use jupyter_zmq_client::ClientIoPubConnection;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

/// Not a test: the process in which a kernel runs for the others.
#[test]
fn kernel_process() {
    client::kernel_process();
}

/// What a cell prints that is to be more than all queues together can hold.
const KILOBYTES: usize = 100 << 10;

#[tokio::test]
async fn ten_thousand_cells_in_a_row_lose_nothing_and_mix_nothing_up() {
    let mut client = Client::start_process().await;
    let mut times = Vec::new();
    for i in 0..10_000 {
        let started = Instant::now();
        let outcome = client.execute(&format!("print {i}\nvalue {i}")).await;
        times.push(started.elapsed());
        assert_eq!(outcome.kinds(), ["execute_input", "stream", "execute_result"]);
        assert_eq!(outcome.printed("stdout"), format!("{i}\n"));
        assert_eq!(outcome.outputs[2].content["data"]["text/plain"], i.to_string());
        assert_eq!(outcome.reply["execution_count"], i + 1);
    }
    times.sort();
    println!("from a request to its reply and idle: median {:?}, 99 % below {:?}", times[5_000], times[9_900]);
    client.shut_down().await;
}

#[tokio::test]
async fn cells_sent_all_at_once_lose_nothing_and_mix_nothing_up() {
    let mut client = Client::start_process().await;
    let mut ids = Vec::new();
    for i in 0..2_000 {
        ids.push(client.send_shell("execute_request", execute_content(&format!("print {i}\nvalue {i}"))).await);
    }
    // Without skipping anything: between one cell's busy and its idle there is nothing of any other.
    for (i, id) in ids.iter().enumerate() {
        let expected = [
            ("status", "/execution_state", json!("busy")),
            ("execute_input", "/execution_count", json!(i + 1)),
            ("stream", "/text", json!(format!("{i}\n"))),
            ("execute_result", "/data/text~1plain", json!(i.to_string())),
            ("status", "/execution_state", json!("idle")),
        ];
        for (kind, member, value) in expected {
            let message = client.iopub().await;
            assert_eq!((message.kind.as_str(), &message.parent), (kind, id));
            assert_eq!(message.content.pointer(member), Some(&value));
        }
        let reply = receive(&mut client.shell).await;
        assert_eq!((&reply.parent, &reply.content["execution_count"]), (id, &json!(i + 1)));
    }
    client.shut_down().await;
}

#[tokio::test]
async fn a_slow_subscriber_gets_all_of_a_hundred_megabytes_in_little_memory() {
    let mut client = Client::start_process().await;
    // Others come and go meanwhile, and some of them are no subscribers.
    let leaving = client.subscribe().await;
    let mut stranger = tokio::net::TcpStream::connect(("127.0.0.1", client.info.iopub_port)).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();

    let cell = client.send_shell("execute_request", execute_content(&format!("pour {KILOBYTES}"))).await;
    let mut leaving = Some(leaving);
    let poured = poured(&mut client.iopub, &cell, async |messages| {
        if messages == 100 {
            leaving.take();
        }
        tokio::time::sleep(Duration::from_millis(u64::from(messages % 4 == 0))).await;
    });
    assert_eq!(poured.await, KILOBYTES);
    assert_eq!(receive(&mut client.shell).await.content["status"], "ok");
    // The outbox, one queue, and what is being made of it.
    if let Some(peak) = peak_memory(client.process().id()) {
        println!("100 MB were printed in {peak} MB");
        assert!(peak < 80, "{peak} MB");
    }
    client.shut_down().await;
}

#[tokio::test]
async fn a_stalled_subscriber_takes_nothing_from_anybody() {
    let mut client = Client::start_process().await;
    let mut stalled = client.subscribe().await;
    let cell = client.send_shell("execute_request", execute_content(&format!("pour {KILOBYTES}\nvalue 1"))).await;
    let done = Cell::new(false);
    let Client { control, heartbeat, iopub, .. } = &mut client;
    let asking = async {
        let mut asked = 0;
        while !done.get() {
            let (id, request) = client::message("kernel_info_request", json!({}));
            control.send(request).await.unwrap();
            assert_eq!(receive(control).await.parent, id);
            heartbeat.single_heartbeat().await.unwrap();
            asked += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        asked
    };
    let taking = async {
        let poured = poured(iopub, &cell, async |_| {}).await;
        done.set(true);
        poured
    };
    // The other subscriber goes on, and is not cut off itself: it gets the whole of it, once.
    let (poured, asked) = tokio::join!(taking, asking);
    assert_eq!(poured, KILOBYTES);
    println!("control and heartbeat answered {asked} times during the stall");
    assert_eq!(receive(&mut client.shell).await.content["status"], "ok");
    assert_eq!(client.execute("value 2").await.kinds(), ["execute_input", "execute_result"]);

    // When it wakes up it finds what it was sent before it was cut off, and connects again.
    while zeromq::SocketRecv::recv(&mut stalled.socket).await.is_ok() {}
    assert_eq!(receive(&mut stalled).await.kind, "iopub_welcome");
    let cell = client.send_shell("execute_request", execute_content("value 3")).await;
    while !is_idle(&receive(&mut stalled).await, &cell) {}
    client.shut_down().await;
}

#[tokio::test]
async fn a_client_that_never_takes_outputs_gets_its_replies() {
    let mut client = Client::start_process().await;
    for i in 0..100 {
        let outcome = client.send_shell("execute_request", execute_content("pour 512")).await;
        let reply = receive(&mut client.shell).await;
        assert_eq!((reply.parent, &reply.content["execution_count"]), (outcome, &json!(i + 1)));
    }
    client.shut_down().await;
}

#[tokio::test]
async fn interrupts_at_any_moment_leave_every_variable_as_it_was() {
    let mut client = Client::start().await;
    let (mut count, mut interrupted) = (0, 0);
    for round in 0..200 {
        // Long enough to be interrupted somewhere within, or over before that.
        let times = if random(4) == 0 { 1 } else { 100_000 };
        let code = format!("let v{round} {round}\ncount c {times}");
        let cell = client.send_shell("execute_request", execute_content(&code)).await;
        // No interrupt before the cell: it would rightly be ignored.
        assert_eq!(client.iopub_of(&cell).await.content["execution_state"], "busy");
        tokio::time::sleep(Duration::from_micros(random(5_000))).await;
        assert_eq!(client.control("interrupt_request", json!({})).await.content, json!({ "status": "ok" }));
        let reply = receive(&mut client.shell).await;
        assert_eq!(reply.parent, cell);

        // The next cell is not hit, however late the interrupt came, and finds all there is.
        let says = (0..=round).map(|i| format!("say v{i}\n"));
        let code: String = ["count c 1\n".into()].into_iter().chain(says).chain(["say c".into()]).collect();
        let outcome = client.execute(&code).await;
        assert_eq!(outcome.reply["status"], "ok", "round {round}: {}", outcome.reply);
        let printed = outcome.printed("stdout");
        let mut lines = printed.lines();
        assert!((0..=round).all(|i| lines.next() == Some(&i.to_string())));
        let counted = lines.next().unwrap().parse::<u64>().unwrap() - count - 1;
        count += counted + 1;
        if reply.content["status"] == "ok" {
            assert_eq!(counted, times);
        } else {
            assert_eq!(reply.content["ename"], "Interrupted");
            assert!(counted < times);
            interrupted += 1;
        }
    }
    println!("{interrupted} of 200 were interrupted while they ran, after {count} steps in all");
    client.shut_down().await;
}

#[tokio::test]
async fn nothing_is_left_after_shutdown_or_restart_whatever_the_cell_does() {
    for (request, cell) in [("idle", "print x"), ("restart", "spin"), ("stubborn", "hang"), ("asking", "ask ?")] {
        let mut client = Client::start_process().await;
        let id = client.send_shell("execute_request", execute_content(cell)).await;
        assert_eq!(client.iopub_of(&id).await.content["execution_state"], "busy");
        let restart = request == "restart";
        let reply = client.control("shutdown_request", json!({ "restart": restart })).await;
        assert_eq!(reply.content, json!({ "status": "ok", "restart": restart }), "{request}");
        client.gone().await;
    }
}

#[tokio::test]
async fn a_kernel_can_be_started_on_the_ports_of_the_one_before_it() {
    let mut client = Client::start_process().await;
    for i in 0..3 {
        assert_eq!(client.execute("value 1").await.reply["execution_count"], 1, "start {i}");
        client = client.restart().await;
    }
    client.shut_down().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_terminated_kernel_frees_its_ports() {
    let mut client = Client::start_process().await;
    client.send_shell("execute_request", execute_content("spin")).await;
    let pid = client.process().id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    client.process().wait().unwrap();
    client::assert_free(&client.info);
}

#[cfg(unix)]
#[tokio::test]
async fn a_kernel_ends_when_whoever_started_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let info = client::tcp();
    let file = client::connection_file(&folder, &info);
    let kernel = client::kernel_command(&file);
    let mut parent = std::process::Command::new("sh");
    parent.args(["-c", "\"$@\" & wait", "sh"]).arg(kernel.get_program()).args(kernel.get_args());
    parent.envs(kernel.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdout(Stdio::null());
    parent.env("JPY_PARENT_PID", std::process::id().to_string());
    let mut parent = client::Process(parent.spawn().unwrap());
    let mut iopub = jupyter_zmq_client::create_client_iopub_connection(&info, "", "session").await.unwrap();
    assert_eq!(receive(&mut iopub).await.kind, "iopub_welcome");
    parent.0.kill().unwrap();
    parent.0.wait().unwrap();
    client::until(|| client::are_free(&info)).await;
}

#[tokio::test]
async fn strangers_on_its_ports_do_not_disturb_a_kernel() {
    let mut client = Client::start_process().await;
    let mut strangers = Vec::new();
    for port in client::ports(&client.info) {
        for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 200], &[0; 4096]] {
            let mut stranger = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // It may already have been turned away.
            let _ = stranger.write_all(bytes).await;
            strangers.push(stranger);
        }
    }
    assert_eq!(client.execute("value 1").await.kinds(), ["execute_input", "execute_result"]);
    client.heartbeat.single_heartbeat().await.unwrap();
    drop(strangers);
    assert_eq!(client.execute("value 1").await.kinds(), ["execute_input", "execute_result"]);
    client.shut_down().await;
}

/// Takes the output of a cell that pours, and says how many lines came, each in its place. `pause` gets the number of
/// messages so far.
async fn poured(iopub: &mut ClientIoPubConnection, cell: &str, mut pause: impl AsyncFnMut(usize)) -> usize {
    let (mut lines, mut messages, mut part) = (0, 0, String::new());
    loop {
        let message = receive(iopub).await;
        if message.parent != cell {
            // Of questions on control that were asked meanwhile.
            assert_eq!(message.kind, "status");
            continue;
        }
        if is_idle(&message, cell) {
            assert!(part.is_empty());
            return lines;
        }
        if message.kind == "stream" {
            messages += 1;
            part += message.content["text"].as_str().unwrap();
            let whole = part.rfind('\n').map_or(0, |end| end + 1);
            for line in part[..whole].lines() {
                assert_eq!((line.len(), line.trim_start().parse()), (1023, Ok(lines)));
                lines += 1;
            }
            part.drain(..whole);
        }
        pause(messages).await;
    }
}

fn is_idle(message: &Message, cell: &str) -> bool {
    message.parent == cell && message.content["execution_state"] == "idle"
}

/// The most memory that a process has taken, in megabytes.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? >> 10)
}

/// A number below `most`.
fn random(most: u64) -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % most
}

#[tokio::test]
async fn a_flood_of_text_arrives_whole_and_in_few_messages() {
    let mut client = Client::start().await;
    let outcome = client.execute("flood 200000\nvalue done").await;
    let expected: String = (0..200_000).map(|i| format!("line {i}\n")).collect();
    assert!(outcome.printed("stdout") == expected);
    assert_eq!(outcome.outputs.last().unwrap().kind, "execute_result");
    assert!(outcome.outputs.len() < 2000, "{} messages", outcome.outputs.len());
    client.shut_down().await;
}

#[tokio::test]
async fn a_client_may_wait_for_its_reply_before_it_takes_the_outputs() {
    let mut client = Client::start().await;
    let id = client.send_shell("execute_request", execute_content("flood 200000")).await;
    assert_eq!(receive(&mut client.shell).await.content["status"], "ok");
    let outputs = client.outputs(&id).await;
    let text: usize = outputs.iter().filter_map(|message| message.content["text"].as_str()).map(str::len).sum();
    assert_eq!(text, (0..200_000).map(|i| format!("line {i}\n").len()).sum::<usize>());
    client.shut_down().await;
}

#[tokio::test]
async fn many_cells_in_a_row_lose_nothing() {
    let mut client = Client::start().await;
    let mut ids = Vec::new();
    for i in 0..500 {
        ids.push(client.send_shell("execute_request", execute_content(&format!("print {i}\nvalue {i}"))).await);
    }
    for (i, id) in ids.iter().enumerate() {
        let outcome = client.outcome(id).await;
        assert_eq!(outcome.kinds(), ["execute_input", "stream", "execute_result"]);
        assert_eq!(outcome.printed("stdout"), format!("{i}\n"));
        assert_eq!(outcome.reply["execution_count"], i + 1);
    }
    client.shut_down().await;
}
