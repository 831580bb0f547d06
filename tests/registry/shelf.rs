//! A registry that gives out whatever was put there, and remembers how it was asked.
//!
//! `docker-registry` looks at what is pushed and takes no image that it finds odd.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::image::{Image, digest};

/// The parts of an image, whatever they are.
#[derive(Default, Clone)]
pub struct Stock {
    /// By tag or digest, each with its type.
    manifests: Vec<(String, Vec<u8>, String)>,
    blobs: Vec<Arc<Vec<u8>>>,
}

impl Stock {
    /// An image as it is.
    pub fn of(image: &Image) -> Self {
        let mut stock = Self::default();
        image.parts().into_iter().for_each(|blob| stock.blobs.push(blob));
        for (bytes, media_type) in image.manifests() {
            stock.manifests.push((digest(&bytes), bytes, media_type));
        }
        let (bytes, media_type) = image.target();
        stock.tagged(bytes, &media_type)
    }

    /// With another document that the tag stands for.
    pub fn tagged(mut self, bytes: Vec<u8>, media_type: &str) -> Self {
        self.manifests.retain(|(reference, ..)| reference != TAG);
        self.manifests.push((digest(&bytes), bytes.clone(), media_type.to_owned()));
        self.manifests.push((TAG.to_owned(), bytes, media_type.to_owned()));
        self
    }

    /// With the parts of another one, whose tag is not taken over.
    pub fn and(mut self, other: &Self) -> Self {
        self.blobs.extend(other.blobs.iter().cloned());
        self.manifests.extend(other.manifests.iter().filter(|(tag, ..)| tag != TAG).cloned());
        self
    }

    /// With one more blob.
    pub fn blob(mut self, bytes: Vec<u8>) -> Self {
        self.blobs.push(Arc::new(bytes));
        self
    }

    /// Without a blob.
    pub fn without(mut self, gone: &str) -> Self {
        self.blobs.retain(|blob| digest(blob) != gone);
        self
    }

    /// The document that the tag stands for, and its type.
    pub fn target(&self) -> (&[u8], &str) {
        let (_, bytes, media_type) =
            self.manifests.iter().find(|(reference, ..)| reference == TAG).unwrap();
        (bytes, media_type)
    }
}

/// The tag of every image here.
pub const TAG: &str = "1";

/// A request, as far as somebody may want to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The name of the server that was asked.
    pub server: &'static str,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In small letters, in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// The certificate that the client has shown.
    pub certificate: Option<String>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Vec<&str> {
        let of = self.headers.iter().filter(|(key, _)| key == name);
        of.map(|(_, value)| value.as_str()).collect()
    }
}

/// The words of a client that has neither a user nor a password.
pub const NOBODY: &str = "Basic Og==";

/// The secret that a server wants to be told before it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Open,
    /// Any user with any password.
    Basic,
    /// A token, which the server gives to everybody who asks.
    Bearer,
}

/// The things of a server, by path.
type Shared<T> = Arc<Mutex<HashMap<String, T>>>;

