//! Images, made here and pushed to a registry.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The names of the types of an image's parts.
#[derive(Clone, Copy)]
struct Types {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
    /// The sign between the type of a layer and its packing.
    packed: &'static str,
}

const OCI: Types = Types {
    index: "application/vnd.oci.image.index.v1+json",
    manifest: "application/vnd.oci.image.manifest.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar",
    packed: "+",
};
const DOCKER: Types = Types {
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar",
    packed: ".",
};

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// The packing of a layer's content.
#[derive(Clone, Copy)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Clone)]
pub struct Layer {
    pub bytes: Arc<Vec<u8>>,
    packing: Option<&'static str>,
    diff_id: String,
}

impl Layer {
    /// Files with their content and mode; a link has the mode 0 and its target as content.
    pub fn new(files: &[(&str, &[u8], u32)], packing: Packing) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content, mode) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            if *mode == 0 {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let target = std::str::from_utf8(content).unwrap();
                tar.append_link(&mut header, path, target).unwrap();
            } else if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, path, std::io::empty()).unwrap();
            } else {
                header.set_size(content.len().try_into().unwrap());
                tar.append_data(&mut header, path, *content).unwrap();
            }
        }
        Self::packed(tar.into_inner().unwrap(), packing)
    }

    /// An archive as it is.
    pub fn packed(tar: Vec<u8>, packing: Packing) -> Self {
        let diff_id = digest(&tar);
        let (bytes, packing) = match packing {
            Packing::Plain => (tar, None),
            Packing::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&tar).unwrap();
                (gzip.finish().unwrap(), Some("gzip"))
            }
            Packing::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                (ruzstd::encoding::compress_to_vec(tar.as_slice(), level), Some("zstd"))
            }
        };
        Self { bytes: Arc::new(bytes), packing, diff_id }
    }

    /// The same content with other bytes on the way.
    pub fn carried_as(self, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        Self { bytes: Arc::new(change(&self.bytes)), ..self }
    }

    /// A static busybox with some of its programs.
    pub fn busybox() -> Self {
        static MADE: OnceLock<Layer> = OnceLock::new();
        MADE.get_or_init(Self::make_busybox).clone()
    }

    fn make_busybox() -> Self {
        let file = busybox();
        let program = std::fs::read(file).unwrap();
        let mut files: Vec<(String, &[u8], u32)> = vec![("bin/busybox".into(), &program, 0o755)];
        for name in ["sh", "cat", "id", "pwd", "true", "ls"] {
            files.push((format!("bin/{name}"), b"busybox", 0));
        }
        for name in ["dev/", "etc/", "proc/", "sys/", "tmp/", "run/"] {
            files.push((name.into(), b"", 0o755));
        }
        let files: Vec<_> =
            files.iter().map(|(path, content, mode)| (path.as_str(), *content, *mode)).collect();
        Self::new(&files, Packing::Gzip)
    }

    /// One file with as many random bytes, at `/random`.
    pub fn random(size: usize) -> Self {
        let mut bytes = vec![0; size];
        getrandom::fill(&mut bytes).unwrap();
        Self::new(&[("random", &bytes, 0o644)], Packing::Plain)
    }

    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    fn media_type(&self, types: Types) -> String {
        let packing = self.packing.map(|packing| format!("{}{packing}", types.packed));
        format!("{}{}", types.layer, packing.unwrap_or_default())
    }
}

/// The static busybox of this machine.
pub fn busybox() -> PathBuf {
    std::env::var_os("DRMAA2_BUSYBOX").map_or_else(which_busybox, PathBuf::from)
}

fn which_busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join("busybox")).find(|file| file.exists()).unwrap()
}

/// An image for this machine, in an index with others or by itself.
#[derive(Clone)]
pub struct Image {
    layers: Vec<Layer>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    others: Vec<Self>,
    architecture: String,
    types: Types,
}

impl Image {
    /// `config` is what it says about how it is run.
    pub fn new(layers: Vec<Layer>, config: Value) -> Self {
        Self::of(layers, config, oci_spec::image::Arch::default().to_string(), OCI)
    }

    /// The same in the form that Docker had before there was a common one.
    pub fn docker(layers: Vec<Layer>, config: Value) -> Self {
        Self::of(layers, config, oci_spec::image::Arch::default().to_string(), DOCKER)
    }

