//! The real server: its address, its answers, its end by a signal.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Tiny, bert, bert_with, command};

struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Running {
    /// Starts it on a free port and waits until it listens.
    fn new(args: &[&str]) -> Self {
        let mut command = command([&["serve", "--port", "0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            if let Some(address) = line.trim_end().strip_prefix("note: listening on http://") {
                break address.to_owned();
            }
            said.push_str(&line);
        };
        Self { child, stderr, address }
    }

    fn send(&self, path: &str, body: &Value, key: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.send(path, body, ""))
    }

    /// Whether a request is being worked on.
    #[cfg(unix)]
    fn is_busy(&self) -> bool {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let found = reply.lines().find_map(|line| line.strip_prefix("bert_in_flight "));
        found.expect("the metrics tell it").trim() != "0"
    }

    /// Ends it by a signal. Gives what it said and its exit status.
    #[cfg(unix)]
    fn end(mut self, signal: &str) -> (String, Option<i32>) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        assert_eq!(stdout, "", "data goes to clients");
        (said, self.child.wait().unwrap().code())
    }
}

/// What a test that failed has left behind.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut stream: TcpStream) -> (u16, Value) {
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{reply:?}"));
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[cfg(unix)]
#[test]
fn models_are_served_by_their_names_until_a_signal() {
    let (words, names) = (Tiny::new("BertForMaskedLM"), Tiny::new("BertForTokenClassification"));
    let named = format!("names={}", names.arg());
    let server = Running::new(&["--model", words.arg(), "--model", &named, "--log", "json"]);
    let text = json!({"text": "rome is [MASK]"});
    let alone = bert(["fill-mask", "-m", words.arg(), "--json", "rome is [MASK]"]).json();
    let (status, reply) = server.ask("/v1/fill-mask", &text);
    assert_eq!((status, &reply["answer"]), (200, &alone), "{reply}");
    assert_eq!(server.ask("/models/names", &json!({"inputs": "sarah connor"})).0, 200);
    assert_eq!(server.ask("/v1/answer", &json!({"question": "a", "context": "b"})).0, 404);
    let (said, code) = server.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["route"].as_str().unwrap(), line["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("/v1/{task}", 200), ("/models/{*path}", 200), ("/v1/{task}", 404)]);
    assert!(!said.contains("rome"), "texts of clients stay out of the log: {said}");
}

#[cfg(unix)]
#[test]
fn a_signal_lets_what_was_accepted_be_answered() {
    let model = Tiny::new("BertModel");
    let server = Running::new(&["--model", model.arg(), "--max-client-batch", "100000", "--log", "off"]);
    let texts = vec!["the room was empty and the day was empty"; 3000];
    let stream = server.send("/embed", &json!({"inputs": texts}), "");
    // Until it is being worked on, or is answered already.
    for _ in 0..2000 {
        if server.is_busy() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let reader = std::thread::spawn(move || read(stream));
    let started = Instant::now();
    let (said, code) = server.end("-INT");
    let (status, reply) = reader.join().unwrap();
    assert_eq!((status, reply.as_array().unwrap().len(), code), (200, 3000, Some(0)), "{said}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[cfg(unix)]
#[test]
fn a_hangup_loads_the_models_again() {
    let (model, other) =
        (Tiny::new("BertForTokenClassification"), Tiny::new("BertForSequenceClassification"));
    let server =
        Running::new(&["--model", &format!("model={}", model.arg()), "--log", "json", "--api-key", "secret"]);
    let entities = |server: &Running| read(server.send("/v1/entities", &json!({"text": "rome"}), "secret")).0;
    assert_eq!(entities(&server), 200);
    let hangup = |server: &Running| {
        let id = server.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    // A model that is damaged leaves the old one in its place.
    let config = std::fs::read(model.file("config.json")).unwrap();
    model.write("config.json", b"{}");
    hangup(&server);
    let reload = || read(server.send("/admin/reload", &json!({}), "secret"));
    let (status, reply) = reload();
    assert!(matches!(status, 429 | 500), "{reply}");
    assert_eq!(entities(&server), 200);
    // Another one does not.
    model.write("config.json", &config);
    for file in ["config.json", "model.safetensors"] {
        std::fs::rename(other.file(file), model.file(file)).unwrap();
    }
    hangup(&server);
    let started = Instant::now();
    while entities(&server) != 404 {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, reply) = read(server.send("/v1/sentiment", &json!({"text": "rome"}), "secret"));
    assert_eq!(status, 200, "{reply}");
    let (said, code) = server.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |part: &str| {
        events.iter().any(|line| line["event"].as_str().is_some_and(|event| event.contains(part)))
    };
    assert!(told("reload failed") && told("config.json") && told("reloaded in"), "{said}");
}

#[cfg(feature = "tls")]
#[test]
fn files_for_tls_are_told_of_at_the_start() {
    let model = Tiny::new("BertForSequenceClassification");
    let serve = |args: &[&str]| bert([&["serve", "--port", "0", "--model", model.arg()], args].concat());
    model.write("cert.pem", b"no certificate");
    let file = model.file("cert.pem");
    let file = file.to_str().unwrap();
    serve(&["--tls-cert", file, "--tls-key", file]).fails(&["cert.pem", "certificate", "PEM"]);
    serve(&["--tls-cert", "/nonexistent/cert.pem", "--tls-key", file]).fails(&["/nonexistent/cert.pem"]);
    serve(&["--tls-cert", file]).fails(&["--tls-key"]);
    serve(&["--tls-key", file]).fails(&["--tls-cert"]);
    #[cfg(target_os = "linux")]
    serve(&["--tls-cert", "/dev/zero", "--tls-key", file]).fails(&["/dev/zero", "1 MiB"]);
}

#[test]
fn keys_come_from_files_too() {
    let model = Tiny::new("BertForSequenceClassification");
    model.write("keys.txt", b"\n first \nsecond\n");
    let keys = model.file("keys.txt");
    let server =
        Running::new(&["--model", model.arg(), "--api-key-file", keys.to_str().unwrap(), "--log", "off"]);
    let body = json!({"text": "a"});
    let status = |key| read(server.send("/v1/sentiment", &body, key)).0;
    assert_eq!(["", "third", "first", "second"].map(status), [401, 401, 200, 200]);
    // A device has no end.
    #[cfg(target_os = "linux")]
    bert(["serve", "--model", model.arg(), "--api-key-file", "/dev/zero"]).fails(&["/dev/zero", "64 MiB"]);
}

#[test]
fn servers_that_should_not_start_do_not() {
    let model = Tiny::new("BertForSequenceClassification");
    let serve = |args: &[&str]| bert([&["serve", "--port", "0", "--model", model.arg()], args].concat());
    serve(&["--host", "0.0.0.0"]).fails(&["other machines", "--insecure-no-key"]);
    serve(&["--host", "256.1.1.1"]).fails(&["cannot listen on 256.1.1.1"]);
    serve(&["--tasks", "answer"]).fails(&["answer", "none of the tasks"]);
    serve(&["--tasks", "translate"]).fails(&["translate", "fill-mask"]);
    serve(&["--api-key", "a b"]).fails(&["API key"]);
    serve(&["--api-key-file", "/nonexistent/keys"]).fails(&["/nonexistent/keys"]);
    model.write("empty.txt", b"\n\n");
    serve(&["--api-key-file", model.file("empty.txt").to_str().unwrap()]).fails(&["empty.txt", "empty"]);
    serve(&["--model", model.arg()]).fails(&["two models"]);
    bert(["serve", "--model", "no=/nonexistent/model"]).fails(&["/nonexistent/model"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    bert(["serve", "--port", &port, "--model", model.arg()]).fails(&["cannot listen", &port]);
    let variables = [
        ("BERT_SERVE_HOST", OsStr::new("0.0.0.0")),
        ("BERT_SERVE_PORT", OsStr::new("0")),
        ("BERT_SERVE_MODEL", OsStr::new(model.arg())),
    ];
    bert_with(["serve"], &variables).fails(&["other machines"]);
}

#[test]
fn the_help_has_an_example() {
    let help = bert(["serve", "--help"]).ok();
    assert!(
        help.contains("curl") && help.contains("BERT_SERVE_API_KEY") && help.contains("--drain"),
        "{help}"
    );
}
