//! Real connections: slow ones, broken ones, and the end of the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bert_server::{Address, Bound, Options, Server, ServerError};
use serde_json::json;

use crate::common::server;

pub struct Running {
    pub address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Running {
    pub fn new(options: Options) -> Self {
        Self::of(server(options, 4096))
    }

    pub fn of(server: Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, bound) = mpsc::channel();
        let own = stop.clone();
        let thread = thread::spawn(move || {
            let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
            server.run(&address, Duration::from_secs(20), &own, |bound| told.send(bound.clone()).unwrap())
        });
        let (Bound::Tcp(address) | Bound::Tls(address)) = bound.recv().unwrap() else {
            panic!("a port was asked for")
        };
        Self { address, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    pub fn ask(&self, path: &str, body: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(post(path, body).as_bytes()).unwrap();
        read(stream)
    }

    /// The number of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let mut stream = self.connect();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let text = read(stream);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    }

    pub fn end(mut self) -> Duration {
        let started = Instant::now();
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap().unwrap();
        started.elapsed()
    }
}

pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

fn read(mut stream: TcpStream) -> String {
    let mut reply = vec![];
    // A server that closes early has answered before.
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn a_slow_sender_is_refused_and_holds_up_nobody() {
    let options = Options { timeout: Duration::from_secs(5), max_concurrent: 1, ..Options::default() };
    let server = Running::new(options);
    let mut slow = server.connect();
    slow.write_all(&post("/embed", "{\"inputs\": \"good\"}").as_bytes()[..120]).unwrap();
    let mut busy = String::new();
    for _ in 0..100 {
        busy = server.ask("/embed", "{\"inputs\": \"good\"}");
        if busy.starts_with("HTTP/1.1 429") {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    // It holds the one place that there is, and only until its time is over.
    assert!(busy.contains("429") && busy.contains("retry-after: 1"), "{busy}");
    assert!(read(slow).starts_with("HTTP/1.1 504"));
    assert!(server.ask("/embed", "{\"inputs\": \"good\"}").starts_with("HTTP/1.1 200"));
    server.end();
}

#[test]
fn nonsense_and_broken_connections_harm_nobody() {
    let server = Running::new(Options::default());
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0",
        b"POST /embed HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let reply = read(stream);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400"), "{reply}");
    }
    let mut smuggled = server.connect();
    smuggled.write_all(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx").unwrap();
    let _ = smuggled.shutdown(Shutdown::Write);
    assert!(!read(smuggled).starts_with("HTTP/1.1 200"));
    // Half of a body, then the end of it.
    let mut half = server.connect();
    half.write_all(&post("/embed", "{\"inputs\": \"good\"}").as_bytes()[..120]).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert!(!read(half).starts_with("HTTP/1.1 200"));
    assert!(server.ask("/embed", "{\"inputs\": \"good\"}").starts_with("HTTP/1.1 200"));
    server.end();
}

#[test]
fn what_a_client_asked_that_went_away_is_not_computed() {
    let options = Options { max_client_batch: 100_000, max_body: 64 << 20, ..Options::default() };
    let server = Running::new(options);
    let texts = vec!["the bank of the river is good and not bad ".repeat(5); 50_000];
    let mut stream = server.connect();
    stream.write_all(post("/embed", &json!({"inputs": texts}).to_string()).as_bytes()).unwrap();
    while server.metric("bert_in_flight") == 0.0 {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(200));
    drop(stream);
    let started = Instant::now();
    while server.metric("bert_in_flight") > 0.0 || server.metric("te_queue_size") > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(30), "it is still being worked on");
        thread::sleep(Duration::from_millis(20));
    }
    let computed = server.metric("bert_sequences_total{model=\"words\"}");
    assert!(computed < 50_000.0, "{computed}");
    server.end();
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let server = Running::new(Options { max_client_batch: 5_000, ..Options::default() });
    let texts = vec!["the bank of the river"; 3_000];
    let mut stream = server.connect();
    stream.write_all(post("/embed", &json!({"inputs": texts}).to_string()).as_bytes()).unwrap();
    while server.metric("bert_in_flight") == 0.0 {
        thread::sleep(Duration::from_millis(2));
    }
    let address = server.address;
    let reader = thread::spawn(move || read(stream));
    assert!(server.end() < Duration::from_secs(20));
    let reply = reader.join().unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("]]"), "{}", &reply[..200.min(reply.len())]);
    assert!(TcpStream::connect(address).is_err(), "nothing listens any more");
}

#[test]
fn an_idle_connection_does_not_delay_the_end() {
    let server = Running::new(Options::default());
    let _idle = server.connect();
    assert!(server.ask("/embed", "{\"inputs\": \"good\"}").starts_with("HTTP/1.1 200"));
    assert!(server.end() < Duration::from_secs(5));
}

#[test]
fn beyond_this_machine_it_takes_a_key() {
    let run = |options: Options| {
        let address = Address::Tcp { host: "0.0.0.0".to_owned(), port: 0 };
        server(options, 16).run(&address, Duration::ZERO, &AtomicBool::new(true), |_| ())
    };
    assert!(matches!(run(Options::default()), Err(ServerError::NoKey { .. })));
    run(Options { insecure_no_key: true, ..Options::default() }).unwrap();
    run(Options { api_keys: vec!["secret".into()], ..Options::default() }).unwrap();
    let nowhere = Address::Tcp { host: "256.0.0.1".to_owned(), port: 1 };
    let error = server(Options::default(), 16).run(&nowhere, Duration::ZERO, &AtomicBool::new(true), |_| ());
    assert!(matches!(error, Err(ServerError::Listen { .. })));
}

#[cfg(unix)]
#[test]
fn a_unix_socket_answers_and_is_removed() {
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bert.sock");
    let stop = Arc::new(AtomicBool::new(false));
    let (told, bound) = mpsc::channel();
    let (own, address) = (stop.clone(), Address::Unix(path.clone()));
    let thread = thread::spawn(move || {
        server(Options::default(), 16).run(&address, Duration::from_secs(5), &own, |_| told.send(()).unwrap())
    });
    bound.recv().unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(post("/embed", "{\"inputs\": \"good\"}").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    stop.store(true, Ordering::Release);
    thread.join().unwrap().unwrap();
    assert!(!path.exists());
}
