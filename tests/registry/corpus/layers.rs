//! Oddities of the layers of an image: in their archives, and in what they make of each other.

use std::io::{Read, Write};

use serde_json::json;

use super::super::archive::{Archive, kind, records_of};
use super::super::image::{Image, Layer, Packing};
use super::super::shelf::Stock;
use super::{Odd, Verdict, mark};

/// An image of these archives above each other, with its programs at the bottom.
fn of(archives: Vec<Archive>) -> Stock {
    let marked = [vec![tar().file("mark", &mark())], archives].concat();
    of_bytes(marked.into_iter().map(Archive::end).collect())
}

fn of_bytes(archives: Vec<Vec<u8>>) -> Stock {
    let packed = archives.into_iter().map(|bytes| Layer::packed(bytes, Packing::Plain));
    of_layers(packed.collect())
}

fn of_layers(upper: Vec<Layer>) -> Stock {
    let layers = [vec![Layer::busybox()], upper].concat();
    Stock::of(&Image::new(layers, json!({ "Env": ["PATH=/bin"] })))
}

fn one(name: &'static str, archive: Archive) -> Odd {
    Odd::new(name, of(vec![archive]))
}

fn two(name: &'static str, below: Archive, above: Archive) -> Odd {
    Odd::new(name, of(vec![below, above]))
}

fn tar() -> Archive {
    Archive::new()
}

/// Some files to lie below others.
fn tree() -> Archive {
    tar()
        .file("mark", &mark())
        .dir("a/", 0o755)
        .file("a/1", "one")
        .file("a/2", "two")
        .dir("a/b/", 0o755)
        .file("a/b/3", "three")
}

pub fn all() -> Vec<Odd> {
    let looked_into = [whiteouts(), kinds(), formats()].into_iter().flatten();
    let others = [over_each_other(), names(), packings(), places()].into_iter().flatten();
    looked_into.map(|odd| Odd { is_looked_into: true, ..odd }).chain(others).collect()
}

fn whiteouts() -> Vec<Odd> {
    vec![
        two("gone-file", tree(), tar().file("a/.wh.1", "")),
        two("gone-directory", tree(), tar().file(".wh.a", "")),
        two("gone-and-new", tree(), tar().file(".wh.a", "").dir("a/", 0o700).file("a/9", "nine")),
        two("new-and-gone", tree(), tar().file("a/1", "new").file("a/.wh.1", "")).but(Verdict::Same),
        two("gone-never-there", tree(), tar().file("a/.wh.nothing", "").file("x/y/.wh.z", "")),
        two("gone-link", tree().link("l", "a/1"), tar().file(".wh.l", "")),
        two("opaque", tree(), tar().dir("a/", 0o755).file("a/.wh..wh..opq", "").file("a/9", "nine")),
        two(
            "opaque-last",
            tree(),
            tar().dir("a/", 0o755).file("a/9", "nine").file("a/.wh..wh..opq", ""),
        ),
        two("opaque-root", tree(), tar().file(".wh..wh..opq", "").file("a/9", "nine")),
        two("opaque-of-nothing", tree(), tar().dir("z/", 0o755).file("z/.wh..wh..opq", "")),
        two("aufs-leavings", tree(), tar().dir(".wh..wh.plnk/", 0o755).file(".wh..wh.aufs", "")),
        two("gone-without-a-name", tree(), tar().file("a/.wh.", "")).refused(),
        one("gone-in-the-lowest", tar().file("etc/.wh.nothing", "")),
    ]
}

