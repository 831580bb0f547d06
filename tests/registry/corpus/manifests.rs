//! Oddities of the manifest of an image, of its types, and of the answer that brings it.

use serde_json::{Value, json};

use super::super::image::{Image, Layer, Packing, digest};
use super::super::shelf::Stock;
use super::{Odd, Verdict, here, mark, plain};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn of(image: Image, change: impl FnOnce(&mut Value)) -> Stock {
    Stock::of(&image.with_manifest(change))
}

fn changed(name: &'static str, change: impl FnOnce(&mut Value)) -> Odd {
    Odd::new(name, of(plain(), change))
}

/// Its text as another one, and with another type in the answer's header.
fn sent_as(name: &'static str, media_type: &str, change: impl FnOnce(String) -> String) -> Odd {
    let stock = Stock::of(&plain());
    let text = String::from_utf8(stock.target().0.to_vec()).unwrap();
    Odd::new(name, stock.tagged(change(text).into_bytes(), media_type))
}

fn docker(layers: Vec<Layer>) -> Image {
    Image::docker(layers, json!({ "WorkingDir": "/srv", "Env": ["PATH=/bin"] }))
}

/// An image whose upper layer is said to be of this type.
fn layer(name: &'static str, packing: Packing, media_type: &str) -> Odd {
    let mark = mark();
    let files =
        Layer::new(&[("srv/data", mark.as_bytes(), 0o644), ("srv/more", b"more", 0o600)], packing);
    let image = Image::new(vec![Layer::busybox(), files], json!({ "Env": ["PATH=/bin"] }));
    Odd::new(name, of(image, |manifest| manifest["layers"][1]["mediaType"] = media_type.into()))
}

pub fn all() -> Vec<Odd> {
    types().into_iter().chain(members()).chain(packings()).chain(others()).collect()
}

fn types() -> Vec<Odd> {
    let untyped = |text: String| text.replace(&format!("\"mediaType\":\"{OCI_MANIFEST}\","), "");
    let config_type = |name, media_type: &str| {
        changed(name, |manifest| manifest["config"]["mediaType"] = media_type.into())
    };
    let layers = || vec![Layer::busybox(), here()];
    vec![
        changed("type-null", |manifest| drop(manifest["mediaType"].take())),
        changed("type-empty", |manifest| manifest["mediaType"] = "".into()),
        sent_as("type-missing", OCI_MANIFEST, untyped),
        sent_as("type-with-parameter", &format!("{OCI_MANIFEST}; charset=utf-8"), |text| text),
        // A manifest may say itself what it is.
        sent_as("type-by-itself", "application/json", |text| text).but(Verdict::RunsHere),
        sent_as("type-nowhere", "application/json", untyped).but(Verdict::RunsHere),
        sent_as("type-unsent", "", |text| text).but(Verdict::RunsHere),
        sent_as("type-other-than-sent", DOCKER_MANIFEST, |text| text),
        Odd::new("types-of-docker", Stock::of(&docker(layers()))),
        Odd::new(
            "types-of-docker-around-oci",
            of(plain(), |manifest| manifest["mediaType"] = DOCKER_MANIFEST.into()),
        ),
        Odd::new(
            "types-of-oci-around-docker",
            of(docker(layers()), |manifest| manifest["mediaType"] = OCI_MANIFEST.into()),
        ),
        Odd::new(
            "types-mixed",
            of(docker(layers()), |manifest| {
                manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
            }),
        ),
        config_type("config-of-docker", "application/vnd.docker.container.image.v1+json"),
        config_type("config-of-bytes", "application/octet-stream"),
        config_type("config-untyped", "").but(Verdict::RunsHere),
    ]
}

