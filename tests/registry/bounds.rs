//! Registries and their authorities that send more than they should, or other than they said: nothing is read further
//! than it may be long, and what is declared is compared before anything is read for it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use drmaa2::registry::{Failure, Name, Registry, Settings};
use serde_json::json;

use super::image::{Image, Layer, digest};
use super::rig::{Held, Rig};
use super::shelf::{Shelf, Stock};

const MIB: usize = 1 << 20;
/// More than fits into the buffers of a connection and may be read.
const FEW: usize = 48 * MIB;
/// The end of an endless body, so that a test that fails does not hang.
const MANY: usize = 96 * MIB;

/// The body of an answer.
enum Body {
    /// This, with its length.
    Whole(Vec<u8>),
    /// This, and then more and more.
    Endless(&'static str),
    /// Nothing of the declared length.
    Declared(u64),
}

/// A server that answers as it likes.
struct Talker {
    address: String,
    /// Bytes of endless bodies that it got rid of.
    sent: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

type Reply = (&'static str, String, Body);

impl Talker {
    fn new(answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sent, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let talker = Self { address: address.clone(), sent: sent.clone(), asked: asked.clone() };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sent, asked) = (Arc::clone(&sent), Arc::clone(&asked));
                let (answer, address) = (Arc::clone(&answer), address.clone());
                thread::spawn(move || {
                    let path = path(&stream)?;
                    asked.fetch_add(1, Ordering::SeqCst);
                    reply(stream, answer(&address, &path), &sent)
                });
            }
        });
        talker
    }

    /// Let a client of it work.
    fn with<T>(&self, work: impl AsyncFnOnce(Registry) -> Result<T, Failure>) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join(self.address.replace(':', "_") + "_");
        std::fs::create_dir(&certs).unwrap();
        std::fs::write(certs.join("hosts.toml"), format!("server = 'http://{}'", self.address)).unwrap();
        let settings = Settings { certs_dir: dir.path().into(), ..Settings::default() };
        let name = Name::parse(&format!("{}/app:1", self.address)).unwrap();
        let done = runtime.block_on(async { work(Registry::of(name, &settings).await?).await });
        done.map_err(|failure| {
            assert!(!failure.passes, "{}", failure.error);
            failure.error.to_string()
        })
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

/// The path of a request, which is the only one of its connection.
fn path(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    head.split(' ').nth(1).map(str::to_owned)
}

fn reply(mut stream: TcpStream, (status, headers, body): Reply, sent: &AtomicUsize) -> Option<()> {
    let length = match &body {
        Body::Whole(bytes) => format!("Content-Length: {}", bytes.len()),
        Body::Declared(length) => format!("Content-Length: {length}"),
        Body::Endless(_) => "Transfer-Encoding: chunked".to_owned(),
    };
    let head = format!("HTTP/1.1 {status}\r\n{headers}{length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    match body {
        Body::Whole(bytes) => stream.write_all(&bytes).ok(),
        // Until the client has enough of waiting.
        Body::Declared(_) => path(&stream).map(drop),
        Body::Endless(begin) => {
            write!(stream, "{:x}\r\n{begin}\r\n", begin.len()).ok()?;
            let part = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while sent.fetch_add(0x10000, Ordering::SeqCst) < MANY {
                stream.write_all(part.as_bytes()).ok()?;
            }
            stream.write_all(b"0\r\n\r\n").ok()
        }
    }
}

fn plain(body: Body) -> Reply {
    ("200 OK", String::new(), body)
}

fn refused() -> Reply {
    ("404 Not Found", String::new(), Body::Whole(Vec::new()))
}

/// A registry whose authority answers so.
fn with_authority(body: impl Fn() -> Body + Send + Sync + 'static) -> Talker {
    Talker::new(move |address, path| match path {
        path if path.starts_with("/token") => plain(body()),
        _ => {
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\"\r\n");
            ("401 Unauthorized", challenge, Body::Whole(Vec::new()))
        }
    })
}

#[test]
fn a_token_without_an_end_is_not_read_to_its_end() {
    let talker = with_authority(|| Body::Endless("{\"token\":\""));
    let error = talker.with(async |registry| registry.target().await).unwrap_err();
    let expected =
        format!("authority http://{}: its answer is larger than 1048576 bytes", talker.address);
    assert_eq!(error, expected);
    assert!(talker.sent() < FEW, "{} bytes", talker.sent());
    let declared = with_authority(|| Body::Declared(433_000_000));
    let error = declared.with(async |registry| registry.target().await).unwrap_err();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
    let rubbish = with_authority(|| Body::Whole(b"<html>".to_vec()));
    let error = rubbish.with(async |registry| registry.target().await).unwrap_err();
    assert!(error.contains("its answer holds no token"), "{error}");
}