fn over_each_other() -> Vec<Odd> {
    vec![
        two("file-over-directory", tree(), tar().file("a", "file")),
        two("directory-over-file", tree(), tar().dir("a/1/", 0o750).file("a/1/x", "x")),
        two("link-over-directory", tree().dir("d/", 0o755), tar().link("a", "d")),
        two("directory-over-link", tree().link("l", "a"), tar().dir("l/", 0o711)),
        two("file-through-link", tree().link("l", "a"), tar().file("l/through", "x")),
        two("file-through-link-up", tree().link("l", "../../../a"), tar().file("l/up", "x")),
        two("file-through-absolute-link", tree().link("l", "/a/b"), tar().file("l/abs", "x")),
        two("file-through-dangling-link", tree().link("l", "nowhere"), tar().file("l/x", "x")),
        two("file-below-file", tree(), tar().file("a/1/below", "x")),
        two("directory-again", tree(), tar().owner(7, 8).dir("a/", 0o1777)),
        two("node-over-file", tree(), tar().node(kind::FIFO, "a/1", (0, 0))),
        two("hard-link-to-lower", tree(), tar().hard("a/h", "a/1")).but(Verdict::Same),
        two("hard-link-over-file", tree(), tar().file("a/x", "x").hard("a/2", "a/x")),
        two("hard-link-to-lower-and-gone", tree(), tar().hard("a/h", "a/1").file("a/.wh.1", ""))
            .but(Verdict::Same),
        one("hard-link-to-link", tar().link("s", "etc").hard("h", "s")),
        one("hard-link-absolute", tar().file("f", "f").hard("h", "/f")),
        one("hard-link-up", tar().file("f", "f").hard("h", "../../f")),
        one("hard-link-to-nothing", tar().hard("h", "nothing")).refused(),
        one("hard-link-before-its-file", tar().hard("h", "f").file("f", "f")).refused(),
        one("hard-link-to-itself", tar().file("f", "f").hard("f", "f")).refused(),
        one("file-twice", tar().file("f", "first").file("f", "second!")),
        one("file-then-directory", tar().file("f", "f").dir("f/", 0o755)),
        Odd::new("layer-twice", of(vec![tree(), tree()])),
        Odd::new("layer-twice-around", of(vec![tree(), tar().file(".wh.a", ""), tree()])),
        Odd::new("layers-empty", of(vec![tar(), tree(), tar()])),
        Odd::new("layers-many", of((0..30).map(|at| tar().file("n", &format!("{at}"))).collect())),
    ]
}

fn kinds() -> Vec<Odd> {
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    vec![
        one("modes", {
            tar()
                .moded("suid", 0o4755, "x")
                .moded("sgid", 0o2755, "x")
                .moded("none", 0, "x")
                .dir("sticky/", 0o1777)
                .dir("sgid-dir/", 0o2770)
                .moded("all", 0o7777, "x")
                .moded("type-in-mode", 0o100_644, "x")
        }),
        one(
            "directory-for-nobody",
            tar().dir("shut/", 0).file("shut/x", "x").dir("ro/", 0o555).file("ro/y", "y"),
        ),
        one("owners", tar().owner(1000, 2000).file("f", "x").dir("d/", 0o700).link("l", "f")),
        one("owners-large", tar().owner(4_000_000_000, 4_294_967_294).file("f", "x")),
        one("owner-of-root", tar().owner(5, 6).dir("./", 0o750)),
        one("devices", {
            tar().node(kind::CHARACTER, "null", (1, 3)).node(kind::BLOCK, "loop", (7, 99)).node(
                kind::FIFO,
                "fifo",
                (0, 0),
            )
        }),
        one("device-of-a-whiteout", tar().node(kind::CHARACTER, "zero", (0, 0))),
        one("attributes", {
            tar()
                .pax(&[("SCHILY.xattr.user.odd", b"value"), ("SCHILY.xattr.trusted.odd", b"\0\x01")])
                .file("f", "x")
                .pax(&[("SCHILY.xattr.security.capability", capability)])
                .moded("ping", 0o755, "x")
        }),
        one("attributes-empty", tar().pax(&[("SCHILY.xattr.user.odd", b"")]).file("f", "x")),
        one("attributes-nobody-knows", tar().pax(&[("SCHILY.xattr.odd.odd", b"x")]).file("f", "x")),
        one("attributes-of-the-overlay", {
            tar().pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")]).dir("etc/", 0o755)
        }),
        one("links", tar().link("dangling", "nowhere").link("loop", "loop").link("up", "../../../etc")),
        one("contiguous", tar().entry(kind::CONTIGUOUS, b"f", 0o644, b"", b"x")).refused(),
        one("kind-of-old", tar().entry(0, b"f", 0o644, b"", b"x")),
        one("kind-of-old-directory", tar().entry(0, b"d/", 0o755, b"", b"")),
        one("kind-unknown", tar().entry(b'Z', b"f", 0o644, b"", b"").file("g", "x")).refused(),
    ]
}