fn members() -> Vec<Odd> {
    vec![
        changed("nulls", |manifest| {
            manifest["annotations"] = Value::Null;
            manifest["layers"][0]["annotations"] = Value::Null;
            manifest["layers"][0]["platform"] = Value::Null;
            manifest["config"]["urls"] = Value::Null;
            manifest["subject"] = Value::Null;
            manifest["artifactType"] = Value::Null;
        }),
        changed("annotations", |manifest| {
            manifest["annotations"] =
                json!({ "": "", "a b": "\n", "org.opencontainers.image.title": "x" });
            manifest["layers"][0]["annotations"] = json!({ "containerd.io/uncompressed": "sha256:1" });
        }),
        changed("annotations-of-numbers", |manifest| manifest["annotations"] = json!({ "a": 1 }))
            .refused(),
        changed("layers-annotations-of-numbers", |manifest| {
            manifest["layers"][0]["annotations"] = json!({ "a": 1 });
        })
        .refused(),
        changed("later-members", |manifest| {
            manifest["later"] = json!([{ "a": null }]);
            manifest["layers"][1]["later"] = json!(1.5);
        }),
        changed("artifact-type", |manifest| manifest["artifactType"] = "application/x".into()),
        changed("subject", |manifest| {
            manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "size": 3,
                "digest": digest(b"gone") });
        }),
        changed("version-missing", |manifest| {
            drop(manifest.as_object_mut().unwrap().remove("schemaVersion"));
        }),
        changed("version-null", |manifest| manifest["schemaVersion"] = Value::Null),
        changed("version-later", |manifest| manifest["schemaVersion"] = json!(3)),
        changed("version-a-text", |manifest| manifest["schemaVersion"] = "2".into()).refused(),
        changed("no-layers", |manifest| manifest["layers"] = json!([])).refused(),
        changed("no-config", |manifest| drop(manifest.as_object_mut().unwrap().remove("config")))
            .refused(),
        changed("index-and-manifest", |manifest| manifest["manifests"] = json!([])).refused(),
        changed("index-and-manifest-with-entries", |manifest| {
            manifest["manifests"] =
                json!([{ "mediaType": OCI_MANIFEST, "size": 3, "digest": digest(b"gone") }]);
        })
        .refused(),
        changed("size-wrong", |manifest| manifest["layers"][1]["size"] = json!(7)).refused(),
        changed("size-zero", |manifest| manifest["layers"][1]["size"] = json!(0)).refused(),
        changed("size-of-config-zero", |manifest| manifest["config"]["size"] = json!(0)).refused(),
        changed("size-negative", |manifest| manifest["layers"][1]["size"] = json!(-1)).refused(),
        changed("digest-of-nothing", |manifest| manifest["layers"][1]["digest"] = "".into()).refused(),
        changed("digest-short", |manifest| manifest["layers"][1]["digest"] = "sha256:00".into())
            .refused(),
        sent_as("spaces-around", OCI_MANIFEST, |text| format!(" \n{}\n\n", text.replace(',', ",\n  "))),
        sent_as("mark-of-bytes-before", OCI_MANIFEST, |text| format!("\u{feff}{text}")).refused(),
        sent_as("member-twice", OCI_MANIFEST, |text| {
            format!("{{\"schemaVersion\":1,\"layers\":[],{}", &text[1..])
        }),
        sent_as("members-in-other-letters", OCI_MANIFEST, |text| {
            text.replace("\"layers\"", "\"Layers\"").replace("\"digest\"", "\"Digest\"")
        }),
        sent_as("large", OCI_MANIFEST, |text| {
            format!("{{\"annotations\":{{\"a\":\"{}\"}},{}", "x".repeat(3 << 20), &text[1..])
        }),
    ]
}

