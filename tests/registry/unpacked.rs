//! Layers that the library unpacks while it reads them: each is what containerd makes of it, file by file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use containerd_client::services::v1::snapshots::{RemoveSnapshotRequest, ViewSnapshotRequest};
use containerd_client::tonic::Request;
use drmaa2::model::extensions::Pull;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::archive::{Archive, kind};
use super::directory;
use super::image::{Image, Layer, Packing, digest};
use super::peer::Peer;
use super::rig::{Rig, usual_snapshotter};
use super::rootfs;
use super::shelf::{Shelf, Stock};

/// A capability, as `setcap` writes it.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn lowest() -> Archive {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    Archive::new()
        .dir("./", 0o711)
        .dir("./bin/", 0o755)
        .dir("tmp/", 0o1777)
        .dir("etc", 0o755)
        .file("etc/one", "one")
        .file("etc/two", &"two".repeat(100_000))
        .moded("bin/suid", 0o6755, "#!")
        .moded("bin/none", 0, "")
        .bare("bin/bare", "x")
        .hard("bin/again", "/bin/suid")
        .link("bin/link", "../../../etc/one")
        .hard("bin/link-again", "bin/link")
        .pax(&[("SCHILY.xattr.security.capability", CAPABILITY), ("mtime", b"1234567890.123456789")])
        .moded("bin/ping", 0o755, "ping")
        .pax(&[("uid", b"3000000000"), ("gid", b"12"), ("atime", b"1800000000.5")])
        .file("etc/owned", "x")
        .owner(1000, 2000)
        .dir("home/", 0o2770)
        .dir("home/shut/", 0)
        .file("home/shut/inside", "x")
        .link("home/loop", "loop")
        .node(kind::CHARACTER, "home/null", (1, 3))
        .node(kind::BLOCK, "home/loop0", (7, 0))
        .node(kind::FIFO, "home/fifo", (0, 0))
        .entry(kind::FILE, b"home/\xff\xfe", 0o600, b"", b"no text")
        .pax(&[("path", long.as_bytes())])
        .file("cut", "a long name")
        .entry(kind::GNU_LONG_NAME, b"././@LongLink", 0o644, b"", &[long.as_bytes(), b"2\0"].concat())
        .file("cut", "another long name")
        .file("opt/without/parents", "x")
        .owner(7, 8)
        .dir("opt/", 0o700)
        .owner(0, 0)
        .dir("etc/", 0o750)
}

fn upper() -> Archive {
    Archive::new()
        .dir("etc/", 0o755)
        .file("etc/.wh.one", "")
        .file("etc/new", "new")
        .owner(5, 6)
        .dir("home/", 0o700)
        .file("home/.wh..wh..opq", "")
        .file("home/only", "this")
        .file("opt/without/more", "x")
        .file("opt/other/parents", "y")
        .file(".wh.cut", "")
}

fn layer(archive: Archive, packing: Packing) -> Layer {
    Layer::packed(archive.end(), packing)
}

/// The directory of each layer of an image in a namespace, the uppermost first.
fn directories(rig: &Rig, namespace: &str, layers: &[&Archive]) -> Vec<PathBuf> {
    let mut chain = String::new();
    for archive in layers {
        let diff_id = digest(&(*archive).clone().end());
        chain = if chain.is_empty() { diff_id } else { digest(format!("{chain} {diff_id}").as_bytes()) };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = format!("look-{}", ulid::Ulid::generate());
    runtime.block_on(async {
        let client = containerd_client::Client::from_path(&rig.settings.address).await.unwrap();
        let snapshotter = usual_snapshotter();
        let view = ViewSnapshotRequest {
            snapshotter: snapshotter.clone(),
            key: key.clone(),
            parent: chain,
            ..ViewSnapshotRequest::default()
        };
        let mounts = client.snapshots().view(to(namespace, view)).await.unwrap().into_inner().mounts;
        let remove = RemoveSnapshotRequest { snapshotter, key };
        // The collector may have been there, since nothing keeps it.
        let _ = client.snapshots().remove(to(namespace, remove)).await;
        let lower = mounts[0].options.iter().find_map(|option| option.strip_prefix("lowerdir="));
        lower.unwrap().split(':').map(PathBuf::from).collect()
    })
}

fn to<T>(namespace: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", namespace.parse().unwrap());
    request
}

/// Returns whether the files came by an exchange: they were there before the snapshot that has them.
fn is_exchanged(directory: &Path) -> bool {
    let made = |path: &Path| -> SystemTime { fs::metadata(path).unwrap().created().unwrap() };
    made(directory) < made(directory.parent().unwrap())
}

/// The times of the directories that are older than the test.
fn times(root: &Path) -> BTreeMap<PathBuf, (i64, i64)> {
    let mut times = BTreeMap::new();
    let mut all = vec![root.to_owned()];
    while let Some(path) = all.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            if about.mtime() <= 1_700_000_000 {
                let name = path.strip_prefix(root).unwrap().to_owned();
                times.insert(name, (about.mtime(), about.mtime_nsec()));
            }
        }
    }
    times
}

