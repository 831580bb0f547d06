//! Oddities of an index: for which machines its entries are, and what else is among them.

use serde_json::{Value, json};

use super::super::image::{Image, Layer, Packing, digest};
use super::super::shelf::Stock;
use super::{Odd, Verdict, mark};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An image that says which one it is.
fn number(number: usize) -> Image {
    let own = Layer::new(&[("srv/mark", mark().as_bytes(), 0o644)], Packing::Plain);
    Image::new(vec![Layer::busybox(), own], json!({ "Env": ["PATH=/bin", format!("ODD={number}")] }))
}

/// An image whose own configuration says this.
fn made_for(at: usize, os: &str, architecture: &str) -> Image {
    number(at)
        .edited(|config, _| (config["os"], config["architecture"]) = (os.into(), architecture.into()))
}

fn index(entries: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries }).to_string().into_bytes()
}

/// An index of images with what is said of their platforms.
fn of(images: &[(Image, Value)]) -> Stock {
    let entries: Vec<_> = images
        .iter()
        .map(|(image, platform)| {
            let mut entry = image.entry();
            entry["platform"] = platform.clone();
            entry
        })
        .collect();
    let all = images.iter().map(|(image, _)| Stock::of(image));
    let all = all.reduce(|all, one| all.and(&one)).unwrap_or_default();
    all.tagged(index(&entries), OCI_INDEX)
}

/// An index of ordinary images, said to be for these platforms: `os/architecture/variant`.
fn said(name: &'static str, platforms: &[&str]) -> Odd {
    let images: Vec<_> =
        platforms.iter().enumerate().map(|(at, text)| (number(at), platform(text))).collect();
    Odd::new(name, of(&images))
}

fn platform(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let mut parts = text.split('/');
    let mut platform = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        platform["variant"] = variant.into();
    }
    platform
}

/// An index of one image with a change.
fn changed(name: &'static str, change: impl FnOnce(&mut Value)) -> Odd {
    let image = number(1);
    let mut entry = image.entry();
    entry["platform"] = platform("linux/amd64");
    let mut whole: Value = serde_json::from_slice(&index(&[entry])).unwrap();
    change(&mut whole);
    Odd::new(name, Stock::of(&image).tagged(whole.to_string().into_bytes(), OCI_INDEX))
}

pub fn all() -> Vec<Odd> {
    platforms().into_iter().chain(disagreements()).chain(documents()).chain(nested()).collect()
}

fn platforms() -> Vec<Odd> {
    vec![
        said("for-this", &["linux/amd64"]),
        said("for-capitals", &["Linux/AMD64"]),
        said("for-kernels-name", &["linux/x86_64"]),
        said("for-no-os", &["/amd64"]),
        said("for-nothing", &["/"]).refused(),
        // `ctr` reads no more than what is for this very machine, and then misses the rest.
        said("for-older-alone", &["linux/386"]).but(Verdict::RunsHere),
        said("for-older-first", &["linux/386", "linux/amd64"]),
        said("for-others-alone", &["linux/s390x", "windows/amd64"]).refused(),
        said("for-unknown-first", &["unknown/unknown", "linux/amd64"]),
        said("for-unknown-last", &["linux/amd64", "unknown/unknown"]),
        said("for-unknown-alone", &["unknown/unknown"]).refused(),
        said("for-windows-first", &["windows/amd64", "linux/amd64"]),
        said(
            "for-many-arms",
            &["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"],
        ),
        said("for-arm-alone", &["linux/arm64/v8", "linux/arm/v7", "linux/arm/v6"]).refused(),
        said("for-two", &["linux/amd64", "linux/amd64"]),
        said("for-v1", &["linux/amd64/v1"]),
        // `ctr` takes no variant but the baseline's, whatever the machine is.
        said("for-v2-alone", &["linux/amd64/v2"]).but(Verdict::RunsHere),
        said("for-v3-alone", &["linux/amd64/v3"]).but(Verdict::RunsHere),
        said(
            "for-all-variants",
            &["linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2", "linux/amd64/v1"],
        ),
        said("for-v3-first", &["linux/amd64/v3", "linux/amd64"]),
        said("for-v2-and-older", &["linux/amd64/v2", "linux/386"]).but(Verdict::RunsHere),
        said("for-odd-variant", &["linux/amd64/v8", "linux/amd64"]),
        said("for-untold-alone", &[""]),
        said("for-untold-first", &["", "linux/amd64"]),
        said("for-untold-last", &["linux/amd64", ""]),
        said("for-untold-beside-others", &["linux/s390x", ""]),
        said("for-untold-twice", &["", ""]),
        Odd::new(
            "for-nothing-told",
            of(&[(number(0), json!({})), (number(1), platform("linux/amd64"))]),
        ),
        Odd::new("for-os-version", {
            let told = json!({ "os": "linux", "architecture": "amd64", "os.version": "10.0" });
            of(&[(number(0), told), (number(1), platform("linux/amd64"))])
        }),
        Odd::new("for-os-features", {
            let told = json!({ "os": "linux", "architecture": "amd64", "os.features": ["x"] });
            of(&[(number(0), told), (number(1), platform("linux/amd64"))])
        })
        .before_2(Verdict::RunsOtherwise),
        Odd::new("for-features", {
            let told = json!({ "os": "linux", "architecture": "amd64", "features": ["sse4"] });
            of(&[(number(0), told)])
        }),
    ]
}

