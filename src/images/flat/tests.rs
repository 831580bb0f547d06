use std::collections::BTreeMap;
use std::fs as files;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::rights::{self, tests::nobody};

#[allow(unreachable_pub, dead_code)]
#[path = "../../../tests/registry/archive.rs"]
mod made;

use made::{Archive, kind};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Unpack layers below a directory.
fn unpack(dir: &Path, owners: Owners, layers: &[Archive]) -> Result<PathBuf> {
    let root = dir.join("rootfs");
    let mut flat = Flat::new(&root, owners).unwrap();
    for layer in layers {
        let bytes = layer.clone().end();
        let diff_id = flat.layer(bytes.as_slice(), true)?;
        let mut whole = archive::Hashed::new(bytes.as_slice());
        io::copy(&mut whole, &mut io::sink()).unwrap();
        assert_eq!(diff_id, whole.finish());
    }
    flat.finish().unwrap();
    Ok(root)
}

/// A directory in which an image is unpacked.
fn image(layers: &[Archive]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = unpack(dir.path(), Owners::possible(), layers).unwrap();
    (dir, root)
}

/// The same by a user who is not root: with the rights of one, if these tests have those of root.
fn as_user<T: Send>(work: impl FnOnce(&Path, Owners) -> T + Send) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("of-user");
    files::create_dir(&path).unwrap();
    if !is_root() {
        return work(&path, Owners::possible());
    }
    files::set_permissions(dir.path(), files::Permissions::from_mode(0o755)).unwrap();
    let user = nobody();
    std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
    rights::of(&user, || Ok(work(&path, Owners::One(user.uid, user.gid)))).unwrap()
}

/// All paths, with the content of files.
fn list(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in files::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let about = files::symlink_metadata(&path).unwrap();
            let text = match () {
                () if about.is_dir() => {
                    dirs.push(path.clone());
                    "/".to_owned()
                }
                () if about.is_symlink() => format!("-> {}", files::read_link(&path).unwrap().display()),
                () => files::read_to_string(&path).unwrap(),
            };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), text);
        }
    }
    all
}

#[track_caller]
fn check(layers: &[Archive], wanted: &[(&str, &str)]) {
    let (_dir, root) = image(layers);
    let wanted: BTreeMap<_, _> =
        wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(list(&root), wanted);
}

#[test]
fn a_whiteout_takes_what_is_below_and_no_more() {
    let lower = Archive::new()
        .file("file", "1")
        .dir("dir/", 0o755)
        .file("dir/in/side", "1")
        .file("dir/other", "1")
        .link("link", "dir")
        .file("kept", "1");
    let upper = Archive::new()
        .file(".wh.file", "")
        .file(".wh.dir", "")
        .file(".wh.link", "")
        .file(".wh.none", "")
        .file("absent/.wh.none", "")
        .file("dir/new", "2");
    check(&[lower, upper], &[("absent", "/"), ("dir", "/"), ("dir/new", "2"), ("kept", "1")]);
}

#[test]
fn a_whiteout_is_not_about_its_own_layer_wherever_it_stands() {
    let lower = Archive::new()
        .file("dir/old", "1")
        .file("dir/sub/old", "1")
        .file("dir/sub/deep/old", "1")
        .file("file", "1")
        .file("tree/old", "1");
    let upper = Archive::new()
        .file("dir/new", "2")
        .file("dir/sub/new", "2")
        .file("dir/.wh..wh..opq", "")
        .file("dir/later", "2")
        .file("file", "2")
        .file(".wh.file", "")
        .file("tree/new", "2")
        .file(".wh.tree", "");
    let wanted = [
        ("dir", "/"),
        ("dir/later", "2"),
        ("dir/new", "2"),
        ("dir/sub", "/"),
        ("dir/sub/new", "2"),
        ("file", "2"),
        ("tree", "/"),
        ("tree/new", "2"),
    ];
    check(&[lower.clone(), upper], &wanted);
    check(&[lower.clone(), Archive::new().file(".wh..wh..opq", "").file("a", "2")], &[("a", "2")]);
    check(&[Archive::new().file(".wh.a", "").file("b", "1")], &[("b", "1")]);
    // The second layer is below the third, which hides what that has made.
    let third = Archive::new().file(".wh.a", "").file("b", "3");
    check(
        &[Archive::new().file("c", "1"), Archive::new().file("a", "2"), third],
        &[("b", "3"), ("c", "1")],
    );
}

#[test]
fn what_comes_later_replaces_what_is_there() {
    let lower = Archive::new()
        .file("file", "1")
        .file("dir/inside", "1")
        .file("merged/inside", "1")
        .link("link", "file")
        .link("to-dir", "dir")
        .file("hard", "1");
    let upper = Archive::new()
        .dir("file/", 0o755)
        .file("dir", "2")
        .dir("merged", 0o700)
        .file("merged/more", "2")
        .file("link", "2")
        .dir("to-dir/", 0o755)
        .hard("hard", "link");
    let wanted = [
        ("dir", "2"),
        ("file", "/"),
        ("hard", "2"),
        ("link", "2"),
        ("merged", "/"),
        ("merged/inside", "1"),
        ("merged/more", "2"),
        ("to-dir", "/"),
    ];
    check(&[lower, upper], &wanted);
}