/// A rig, unless its containerd cannot have the one snapshotter that this is about.
fn on_overlayfs() -> Option<Rig> {
    let snapshotter = usual_snapshotter();
    if snapshotter != "overlayfs" {
        eprintln!("SKIPPED: the snapshotter is {snapshotter}; layers are left to containerd");
        return None;
    }
    Rig::new()
}

/// Pull an image of archives by the library and by `ctr`, and compare what is stored of each layer. Returns which of the
/// library's, the uppermost first, were unpacked by itself.
fn compare(archives: &[Archive], packing: Packing) -> Option<Vec<bool>> {
    let rig = on_overlayfs()?;
    let (shelf, peer) = (Shelf::start(), Peer::of(&rig));
    let layers = archives.iter().map(|archive| layer(archive.clone(), packing)).collect();
    let image = Image::new(layers, json!({ "Env": ["PATH=/bin"] }));
    let name = shelf.put("unpacked", Stock::of(&image));
    // There is no such command, but the image is there then.
    rig.run(&name, "true");
    peer.pull(&name, &["--plain-http"]).unwrap();
    let archives: Vec<_> = archives.iter().collect();
    let of = |namespace: &str| directories(&rig, namespace, &archives);
    let (ours, theirs) = (of(&rig.settings.namespace), of(&peer.namespace));
    assert_eq!((ours.len(), theirs.len()), (archives.len(), archives.len()));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(!is_exchanged(theirs), "{}", theirs.display());
        let lines = rootfs::differences(&rootfs::walk(ours), &rootfs::walk(theirs));
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        assert_eq!(times(ours), times(theirs));
        assert!(!times(ours).is_empty());
    }
    Some(ours.iter().map(|directory| is_exchanged(directory)).collect())
}

/// A file that is like no other: what containerd has already is not read.
fn marked(archive: Archive) -> Archive {
    archive.file("mark", &ulid::Ulid::generate().to_string())
}

#[test]
fn layers_unpacked_as_they_are_read_are_what_containerd_makes_of_them() {
    for packing in [Packing::Gzip, Packing::Plain] {
        let Some(done) = compare(&[marked(lowest()), marked(upper())], packing) else { return };
        assert_eq!(done, [true, true]);
    }
}

#[test]
fn what_is_unusual_in_a_layer_is_left_to_containerd() {
    let unusual = [
        Archive::new().dir("d/", 0o755).file("d/f", "first").file("d/f", "second"),
        Archive::new().dir("d/", 0o755).link("l", "d").file("l/through", "x"),
        Archive::new().dir("d/", 0o755).pax(&[("SCHILY.xattr.user.odd", b"x")]).file("f", "x"),
        Archive::new().dir("d/", 0o755).file("d/f", "x").hard("d/again", "d/../d/f"),
        Archive::new().dir("d/", 0o755).file("bin/link/in-its-place", "x"),
        Archive::new()
            .dir("d/", 0o755)
            .pax(&[("comment", b"one")])
            .pax(&[("mtime", b"1234567890")])
            .file("d/described-twice", "x"),
        Archive::new()
            .dir("d/", 0o755)
            .dir("etc/", 0o755)
            .dir("etc/", 0o700)
            .file("etc/f", "")
            .dir("etc/f", 0o755),
    ];
    for archive in unusual {
        let Some(done) = compare(&[marked(lowest()), marked(archive), marked(upper())], Packing::Gzip)
        else {
            return;
        };
        assert_eq!(done, [true, false, true]);
    }
}

