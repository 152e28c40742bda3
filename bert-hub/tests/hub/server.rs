//! A hub on loopback: a listener that answers each request with what a closure makes of it, and a model
//! with its files, hashes and list as the real hub gives them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that a Range header asks for.
    pub fn start(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// What goes over the wire. The declared length is that of the body unless a header says otherwise.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None }
    }

    pub fn redirect(target: impl Into<String>) -> Self {
        Self::new(302, "").with("location", target)
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }
}

pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, stop) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (log, stopped, answer) = (requests.clone(), stop.clone(), Arc::new(answer));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (log, answer) = (log.clone(), answer.clone());
                thread::spawn(move || {
                    // A client that hangs up is part of the game.
                    let _ = stream.and_then(|stream| serve(stream, &log, &*answer));
                });
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How often a path that ends so was asked for.
    pub fn count(&self, ending: &str) -> usize {
        self.requests().iter().filter(|request| request.path.ends_with(ending)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Reply,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let request = Request { method, path, headers };
    log.lock().unwrap().push(request.clone());

    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {} Test\r\nconnection: close\r\n", reply.status);
    let framed = |(name, _): &(String, String)| name == "content-length" || name == "transfer-encoding";
    if !reply.headers.iter().any(framed) {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut out = &stream;
    out.write_all(head.as_bytes())?;
    out.write_all(b"\r\n")?;
    if request.method != "HEAD" {
        out.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
    }
    out.flush()
}

/// A model on the hub.
#[derive(Clone)]
pub struct Model {
    pub id: &'static str,
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Model {
    /// The model `owner/tiny`, whose files hold their own names, but for a usual `config.json`; the weights are
    /// long enough to be cut.
    pub fn new(names: &[&str]) -> Self {
        let content = |name: &str| {
            if is_large(name) {
                name.bytes().cycle().take(300_000).collect()
            } else if name == "config.json" {
                br#"{"model_type": "bert"}"#.to_vec()
            } else {
                name.as_bytes().to_vec()
            }
        };
        let files = names.iter().map(|name| ((*name).to_owned(), content(name))).collect();
        Self { id: "owner/tiny", commit: COMMIT.to_owned(), files }
    }

    /// A usual BERT and the things beside it that nobody needs.
    pub fn usual() -> Self {
        Self::new(&[
            ".gitattributes",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ])
    }

    pub fn etag(&self, name: &str) -> String {
        let hash = hex(&Sha256::digest(&self.files[name]));
        // git's SHA-1 is only a name to the cache, so any 40 digits stand in for it.
        if is_large(name) { hash } else { hash[..40].to_owned() }
    }

    /// The answer of `/api/models/<id>/revision/<revision>?blobs=true`.
    pub fn listing(&self) -> Value {
        let siblings = self.files.iter().map(|(name, content)| {
            if is_large(name) {
                let lfs = json!({"sha256": self.etag(name), "size": content.len(), "pointerSize": 134});
                json!({"rfilename": name, "size": content.len(), "blobId": "f".repeat(40), "lfs": lfs})
            } else {
                json!({"rfilename": name, "size": content.len(), "blobId": self.etag(name)})
            }
        });
        json!({"id": self.id, "sha": self.commit, "siblings": siblings.collect::<Vec<_>>()})
    }

    /// The name of the file that a request is for.
    pub fn file_of<'a>(&self, request: &'a Request) -> Option<&'a str> {
        request.path.strip_prefix(&format!("/{}/resolve/{}/", self.id, self.commit))
    }

    /// What the real hub answers.
    pub fn answer(&self, request: &Request) -> Reply {
        if request.path.starts_with(&format!("/api/models/{}/revision/", self.id)) {
            return Reply::new(200, self.listing().to_string());
        }
        match self.file_of(request).filter(|name| self.files.contains_key(*name)) {
            Some(name) => self.send(name, request),
            None => Reply::new(404, "Not Found").with("x-error-code", "RepoNotFound"),
        }
    }

    /// A file, from the byte on that is asked for.
    pub fn send(&self, name: &str, request: &Request) -> Reply {
        let (content, start) = (&self.files[name], request.start());
        let reply = Reply::new(if start > 0 { 206 } else { 200 }, &content[start..])
            .with("etag", format!("\"{}\"", self.etag(name)));
        if start == 0 {
            return reply;
        }
        reply.with("content-range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
    }

    pub fn serve(self) -> Server {
        Server::start(move |request| self.answer(request))
    }
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".onnx", ".msgpack"].iter().any(|ending| name.ends_with(ending))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