fn packings() -> Vec<Odd> {
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    let typed = |base: &str, end: &str| format!("{base}{end}");
    vec![
        layer("layer-plain", Packing::Plain, LAYER),
        layer("layer-gzip", Packing::Gzip, &typed(LAYER, "+gzip")),
        layer("layer-zstd", Packing::Zstd, &typed(LAYER, "+zstd")),
        layer("layer-gzip-said-to-be-plain", Packing::Gzip, LAYER).refused(),
        layer("layer-plain-said-to-be-gzip", Packing::Plain, &typed(LAYER, "+gzip")),
        layer("layer-zstd-said-to-be-gzip", Packing::Zstd, &typed(LAYER, "+gzip")),
        layer("layer-docker-plain", Packing::Plain, DOCKER),
        layer("layer-docker-untold", Packing::Gzip, DOCKER),
        layer("layer-docker-zstd-untold", Packing::Zstd, DOCKER),
        layer("layer-docker-gzip", Packing::Gzip, &typed(DOCKER, ".gzip")),
        layer("layer-docker-zstd", Packing::Zstd, &typed(DOCKER, ".zstd")).but(Verdict::Same),
        layer("layer-foreign", Packing::Plain, FOREIGN),
        layer("layer-foreign-gzip", Packing::Gzip, &typed(FOREIGN, "+gzip")),
        layer("layer-foreign-zstd", Packing::Zstd, &typed(FOREIGN, "+zstd")),
        layer("layer-docker-foreign", Packing::Plain, DOCKER_FOREIGN),
        layer("layer-docker-foreign-gzip", Packing::Gzip, &typed(DOCKER_FOREIGN, ".gzip")),
        layer("layer-of-bytes", Packing::Plain, "application/octet-stream").refused(),
        layer("layer-untyped", Packing::Plain, "").refused(),
        layer("layer-encrypted", Packing::Plain, &typed(LAYER, "+encrypted")).refused(),
        layer("layer-of-xz", Packing::Plain, &typed(LAYER, "+xz")),
        layer("layer-of-old-gzip", Packing::Gzip, "application/x-gtar").refused(),
    ]
}

fn others() -> Vec<Odd> {
    let chart = Image::new(vec![Layer::random(100)], json!({})).edited(|config, manifest| {
        *config = json!({ "name": "chart", "version": "1" });
        manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
    });
    let empty = Image::new(vec![Layer::random(100)], json!({})).edited(|config, manifest| {
        *config = json!({});
        manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json".into();
        manifest["artifactType"] = "application/x".into();
    });
    let scratch = Image::new(vec![], json!({ "Env": ["PATH=/bin"] }));
    let extra = b"a list of parts".to_vec();
    let with_extra = |manifest: &mut Value, media_type: &str| {
        let layer = json!({ "mediaType": media_type, "size": 15, "digest": digest(b"a list of parts") });
        manifest["layers"].as_array_mut().unwrap().push(layer);
    };
    let data = |manifest: &mut Value, part: &Image| {
        use base64::Engine as _;
        let text = part.config();
        manifest["config"]["data"] = base64::engine::general_purpose::STANDARD.encode(text).into();
    };
    let (one, other, third, fourth) = (plain(), plain(), plain(), plain());
    let config = |image: &Image| digest(image.config().as_bytes());
    vec![
        Odd::new("chart", Stock::of(&chart)).refused(),
        Odd::new("artifact", Stock::of(&empty)).refused(),
        Odd::new("scratch", Stock::of(&scratch)).refused(),
        Odd::new("layer-gone", Stock::of(&one).without(&one.layers()[1])).refused(),
        Odd::new("config-gone", Stock::of(&other).without(&config(&other))).refused(),
        Odd::new("data-beside", of(third.clone(), |manifest| data(manifest, &third))),
        // A `ctr` that does not look there finds what the library has brought.
        Odd::new("data-alone", {
            of(fourth.clone(), |manifest| data(manifest, &fourth)).without(&config(&fourth))
        }),
        Odd::new(
            "layer-that-is-none",
            of(plain(), |manifest| with_extra(manifest, "application/spdx+json")).blob(extra.clone()),
        )
        .before_2(Verdict::RunsHere),
        Odd::new(
            "layer-that-is-none-and-counted",
            Stock::of(&plain().edited(|config, manifest| {
                with_extra(manifest, "application/spdx+json");
                config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(digest(&extra).into());
            }))
            .blob(extra.clone()),
        )
        .refused(),
    ]
}