fn names() -> Vec<Odd> {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    vec![
        one("name-dot", tar().dir("./", 0o755).dir("./p/", 0o755).file("./p/f", "x").link("./l", "p/f")),
        one("name-absolute", tar().file("/f", "x").dir("/d/", 0o755).hard("/h", "/f")),
        one("name-up", tar().file("../f", "x").file("a/../../../g", "y").file("a/b/../h", "z")),
        one("name-slashes", tar().dir("a//b///", 0o755).file("a//b//f", "x").file(".//g", "y")),
        one("name-directory-without-slash", tar().dir("d", 0o755).file("d/f", "x")),
        one("name-file-with-slash", tar().entry(kind::FILE, b"f/", 0o644, b"", b"x")),
        one("name-without-parents", tar().file("a/b/c/d/f", "x")),
        one("name-of-nothing", tar().entry(kind::FILE, b"", 0o644, b"", b"")),
        one("name-not-utf8", tar().entry(kind::FILE, b"\xff\xfe", 0o644, b"", b"x")),
        one("name-of-lines", tar().file("a\nb", "x").file(" ", "y").file("*", "z").file("\\", "w")),
        one("name-long-gnu", {
            let name = [long.as_bytes(), b"\0"].concat();
            tar().entry(kind::GNU_LONG_NAME, b"././@LongLink", 0o644, b"", &name).file("cut", "x")
        }),
        one("name-long-pax", tar().pax(&[("path", long.as_bytes())]).file("cut", "x")),
        one("name-long-link", {
            let name = [long.as_bytes(), b"\0"].concat();
            tar()
                .entry(kind::GNU_LONG_LINK, b"././@LongLink", 0o644, b"", &name)
                .link("gnu", "cut")
                .pax(&[("linkpath", long.as_bytes())])
                .link("pax", "cut")
        }),
        one("name-too-long", tar().pax(&[("path", "f".repeat(256).as_bytes())]).file("cut", "x"))
            .refused(),
        one("name-of-a-device-file", tar().file("dev/null", "x").file("proc/x", "y").file("sys/z", "z")),
    ]
}

fn formats() -> Vec<Odd> {
    vec![
        one("time-of-pax", {
            tar()
                .pax(&[("mtime", b"1234567890.123456789"), ("atime", b"1.5"), ("ctime", b"2.5")])
                .file("f", "x")
                .pax(&[("mtime", b"-1.5")])
                .file("g", "x")
                .pax(&[("mtime", b"99999999999")])
                .file("h", "x")
        }),
        one("owner-of-pax", {
            tar()
                .pax(&[("uid", b"3000000000"), ("gid", b"12"), ("uname", b"alice"), ("gname", b"x")])
                .file("f", "x")
        }),
        one("size-of-pax", tar().pax(&[("size", b"1")]).file("f", "x")),
        one("records-unknown", tar().pax(&[("LATER.thing", b"x"), ("comment", b"y")]).file("f", "x")),
        one("records-for-all", {
            let records = records_of(&[("comment", b"made by a script"), ("uid", b"77")]);
            tar().entry(kind::PAX_GLOBAL, b"pax_global_header", 0o644, b"", &records).file("f", "x")
        }),
        Odd::new("end-missing", of_bytes(vec![tree().cut()])),
        Odd::new(
            "end-half",
            of_bytes(vec![{
                let mut bytes = tree().cut();
                bytes.resize(bytes.len() + 512, 0);
                bytes
            }]),
        ),
        Odd::new("end-and-more", of_bytes(vec![[tree().end(), vec![7; 4000]].concat()])),
        Odd::new("end-and-another", of_bytes(vec![[tree().end(), tar().file("f", "x").end()].concat()])),
        // `ctr` takes no content of no length, whatever it is.
        Odd::new("nothing-at-all", of_bytes(vec![vec![]])).but(Verdict::RunsHere),
        Odd::new("no-archive", of_bytes(vec![mark().repeat(500).into_bytes()])).refused(),
        Odd::new("cut-off", of_bytes(vec![tar().file("f", &mark().repeat(500)).end()[..1500].to_vec()]))
            .refused(),
    ]
}

