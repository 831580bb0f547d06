//! The origin of the image of the benchmark of pulls: a registry of its own, and the image in it.
//!
//! The image is what images are like, in size and in how well it packs, and the same in every run: its
//! layers are of files from 256 bytes to 1 MiB, about half of them text, a third like programs, and the
//! rest of what does not pack any further. It is kept, since making it takes longer than a pull.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::report::Error;

pub(crate) const LAYERS: usize = 20;
/// Bytes of a layer, packed.
pub(crate) const LAYER: usize = 50_000_000;
/// Repository and tag of the image.
const REPOSITORY: &str = "bench";
const TAG: &str = "1";
/// A file beside the image that says that all of it is there. Another content is another name.
const COMPLETE: &str = "complete-1";

type Result<T> = std::result::Result<T, Error>;

/// Debian's docker-registry on a port of its own.
pub(crate) struct Registry {
    child: Child,
    address: String,
    dir: PathBuf,
}

impl Registry {
    /// One that keeps its images in `dir`.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let file = dir.join("config.yml");
        let storage = dir.join("storage");
        let config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             http: {{addr: '127.0.0.1:0'}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\n",
            storage.display()
        );
        fs::write(&file, config)?;
        // It ends with the benchmark, however that ends.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("docker-registry: {error}"))?;
        let log = child.stderr.take().ok_or("a registry without a log")?;
        let mut lines = BufReader::new(log).lines().map_while(std::result::Result::ok);
        let address = lines.by_ref().find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|char: char| !(char.is_ascii_digit() || ".:".contains(char)));
            rest.get(..end.unwrap_or(rest.len())).map(str::to_owned)
        });
        // Nobody else empties the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.ok_or("docker-registry does not start")?;
        Ok(Self { child, address, dir: dir.to_owned() })
    }

    /// The name of the image.
    pub(crate) fn name(&self) -> String {
        format!("{}/{REPOSITORY}:{TAG}", self.address)
    }

    /// Is the image there as a whole?
    pub(crate) fn has_image(&self) -> bool {
        self.dir.join(COMPLETE).exists()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Note that it is there.
    pub(crate) fn complete(&self) -> Result<()> {
        Ok(fs::write(self.dir.join(COMPLETE), "")?)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Make the image and push it to the registry at `address`.
pub(crate) fn push(address: &str) -> Result<()> {
    let base = format!("http://{address}/v2/{REPOSITORY}");
    let next = AtomicUsize::new(0);
    let work = || {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= LAYERS {
                return Ok::<_, Error>((made, client, runtime));
            }
            let layer = layer(number)?;
            let descriptor = runtime.block_on(push_blob(&client, &base, layer.packed))?;
            made.push((number, layer.diff_id, descriptor));
        }
    };
    let (mut made, client, runtime) = std::thread::scope(|scope| {
        let second = scope.spawn(|| work().map(|(made, ..)| made).map_err(|error| error.to_string()));
        let (mut made, client, runtime) = work()?;
        made.extend(second.join().map_err(|_| "a thread died")??);
        Ok::<_, Error>((made, client, runtime))
    })?;
    made.sort_by_key(|(number, ..)| *number);
    let diff_ids: Vec<_> = made.iter().map(|(_, diff_id, _)| diff_id).collect();
    let config = json!({ "architecture": oci_spec::image::Arch::default().to_string(), "os": "linux",
        "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let mut config = runtime.block_on(push_blob(&client, &base, config.to_string().into_bytes()))?;
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let layers: Vec<_> = made.iter().map(|(.., descriptor)| descriptor).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "config": config,
        "layers": layers });
    let request = client.put(format!("{base}/manifests/{TAG}")).header("content-type", media_type);
    runtime.block_on(request.body(manifest.to_string()).send())?.error_for_status()?;
    Ok(())
}

async fn push_blob(client: &reqwest::Client, base: &str, blob: Vec<u8>) -> Result<Value> {
    let descriptor = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": format!("sha256:{:x}", Sha256::digest(&blob)), "size": blob.len() });
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
    let location = begun.headers().get("location").ok_or("an upload without a place")?.to_str()?;
    let mut url = reqwest::Url::parse(location)?;
    url.query_pairs_mut().append_pair("digest", descriptor["digest"].as_str().unwrap_or_default());
    client.put(url).body(blob).send().await?.error_for_status()?;
    Ok(descriptor)
}

struct Layer {
    packed: Vec<u8>,
    diff_id: String,
}

/// Packs what is written, and knows its digest.
struct Packer {
    gzip: GzEncoder<Vec<u8>>,
    hash: Sha256,
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.gzip.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn layer(number: usize) -> Result<Layer> {
    let gzip = GzEncoder::new(Vec::with_capacity(LAYER + (2 << 20)), Compression::default());
    let mut tar = tar::Builder::new(Packer { gzip, hash: Sha256::new() });
    if number == 0 {
        append(&mut tar, "bin/busybox", &fs::read(busybox()?)?)?;
        for name in ["dev/", "etc/", "proc/", "run/", "sys/", "tmp/"] {
            directory(&mut tar, name)?;
        }
    }
    let mut source = Source::new(u64::try_from(number)?);
    let mut file = 0_usize;
    while tar.get_ref().gzip.get_ref().len() < LAYER {
        if file.is_multiple_of(50) {
            directory(&mut tar, &format!("data/{number}/{}/", file / 50))?;
        }
        append(&mut tar, &format!("data/{number}/{}/{file}", file / 50), &source.file())?;
        file += 1;
    }
    let Packer { gzip, hash } = tar.into_inner()?;
    Ok(Layer { packed: gzip.finish()?, diff_id: format!("sha256:{:x}", hash.finalize()) })
}

fn append(tar: &mut tar::Builder<Packer>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(content.len().try_into()?);
    Ok(tar.append_data(&mut header, path, content)?)
}

fn directory(tar: &mut tar::Builder<Packer>, path: &str) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    Ok(tar.append_data(&mut header, path, std::io::empty())?)
}

/// The static busybox of this machine.
fn busybox() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("DRMAA2_BUSYBOX") {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join("busybox"));
    Ok(found.find(|file| file.exists()).ok_or("busybox is missing")?)
}

/// Contents of files, always the same ones.
struct Source {
    random: fastrand::Rng,
    words: Vec<Vec<u8>>,
}

impl Source {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut word = || {
            let length = random.usize(2..10);
            let letters = (0..length).map(|_| random.lowercase()).chain([' ']);
            letters.collect::<String>().into_bytes()
        };
        let words = (0..4096).map(|_| word()).collect();
        Self { random, words }
    }

    fn file(&mut self) -> Vec<u8> {
        let size = 256.0 * 4096_f64.powf(self.random.f64());
        // Between 256 and 2^20.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let size = size as usize;
        let mut content = Vec::with_capacity(size + 16);
        let kind = self.random.f64();
        while content.len() < size {
            // Some words are far more frequent than others.
            let at = self.random.usize(0..4096) * self.random.usize(0..4096) / 4096;
            match self.words.get(at) {
                Some(word) if kind < 0.5 => content.extend_from_slice(word),
                Some(word) if kind < 0.83 => {
                    content.extend_from_slice(word);
                    content.extend_from_slice(&[0, self.random.u8(..), self.random.u8(..), 0]);
                }
                _ => content.extend_from_slice(&self.random.u64(..).to_le_bytes()),
            }
        }
        content
    }
}