fn disagreements() -> Vec<Odd> {
    vec![
        Odd::new("image-says-other", of(&[(made_for(1, "linux", "s390x"), platform("linux/amd64"))])),
        Odd::new(
            "image-says-windows",
            of(&[(made_for(1, "windows", "amd64"), platform("linux/amd64"))]),
        ),
        Odd::new("image-says-nothing", of(&[(made_for(1, "", ""), platform("linux/amd64"))])),
        Odd::new("index-says-other", of(&[(made_for(1, "linux", "amd64"), platform("linux/s390x"))]))
            .refused(),
        Odd::new("untold-and-other", of(&[(made_for(1, "linux", "s390x"), Value::Null)])).refused(),
        Odd::new(
            "untold-other-and-untold",
            of(&[(made_for(0, "linux", "s390x"), Value::Null), (number(1), Value::Null)]),
        )
        .refused(),
        Odd::new(
            "untold-and-told",
            of(&[(made_for(0, "linux", "s390x"), Value::Null), (number(1), platform("linux/amd64"))]),
        ),
    ]
}

fn documents() -> Vec<Odd> {
    let statement = made_for(9, "unknown", "unknown");
    let mut attestation = statement.entry();
    attestation["platform"] = platform("unknown/unknown");
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let beside = |odd: Odd| Odd { stock: odd.stock.and(&Stock::of(&statement)), ..odd };
    let gone = json!({ "mediaType": OCI_MANIFEST, "size": 7, "digest": digest(b"nothing"),
        "platform": { "os": "linux", "architecture": "amd64" } });
    let list = |index: &mut Value| index["manifests"].as_array_mut().unwrap().clone();
    let with = |index: &mut Value, entries: Vec<Value>| index["manifests"] = entries.into();
    let typed = |name, media_type: &str, change: fn(&mut Value)| {
        let image = number(1);
        let mut entry = image.entry();
        entry["platform"] = platform("linux/amd64");
        let mut whole: Value = serde_json::from_slice(&index(&[entry])).unwrap();
        change(&mut whole);
        let text = whole.to_string().into_bytes();
        Odd::new(name, Stock::of(&image).tagged(text, media_type))
    };
    vec![
        beside(changed("attestations", |index| {
            let entries = [list(index), vec![attestation.clone()]].concat();
            with(index, entries);
        })),
        beside(changed("attestations-first", |index| {
            let entries = [vec![attestation.clone()], list(index)].concat();
            with(index, entries);
        })),
        changed("entry-gone", |index| {
            let entries = [vec![gone.clone()], list(index)].concat();
            with(index, entries);
        })
        .refused(),
        // `ctr` reads all entries for this machine, and takes one.
        changed("second-entry-gone", |index| {
            let entries = [list(index), vec![gone]].concat();
            with(index, entries);
        })
        .but(Verdict::RunsHere),
        changed("entry-twice", |index| {
            let entries = [list(index), list(index)].concat();
            with(index, entries);
        }),
        changed("entries-empty", |index| index["manifests"] = json!([])).refused(),
        changed("entries-null", |index| index["manifests"] = Value::Null).refused(),
        changed("index-nulls", |index| {
            index["annotations"] = Value::Null;
            index["subject"] = Value::Null;
            index["manifests"][0]["annotations"] = Value::Null;
            index["manifests"][0]["urls"] = Value::Null;
            index["manifests"][0]["platform"]["variant"] = Value::Null;
            index["manifests"][0]["platform"]["os.features"] = Value::Null;
        }),
        changed("index-later-members", |index| {
            index["later"] = json!({});
            index["artifactType"] = "application/x".into();
            index["manifests"][0]["later"] = json!([null]);
            index["manifests"][0]["platform"]["later"] = json!(1);
        }),
        changed("index-type-null", |index| drop(index["mediaType"].take())),
        changed("index-annotations-of-numbers", |index| index["annotations"] = json!({ "a": 1 }))
            .refused(),
        changed("entry-annotations-of-numbers", |index| {
            index["manifests"][0]["annotations"] = json!({ "a": 1 });
        })
        .refused(),
        changed("entry-size-wrong", |index| index["manifests"][0]["size"] = json!(7)).refused(),
        changed("entry-size-missing", |index| {
            drop(index["manifests"][0].as_object_mut().unwrap().remove("size"));
        })
        .refused(),
        changed("entry-untyped", |index| index["manifests"][0]["mediaType"] = "".into())
            .but(Verdict::RunsHere),
        changed("entry-of-docker", |index| {
            index["manifests"][0]["mediaType"] =
                "application/vnd.docker.distribution.manifest.v2+json".into();
        }),
        changed("index-version-missing", |index| {
            drop(index.as_object_mut().unwrap().remove("schemaVersion"));
        }),
        changed("index-with-layers", |index| index["layers"] = json!([])).refused(),
        changed("index-with-a-config", |index| {
            index["config"] =
                json!({ "mediaType": "application/x", "size": 2, "digest": digest(b"{}") });
        })
        .refused(),
        typed("list-of-docker", DOCKER_LIST, |index| index["mediaType"] = DOCKER_LIST.into()),
        typed("list-sent-as-index", OCI_INDEX, |index| index["mediaType"] = DOCKER_LIST.into()),
        typed("index-untyped", OCI_INDEX, |index| {
            drop(index.as_object_mut().unwrap().remove("mediaType"))
        }),
    ]
}