fn packings() -> Vec<Odd> {
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let gunzip = |packed: &[u8]| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let carried = |name, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let layer = Layer::packed(tree().end(), Packing::Gzip).carried_as(change);
        Odd::new(name, of_layers(vec![layer]))
    };
    let zstd = |name, change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let layer = Layer::packed(tree().end(), Packing::Zstd).carried_as(change);
        Odd::new(name, of_layers(vec![layer]))
    };
    vec![
        carried("gzip-in-parts", &|all| {
            let bytes = gunzip(all);
            [gzip(&bytes[..700]), gzip(&bytes[700..])].concat()
        }),
        carried("gzip-with-an-empty-part", &|all| [all, &gzip(b"")[..]].concat()),
        carried("gzip-with-a-name", &|all| {
            let builder = flate2::GzBuilder::new().filename("layer.tar").comment("odd").extra("x");
            let mut gzip = builder.write(Vec::new(), flate2::Compression::best());
            gzip.write_all(&gunzip(all)).unwrap();
            gzip.finish().unwrap()
        }),
        carried("gzip-not-packed", &|all| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
            gzip.write_all(&gunzip(all)).unwrap();
            gzip.finish().unwrap()
        }),
        carried("gzip-and-more", &|all| [all, b"more"].concat()).refused(),
        carried("gzip-and-zeros", &|all| [all, &[0; 512][..]].concat()).refused(),
        carried("gzip-cut-off", &|all| all[..all.len() - 20].to_vec()).refused(),
        zstd("zstd-with-a-note", &|all| [b"\x50\x2a\x4d\x18\x04\0\0\0odd!", all].concat()),
        zstd("zstd-and-a-note", &|all| [all, b"\x50\x2a\x4d\x18\x04\0\0\0odd!"].concat()),
        zstd("zstd-cut-off", &|all| all[..all.len() - 20].to_vec()).refused(),
        Odd::new("packed-empty", of_layers(vec![Layer::packed(tar().end(), Packing::Gzip)])),
        Odd::new("packed-nothing", of_layers(vec![Layer::packed(vec![], Packing::Gzip)])),
    ]
}

/// Files in places where the runtime, `ctr` or the library has something of its own.
fn places() -> Vec<Odd> {
    let without = |path: &str| tar().file(&format!(".wh.{path}"), "");
    vec![
        one("etc-missing", without("etc")),
        one("etc-a-link", without("etc").dir("conf/", 0o755).link("etc", "conf")),
        one("etc-an-absolute-link", without("etc").dir("conf/", 0o755).link("etc", "/conf")),
        // Files in `/etc` are mounted, so their place is made.
        one("etc-a-dangling-link", without("etc").link("etc", "conf/none")).but(Verdict::RunsOtherwise),
        one("hosts-a-file", tar().file("etc/hosts", "1.2.3.4 x\n").file("etc/hostname", "odd\n")),
        one(
            "hosts-a-link",
            tar().file("etc/host", "x").link("etc/hosts", "host").link("etc/hostname", "/etc/host"),
        ),
        one(
            "hosts-a-dangling-link",
            tar().link("etc/hosts", "../run/hosts").link("etc/hostname", "/run/x/y"),
        ),
        // As with Docker, no image has names of its own, and they need a place.
        one("hosts-a-loop", tar().link("etc/hosts", "hosts")).but(Verdict::RunsThere),
        one("hosts-a-directory", tar().dir("etc/hosts/", 0o755).dir("etc/hostname/", 0o755))
            .but(Verdict::RunsThere),
        one("hosts-a-device", tar().link("etc/hosts", "/dev/null")).but(Verdict::RunsThere),
        one("hosts-a-fifo", tar().node(kind::FIFO, "etc/hosts", (0, 0))),
        one("etc-of-nobody", tar().owner(7, 7).dir("etc/", 0)),
        one("tmp-missing", without("tmp")),
        one("run-missing", without("run")),
        one("run-a-link", without("run").dir("var/run/", 0o755).link("run", "var/run")),
        one(
            "var-run-a-link",
            tar().dir("var/", 0o755).link("var/run", "/run").link("var/lock", "/run/lock"),
        ),
        one("proc-missing", without("proc")),
        one("sys-missing", without("sys")),
        one("dev-missing", without("dev")),
        one(
            "dev-full",
            tar().node(kind::CHARACTER, "dev/null", (1, 3)).file("dev/shm", "x").link("dev/pts", "x"),
        ),
        one("proc-a-link", without("proc").dir("p/", 0o755).link("proc", "p")).refused(),
        one("sys-a-link", without("sys").dir("s/", 0o755).link("sys", "s")).refused(),
        one("dev-a-link", without("dev").dir("d/", 0o755).link("dev", "d")),
        one("proc-a-file", without("proc").file("proc", "x")).refused(),
        // That is where init is.
        one("inits-place-a-file", tar().file(".drmaa2", "x")).but(Verdict::RunsThere),
    ]
}
