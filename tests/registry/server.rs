//! Debian's docker-registry on a port of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::image::Image;

/// `drmaa2:secret`
const HTPASSWD: &str = "drmaa2:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

pub struct Server {
    child: Child,
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
    dir: Arc<tempfile::TempDir>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), "", "")
    }

    pub fn with_password() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let file = dir.path().join("htpasswd");
        fs::write(&file, HTPASSWD).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}", file.display());
        Self::start_in(dir, &auth, "")
    }

    /// Another one on the same storage; this one is killed.
    pub fn killed_and_started_again(self) -> Self {
        Self::start_in(Arc::clone(&self.dir), "", "")
    }

    /// Another one on the same storage, which speaks TLS; gives its certificate as well.
    pub fn over_tls(&self) -> (Self, String) {
        self.over_tls_with("")
    }

    /// The same, for those alone who show a certificate; gives that and its key as well.
    pub fn over_tls_among_friends(&self) -> (Self, String, [String; 2]) {
        let friend = rcgen::generate_simple_self_signed(["friend".to_owned()]).unwrap();
        let file = self.dir.path().join("friend.pem");
        fs::write(&file, friend.cert.pem()).unwrap();
        let (server, certificate) = self.over_tls_with(&format!(", clientcas: ['{}']", file.display()));
        (server, certificate, [friend.cert.pem(), friend.signing_key.serialize_pem()])
    }

    fn over_tls_with(&self, more: &str) -> (Self, String) {
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (self.dir.path().join("cert.pem"), self.dir.path().join("key.pem"));
        fs::write(&certificate, signed.cert.pem()).unwrap();
        fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
        let (certificate, key) = (certificate.display(), key.display());
        let tls = format!(", tls: {{certificate: '{certificate}', key: '{key}'{more}}}");
        (Self::start_in(Arc::clone(&self.dir), "", &tls), signed.cert.pem())
    }

    fn start_in(dir: Arc<tempfile::TempDir>, auth: &str, tls: &str) -> Self {
        let file = dir.path().join("config.yml");
        let storage = dir.path().join("storage");
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '127.0.0.1:0'{tls}}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\n{auth}\n",
            storage.display()
        );
        fs::write(&file, config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry: scripts/test installs it");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, address) = mpsc::channel();
        read(child.stdout.take().unwrap(), Arc::clone(&log), None);
        read(child.stderr.take().unwrap(), Arc::clone(&log), Some(sender));
        let address = address.recv().unwrap_or_else(|_| panic!("no registry: {:?}", log.lock()));
        Self { child, address, log, dir }
    }

    /// Store an image and give its name with this registry.
    pub fn push(&self, image: &Image, name: &str) -> String {
        image.push(&format!("http://{}", self.address), name);
        format!("{}/{name}", self.address)
    }

    /// The number of times that a blob was asked for.
    pub fn downloads(&self, digest: &str) -> usize {
        self.requests(&format!("/blobs/{digest} "))
    }

    /// The number of requests for something whose path ends so.
    pub fn requests(&self, end: &str) -> usize {
        let is = |line: &&String| line.contains("\"GET ") && line.contains(end);
        self.log.lock().unwrap().iter().filter(is).count()
    }

    /// The path of a blob on its disk.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hash = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.dir.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hash[..2]).join(hash).join("data")
    }
}

/// A registry without TLS that passes on what it is asked, but sends who wants a blob to another one, which
/// speaks TLS. Gives its address.
pub fn sends_for_blobs(registry: &Server, elsewhere: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (registry, elsewhere) = (registry.address.clone(), elsewhere.address.clone());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (registry, elsewhere) = (registry.clone(), elsewhere.clone());
            thread::spawn(move || pass_on(stream, &registry, &elsewhere));
        }
    });
    address
}

/// One request for each connection.
fn pass_on(mut stream: TcpStream, registry: &str, elsewhere: &str) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let path = head.split(' ').nth(1)?;
    if path.contains("/blobs/") {
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://{elsewhere}{path}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return stream.write_all(answer.as_bytes()).ok();
    }
    let mut server = TcpStream::connect(registry).ok()?;
    server
        .write_all(format!("{}Connection: close\r\n\r\n", head.strip_suffix("\r\n")?).as_bytes())
        .ok()?;
    std::io::copy(&mut server, &mut stream).ok().map(drop)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collect the lines of a stream; one of them tells the address.
fn read(
    stream: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<Vec<String>>>,
    mut address: Option<mpsc::Sender<String>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on ")
                && let Some(sender) = address.take()
            {
                let end = rest.find(|char: char| !(char.is_ascii_digit() || ".:".contains(char)));
                let _ = sender.send(rest[..end.unwrap_or(rest.len())].to_owned());
            }
            log.lock().unwrap().push(line);
        }
    });
}