#[derive(Clone)]
pub struct Shelf {
    pub address: String,
    name: &'static str,
    lock: Lock,
    seen: Arc<Mutex<Vec<Request>>>,
    manifests: Shared<(Vec<u8>, String)>,
    blobs: Shared<Arc<Vec<u8>>>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Shelf {
    pub fn start() -> Self {
        Self::with("shelf", Lock::Open, None, "127.0.0.1:0")
    }

    pub fn with(
        name: &'static str,
        lock: Lock,
        tls: Option<Arc<rustls::ServerConfig>>,
        place: &str,
    ) -> Self {
        let listener = TcpListener::bind(place).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shelf = Self {
            address,
            name,
            lock,
            seen: Arc::default(),
            manifests: Arc::default(),
            blobs: Arc::default(),
            tls,
        };
        let accepting = shelf.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shelf = accepting.clone();
                thread::spawn(move || shelf.serve(stream));
            }
        });
        shelf
    }

    /// Put an image there under a path, and give its name with this registry.
    pub fn put(&self, path: &str, stock: Stock) -> String {
        for (reference, bytes, media_type) in stock.manifests {
            let key = format!("{path}/manifests/{reference}");
            self.manifests.lock().unwrap().insert(key, (bytes, media_type));
        }
        let mut blobs = self.blobs.lock().unwrap();
        blobs.extend(
            stock.blobs.into_iter().map(|blob| (format!("{path}/blobs/{}", digest(&blob)), blob)),
        );
        format!("{}/{path}:{TAG}", self.address)
    }

    /// The requests since the last time.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut first = [0];
        stream.peek(&mut first).ok()?;
        // A client that wants to speak TLS begins so.
        match (&self.tls, first[0] == 0x16) {
            (Some(tls), true) => {
                let connection = rustls::ServerConnection::new(Arc::clone(tls)).ok()?;
                let mut stream = rustls::StreamOwned::new(connection, stream);
                stream.flush().ok()?;
                let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
                let shown = shown.map(|certificate| digest(certificate));
                self.answer_all(stream, shown.as_deref())
            }
            (None, false) => self.answer_all(stream, None),
            _ => stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok(),
        }
    }

    fn answer_all(&self, stream: impl Read + Write, certificate: Option<&str>) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = self.read(&mut stream, certificate)?;
            self.seen.lock().unwrap().push(request.clone());
            let answer = self.answer(&request);
            stream.get_mut().write_all(&answer).ok()?;
            stream.get_mut().flush().ok()?;
        }
    }

    fn read(&self, stream: &mut impl BufRead, certificate: Option<&str>) -> Option<Request> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
            .collect();
        let is_in_parts = headers.iter().any(|(_, value)| value == "chunked");
        let length = headers.iter().find(|(key, _)| key == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        stream.read_exact(&mut body).ok()?;
        if is_in_parts {
            while let Some(part) = part(stream)? {
                body.extend_from_slice(&part);
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let certificate = certificate.map(str::to_owned);
        Some(Request { server: self.name, method, target, headers, certificate, body })
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let path = request.target.split('?').next().unwrap_or_default();
        let is_head = request.method == "HEAD";
        if path == "/token" {
            let token = br#"{"token":"a","access_token":"a"}"#;
            return reply("200 OK", "Content-Type: application/json\r\n", token, is_head);
        }
        let said = request.header("authorization");
        if self.lock != Lock::Open && said.iter().all(|said| *said == NOBODY) {
            let challenge = match self.lock {
                Lock::Basic => "Basic realm=\"shelf\"".to_owned(),
                _ => format!("Bearer realm=\"http://{}/token\",service=\"shelf\"", self.address),
            };
            return reply(
                "401 Unauthorized",
                &format!("WWW-Authenticate: {challenge}\r\n"),
                b"",
                is_head,
            );
        }
        let Some((_, path)) = path.split_once("/v2/") else {
            return reply("404 Not Found", "", b"", is_head);
        };
        if path.is_empty() {
            return reply("200 OK", "", b"{}", is_head);
        }
        if let Some((bytes, media_type)) = self.manifests.lock().unwrap().get(path) {
            let kind = if media_type.is_empty() {
                String::new()
            } else {
                format!("Content-Type: {media_type}\r\n")
            };
            let headers = format!("{kind}Docker-Content-Digest: {}\r\n", digest(bytes));
            return reply("200 OK", &headers, bytes, is_head);
        }
        let blob = self.blobs.lock().unwrap().get(path).cloned();
        match blob {
            Some(blob) => reply("200 OK", "Content-Type: application/octet-stream\r\n", &blob, is_head),
            None => reply("404 Not Found", "", b"", is_head),
        }
    }
}

/// A part of a body that does not tell its length; the last is none.
fn part(stream: &mut impl BufRead) -> Option<Option<Vec<u8>>> {
    let mut size = String::new();
    stream.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    // Each part ends with a line of its own.
    let mut part = vec![0; size + 2];
    stream.read_exact(&mut part).ok()?;
    part.truncate(size);
    Some((size > 0).then_some(part))
}

fn reply(status: &str, headers: &str, body: &[u8], is_head: bool) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    let mut answer = head.into_bytes();
    if !is_head {
        answer.extend_from_slice(body);
    }
    answer
}