    fn of(layers: Vec<Layer>, config: Value, architecture: String, types: Types) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({ "architecture": architecture, "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = config.to_string().into_bytes();
        let descriptors: Vec<_> =
            layers.iter().map(|layer| descriptor(&layer.media_type(types), &layer.bytes)).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": types.manifest,
            "config": descriptor(types.config, &config), "layers": descriptors });
        let manifest = manifest.to_string().into_bytes();
        Self { layers, config, manifest, others: Vec::new(), architecture, types }
    }

    /// One that is for other machines as well, of which one comes first.
    pub fn with_other_platform(mut self, layer: Layer) -> Self {
        self.others.push(Self::of(vec![layer], json!({}), "s390x".to_owned(), self.types));
        self
    }

    /// With another configuration and another manifest.
    pub fn edited(mut self, change: impl FnOnce(&mut Value, &mut Value)) -> Self {
        let mut config = serde_json::from_slice(&self.config).unwrap();
        let mut manifest = serde_json::from_slice(&self.manifest).unwrap();
        change(&mut config, &mut manifest);
        self.manifest = manifest.to_string().into_bytes();
        self.configured(config.to_string().as_bytes())
    }

    /// With this very text as its configuration.
    pub fn configured(self, text: &[u8]) -> Self {
        Self { config: text.to_vec(), ..self }.with_manifest(|_| ())
    }

    /// The text of its configuration.
    pub fn config(&self) -> String {
        String::from_utf8(self.config.clone()).unwrap()
    }

    /// With another manifest, whatever it says of the configuration.
    pub fn with_manifest(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut manifest: Value = serde_json::from_slice(&self.manifest).unwrap();
        manifest["config"]["digest"] = digest(&self.config).into();
        manifest["config"]["size"] = self.config.len().into();
        change(&mut manifest);
        self.manifest = manifest.to_string().into_bytes();
        self
    }

    /// The entry of an index for it, which does not say for which machine it is.
    pub fn entry(&self) -> Value {
        descriptor(self.types.manifest, &self.manifest)
    }

    /// Its manifests, each with its type.
    pub fn manifests(&self) -> Vec<(Vec<u8>, String)> {
        let all = self.others.iter().chain([self]);
        all.map(|image| (image.manifest.clone(), image.types.manifest.to_owned())).collect()
    }

    /// All its blobs.
    pub fn parts(&self) -> Vec<Arc<Vec<u8>>> {
        let of = |image: &Self| {
            let config = Arc::new(image.config.clone());
            image.layers.iter().map(|layer| Arc::clone(&layer.bytes)).chain([config]).collect::<Vec<_>>()
        };
        self.others.iter().chain([self]).flat_map(of).collect()
    }

    /// The digests of its layers.
    pub fn layers(&self) -> Vec<String> {
        self.layers.iter().map(Layer::digest).collect()
    }

    /// The digest of the manifest for the other machines.
    pub fn other_digest(&self) -> String {
        digest(&self.others[0].manifest)
    }

    /// The target that its name stands for.
    pub fn target(&self) -> (Vec<u8>, String) {
        let Types { index: media_type, manifest, .. } = self.types;
        if self.others.is_empty() {
            return (self.manifest.clone(), manifest.to_owned());
        }
        let entries = self.others.iter().chain([self]).map(|image| {
            let mut entry = descriptor(manifest, &image.manifest);
            entry["platform"] = json!({ "os": "linux", "architecture": image.architecture });
            entry
        });
        let entries: Vec<_> = entries.collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
        (index.to_string().into_bytes(), media_type.to_owned())
    }

    /// Push it as `name`, which is `repository:tag`.
    pub fn push(&self, registry: &str, name: &str) {
        let (repository, tag) = name.split_once(':').unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let base = format!("{registry}/v2/{repository}");
        runtime.block_on(async {
            let client = client();
            for image in self.others.iter().chain([self]) {
                let layers = image.layers.iter().map(|layer| &*layer.bytes);
                for blob in layers.chain([&image.config]) {
                    push_blob(&client, &base, blob).await;
                }
                let by_digest = digest(&image.manifest);
                let media_type = image.types.manifest;
                push_manifest(&client, &base, &by_digest, image.manifest.clone(), media_type).await;
            }
            let (bytes, media_type) = self.target();
            push_manifest(&client, &base, tag, bytes, &media_type).await;
        });
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn client() -> reqwest::Client {
    // It fails once there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// With the password of a registry that wants one; another does not look at it.
fn authorized(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request.basic_auth("drmaa2", Some("secret"))
}

async fn push_blob(client: &reqwest::Client, base: &str, blob: &[u8]) {
    let begun = authorized(client.post(format!("{base}/blobs/uploads/"))).send().await.unwrap();
    let location = begun.headers()["location"].to_str().unwrap().to_owned();
    let mut url = reqwest::Url::parse(&location).unwrap();
    url.query_pairs_mut().append_pair("digest", &digest(blob));
    let done = authorized(client.put(url)).body(blob.to_vec()).send().await.unwrap();
    assert!(done.status().is_success(), "{done:?}");
}

async fn push_manifest(
    client: &reqwest::Client,
    base: &str,
    reference: &str,
    bytes: Vec<u8>,
    media_type: &str,
) {
    let request = client.put(format!("{base}/manifests/{reference}")).header("content-type", media_type);
    let done = authorized(request).body(bytes).send().await.unwrap();
    assert!(done.status().is_success(), "{}", done.text().await.unwrap());
}