fn nested() -> Vec<Odd> {
    let entry = |bytes: &[u8], platform: Value| json!({ "mediaType": OCI_INDEX, "size": bytes.len(), "digest": digest(bytes), "platform": platform });
    let inner = of(&[(number(0), platform("linux/s390x")), (number(1), platform("linux/amd64"))]);
    let around = |stock: &Stock, told: Value| {
        let (bytes, _) = stock.target();
        let outer = index(&[entry(bytes, told)]);
        let manifests = stock.clone();
        manifests.tagged(outer, OCI_INDEX)
    };
    let others = of(&[(number(5), platform("linux/s390x"))]);
    let (first, second) = (entry(others.target().0, Value::Null), entry(inner.target().0, Value::Null));
    let deep = |levels: usize| (0..levels).fold(inner.clone(), |stock, _| around(&stock, Value::Null));
    vec![
        Odd::new("nested", around(&inner, Value::Null)),
        Odd::new("nested-told", around(&inner, platform("linux/amd64"))),
        Odd::new("nested-told-other", around(&inner, platform("linux/s390x"))).refused(),
        Odd::new(
            "nested-beside-others",
            inner.clone().and(&others).tagged(index(&[first, second]), OCI_INDEX),
        )
        .refused(),
        Odd::new("nested-beside-a-manifest", {
            let image = number(7);
            let mut own = image.entry();
            own["platform"] = platform("linux/amd64");
            let entries = [entry(inner.target().0, Value::Null), own];
            inner.clone().and(&Stock::of(&image)).tagged(index(&entries), OCI_INDEX)
        }),
        Odd::new("nested-twice", deep(2)),
        // Deeper than any index that there is a use for.
        Odd::new("nested-four-times", deep(4)).but(Verdict::RunsThere),
    ]
}