#[test]
fn a_manifest_without_an_end_is_not_read_to_its_end() {
    let talker = Talker::new(|_, _| plain(Body::Endless("{\"a\":\"")));
    let error = talker.with(async |registry| registry.target().await).unwrap_err();
    assert!(error.ends_with("app/manifests/1: it is too large for a manifest"), "{error}");
    assert!(talker.sent() < FEW, "{} bytes", talker.sent());
    let declared = Talker::new(|_, _| plain(Body::Declared(u64::MAX / 2)));
    let error = declared.with(async |registry| registry.target().await).unwrap_err();
    assert!(error.ends_with("app/manifests/1: it is too large for a manifest"), "{error}");
}

#[test]
fn a_refusal_without_an_end_is_one_all_the_same() {
    let talker = Talker::new(|_, _| ("404 Not Found", String::new(), Body::Endless("{\"errors\":[")));
    let error = talker.with(async |registry| registry.target().await).unwrap_err();
    assert!(error.ends_with("app/manifests/1: 404 Not Found"), "{error}");
    assert!(talker.sent() < FEW, "{} bytes", talker.sent());
}

#[test]
fn a_manifest_has_the_size_that_its_index_says() {
    let text = b"{\"schemaVersion\":2}";
    let (name, size) = (digest(text), text.len() as u64);
    let talker = Talker::new(move |_, path| match path.ends_with(&digest(text)) {
        true => plain(Body::Whole(text.to_vec())),
        false => refused(),
    });
    let manifest = |size: u64| talker.with(async |registry| registry.manifest(&name, size).await);
    assert_eq!(manifest(size).unwrap().bytes, text);
    let error = manifest(size + 1).unwrap_err();
    assert!(error.ends_with("it has 19 bytes, and its index says 20"), "{error}");
    let error = manifest(size - 1).unwrap_err();
    assert!(error.ends_with("it has more than the 18 bytes that its index says"), "{error}");
    let asked = talker.asked.load(Ordering::SeqCst);
    for huge in [8 * MIB as u64 + 1, u64::MAX] {
        let error = manifest(huge).unwrap_err();
        assert_eq!(error, format!("{name} of {huge} bytes is too large for a manifest"));
    }
    // Nobody was asked for these.
    assert_eq!(talker.asked.load(Ordering::SeqCst), asked);
}

#[test]
fn a_blob_of_another_size_is_refused_before_it_is_read() {
    let talker = Talker::new(|_, _| plain(Body::Declared(1000)));
    let read = |size: u64, offset: u64| {
        talker.with(async |registry| registry.blob("sha256:00", size, offset).next().await.map(drop))
    };
    for (size, offset) in [(1_000_000_000_000, 0), (999, 0), (2000, 1000)] {
        let error = read(size, offset).unwrap_err();
        let cause = format!("it has 1000 bytes, and the image's manifest says {size}");
        assert!(error.contains("app/blobs/sha256:00: ") && error.ends_with(&cause), "{error}");
    }
}

#[test]
fn an_image_with_too_many_layers_is_refused_before_any_work() {
    let Some(rig) = Rig::new() else { return };
    let shelf = Shelf::start();
    let layer = Layer::random(10);
    let of = |count: usize| Image::new(vec![layer.clone(); count], json!({}));
    for count in [501, 5000] {
        let name = shelf.put("many", Stock::of(&of(count)));
        let reason = rig.refused(&name);
        let cause = format!(
            "cannot pull image {name}: it has {count} layers, and more than 500 cannot be stacked"
        );
        assert_eq!(reason, cause);
        assert!(shelf.take().iter().all(|request| !request.target.contains("/blobs/")));
    }
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn a_configuration_that_is_said_to_be_huge_is_not_asked_for() {
    let Some(rig) = Rig::new() else { return };
    let shelf = Shelf::start();
    let image = Image::new(vec![Layer::busybox()], json!({}));
    let config = digest(image.config().as_bytes());
    let image = image.with_manifest(|manifest| manifest["config"]["size"] = json!(433_000_000));
    let name = shelf.put("huge", Stock::of(&image));
    let reason = rig.refused(&name);
    let cause = format!("{config} of 433000000 bytes is too large for a configuration");
    assert_eq!(reason, format!("cannot pull image {name}: {cause}"));
    assert!(shelf.take().iter().all(|request| !request.target.contains("/blobs/")));
    assert_eq!(rig.held(), Held::default());
}