#[test]
fn layers_in_one_directory_are_what_an_overlay_of_them_shows() {
    let Some(rig) = on_overlayfs() else { return };
    let (shelf, peer, dir) = (Shelf::start(), Peer::of(&rig), tempfile::tempdir().unwrap());
    let replaced = Archive::new()
        .dir("etc/", 0o755)
        .dir("etc/new/", 0o700)
        .file("etc/new/inside", "x")
        .file("home", "no directory")
        .file("etc/.wh.owned", "")
        .pax(&[("SCHILY.xattr.user.odd", b"x")])
        .file("bin/bare", "y");
    let archives = [marked(lowest()), marked(upper()), marked(replaced)];
    let layers = archives.iter().map(|archive| layer(archive.clone(), Packing::Gzip)).collect();
    let name = shelf.put("flat", Stock::of(&Image::new(layers, json!({}))));
    peer.pull(&name, &["--plain-http"]).unwrap();
    let lower = directories(&rig, &peer.namespace, &archives.iter().collect::<Vec<_>>());
    let lower: Vec<_> = lower.iter().map(|path| path.display().to_string()).collect();
    let image = directory::get(&dir.path().join("images"), &name, Pull::Missing).unwrap();
    let shown = dir.path().join("shown");
    fs::create_dir(&shown).unwrap();
    let options = format!("lowerdir={}", lower.join(":"));
    mount(Some("overlay"), &shown, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str())).unwrap();
    let (ours, theirs) = (rootfs::walk(&image.rootfs), rootfs::walk(&shown));
    umount2(&shown, MntFlags::MNT_DETACH).unwrap();
    let lines = rootfs::differences(&ours, &theirs);
    assert!(lines.is_empty() && ours.len() > 20, "{}", lines.join("\n"));
}

/// Have this thread, and those that it starts, see other directories in the place of containerd's snapshots.
fn hide(snapshots: &Path, number: u64) {
    // SAFETY: a plain call.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "{}", std::io::Error::last_os_error());
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(none, snapshots, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    for next in number..number + 200 {
        fs::create_dir_all(snapshots.join(next.to_string()).join("fs")).unwrap();
    }
}

#[test]
fn a_process_that_sees_other_directories_leaves_layers_to_containerd() {
    let Some(rig) = on_overlayfs() else { return };
    let shelf = Shelf::start();
    let pull = |rig: &Rig, name: &str| {
        let archives = [lowest(), marked(upper())];
        let layers = archives.iter().map(|archive| layer(archive.clone(), Packing::Gzip)).collect();
        let image = Image::new(layers, json!({ "Env": ["PATH=/bin"] }));
        rig.run(&shelf.put(name, Stock::of(&image)), "true");
        directories(rig, &rig.settings.namespace, &archives.iter().collect::<Vec<_>>())
    };
    let seen = pull(&rig, "seen");
    assert!(is_exchanged(&seen[0]));
    let own = seen[0].parent().unwrap();
    let number = own.file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let snapshots = own.parent().unwrap();
    let hidden = std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            hide(snapshots, number);
            let pulled = pull(&Rig::new().unwrap(), "hidden");
            for directory in &pulled {
                let found = fs::read_dir(directory).map_or(0, Iterator::count);
                assert_eq!(found, 0, "{}", directory.display());
            }
            pulled
        });
        elsewhere.join().unwrap()
    });
    assert_eq!(hidden.len(), 2);
    for directory in &hidden {
        assert!(!is_exchanged(directory), "{}", directory.display());
        assert!(fs::read_dir(directory).unwrap().count() > 0, "{}", directory.display());
    }
}