#[test]
fn links_on_the_way_are_followed_within_the_root() {
    let lower = Archive::new()
        .dir("usr/lib/", 0o755)
        .link("lib", "usr/lib")
        .link("usr/absolute", "/usr/lib")
        .link("usr/lib/up", "../../../../../etc")
        .link("dangling", "var/there")
        .link("loop", "loop");
    let upper = Archive::new()
        .file("lib/one", "2")
        .file("usr/absolute/two", "2")
        .file("lib/up/three", "2")
        .file("dangling/four", "2")
        .hard("five", "usr/absolute/one");
    let (_dir, root) = image(&[lower.clone(), upper]);
    let found = list(&root);
    for path in ["usr/lib/one", "usr/lib/two", "etc/three", "var/there/four", "five"] {
        assert_eq!(found.get(path).map(String::as_str), Some("2"), "{path} in {found:?}");
    }
    assert_eq!(found["lib"], "-> usr/lib");
    let dir = tempfile::tempdir().unwrap();
    let looped = unpack(dir.path(), Owners::possible(), &[lower, Archive::new().file("loop/x", "")]);
    let error = looped.unwrap_err();
    assert!(error.message.starts_with("/loop/x: Too many levels of symbolic links"), "{error}");
}

#[test]
fn nothing_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().to_str().unwrap();
    files::write(outside.path().join("canary"), "safe").unwrap();
    let canary = |text: &str| {
        assert_eq!(files::read_to_string(outside.path().join("canary")).unwrap(), "safe", "{text}");
        assert_eq!(files::read_dir(outside.path()).unwrap().count(), 1, "{text}");
    };
    let up = format!("{}{path}", "../".repeat(12));
    for target in [path, &up] {
        let lower = || Archive::new().link("out", target).link("file", &format!("{target}/canary"));
        let attempts = [
            Archive::new().file("out/canary", "x").file("out/new", "x"),
            Archive::new().file("out/.wh.canary", ""),
            Archive::new().file("out/.wh..wh..opq", ""),
            Archive::new().file(".wh.out", ""),
            Archive::new().file("file", "x"),
            Archive::new().dir("out/", 0o700).file("out/new", "x"),
            Archive::new().dir("out/canary", 0o700),
            Archive::new().link("out/link", "x"),
            Archive::new().hard("copy", "file").file("copy", "x"),
        ];
        for attempt in attempts {
            image(&[lower(), attempt]);
            canary(target);
        }
        // A file that is there only outside cannot be linked.
        let dir = tempfile::tempdir().unwrap();
        let linked =
            unpack(dir.path(), Owners::possible(), &[lower(), Archive::new().hard("c", "out/canary")]);
        assert!(linked.unwrap_err().message.starts_with("/c: No such file"));
    }
    for refused in [
        Archive::new().file("../escaped", "x"),
        Archive::new().file("a/../../escaped", "x"),
        Archive::new().hard("a", "../../etc/passwd"),
        Archive::new().file(".wh...", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = unpack(dir.path(), Owners::possible(), &[Archive::new().file("a", ""), refused]);
        assert_eq!(error.unwrap_err().code, ErrorCode::InvalidArgument);
        assert_eq!(files::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn no_tree_is_too_deep_to_be_removed() {
    let long = |count: usize| "d/".repeat(count);
    let error = |layers: &[Archive]| {
        let dir = tempfile::tempdir().unwrap();
        unpack(dir.path(), Owners::possible(), layers).unwrap_err().message
    };
    let file = |path: &str| Archive::new().pax(&[("path", path.as_bytes())]).file("f", "x");
    image(&[file(&format!("{}f", long(255)))]);
    assert!(
        error(&[file(&format!("{}f", long(256)))]).ends_with("too many directories inside each other")
    );
    // Also in steps, each of which is short.
    let lower =
        file(&format!("{}f", long(200))).pax(&[("linkpath", long(200).as_bytes())]).link("l", "x");
    assert!(error(&[lower, file(&format!("l/{}f", long(200)))]).ends_with("inside each other"));
}

fn about(root: &Path, path: &str) -> files::Metadata {
    files::symlink_metadata(root.join(path)).unwrap()
}

/// Files with all that there is to them.
fn rich() -> Archive {
    Archive::new()
        .owner(1000, 2000)
        .dir("home/", 0o2750)
        .moded("home/suid", 0o6755, "#!")
        .entry(kind::HARD_LINK, b"again", 0o6755, b"home/suid", b"")
        .link("link", "home/suid")
        .pax(&[
            ("mtime", b"1234567890.5"),
            ("SCHILY.xattr.user.note", b"x"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            (
                "SCHILY.xattr.security.capability",
                &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ])
        .moded("noted", 0o400, "x")
        .pax(&[("mtime", b"1234567890.5")])
        .entry(kind::HARD_LINK, b"noted-again", 0o400, b"noted", b"")
        .node(kind::FIFO, "fifo", (0, 0))
        .node(kind::CHARACTER, "null", (1, 3))
        .hard("null-again", "null")
        .file("home/last", "x")
}

fn attributes(file: &Path) -> Vec<String> {
    let mut names = vec![0; 4096];
    let length = fs::llistxattr(file, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
    names.retain(|name| name != "security.selinux");
    names.sort();
    names
}

#[test]
fn files_are_as_the_image_says() {
    if !is_root() {
        return;
    }
    let (_dir, root) = image(&[rich(), Archive::new().file("home/upper", "")]);
    let mode = |path: &str| about(&root, path).mode() & 0o7777;
    assert_eq!((mode("home"), mode("home/suid"), mode("noted")), (0o2750, 0o6755, 0o400));
    assert_eq!((about(&root, "noted").uid(), about(&root, "noted").gid()), (1000, 2000));
    assert_eq!((about(&root, "link").uid(), about(&root, "home").gid()), (1000, 2000));
    assert_eq!(about(&root, "again").ino(), about(&root, "home/suid").ino());
    assert_eq!(
        (about(&root, "noted").mtime(), about(&root, "noted").mtime_nsec()),
        (1_234_567_890, 500_000_000)
    );
    assert_eq!(attributes(&root.join("noted")), ["security.capability", "user.note"]);
    assert!(about(&root, "fifo").file_type().is_fifo());
    let rdev = |path: &str| about(&root, path).rdev();
    assert_eq!((rdev("null"), rdev("null-again")), (fs::makedev(1, 3), fs::makedev(1, 3)));
}

#[test]
fn files_are_those_of_a_user_who_unpacks_them() {
    as_user(|dir, owners| {
        let Owners::One(user, group) = owners else { panic!("{owners:?}") };
        let root = unpack(dir, owners, &[rich()]).unwrap();
        let mode = |path: &str| about(&root, path).mode() & 0o7777;
        assert_eq!((mode("home"), mode("home/suid"), mode("noted")), (0o750, 0o755, 0o400));
        for path in ["home", "home/suid", "link", "noted"] {
            assert_eq!((about(&root, path).uid(), about(&root, path).gid()), (user, group), "{path}");
        }
        assert_eq!(about(&root, "home").mtime(), 1_700_000_000);
        assert_eq!(about(&root, "again").ino(), about(&root, "home/suid").ino());
        assert_eq!(attributes(&root.join("noted")), ["user.note"]);
        assert!(!root.join("null").exists() && !root.join("null-again").exists());
        assert!(about(&root, "fifo").file_type().is_fifo());
    });
}

#[test]
fn directories_that_their_user_may_not_use_are_filled_and_removed() {
    as_user(|dir, owners| {
        let lower = Archive::new()
            .dir("shut/", 0)
            .dir("shut/inner/", 0o500)
            .file("shut/inner/file", "1")
            .dir("opened/", 0)
            .dir("gone/", 0)
            .file("gone/file", "1")
            .dir("replaced/", 0o100);
        let upper = Archive::new()
            .file("shut/inner/more", "2")
            .file("shut/inner/.wh.file", "")
            .dir("opened/", 0o755)
            .file(".wh.gone", "")
            .file("replaced", "2");
        let root = unpack(dir, owners, &[lower, upper]).unwrap();
        let mode = |path: &str| about(&root, path).mode() & 0o7777;
        assert_eq!((mode("shut"), mode("opened"), mode("replaced")), (0, 0o755, 0o644));
        files::set_permissions(root.join("shut"), files::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(mode("shut/inner"), 0o500);
        assert_eq!(list(&root.join("shut/inner")), BTreeMap::from([("more".into(), "2".into())]));
        assert!(!root.join("gone").exists());
        files::set_permissions(root.join("shut"), files::Permissions::from_mode(0o0)).unwrap();
        remove(open(dir).unwrap().as_fd(), b"rootfs").unwrap();
        assert_eq!(files::read_dir(dir).unwrap().count(), 0);
    });
}

#[test]
fn a_layer_that_is_cut_or_no_archive_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut flat = Flat::new(&dir.path().join("rootfs"), Owners::possible()).unwrap();
    let whole = Archive::new().file("file", &"x".repeat(5000)).end();
    let error = flat.layer(&whole[..2000], true).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    for bytes in [&[0x1f, 0x8b, 8, 0, 1][..], &[0x28, 0xb5, 0x2f, 0xfd, 0], &[7; 600]] {
        assert_eq!(flat.layer(bytes, true).unwrap_err().code, ErrorCode::InvalidArgument);
    }
    let packed = {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &whole).unwrap();
        packed.finish().unwrap()
    };
    flat.layer(packed.as_slice(), true).unwrap();
    assert!(flat.layer(packed.as_slice(), false).is_err(), "it is said to be plain");
}
