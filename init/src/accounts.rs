//! An account and a home for a user that the image does not know.
//!
//! Programs look up their user's name as in passwd(5), and write to the home. Both are made as podman
//! makes them, in the container's own root file system only: anything mounted there belongs to somebody
//! else.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::identity;
use crate::place::{self, Place};
use crate::user::{GROUP, PASSWD, User};

/// The home if none can be made, provided that everybody may write to it.
const SHARED: &str = "/tmp";

/// Give an account and a home to a user that the image does not know. A failure is ignored: the root file system of a
/// container may be read-only, and an image without such a file has no program that reads it.
pub(crate) fn provide(user: &mut User) {
    if !user.is_new {
        return;
    }
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    let home = match make_home(user) {
        Ok(()) => user.home.clone(),
        Err(_) if is_for_everybody(SHARED) => SHARED.as_bytes().to_vec(),
        Err(_) => b"/".to_vec(),
    };
    user.home = home;
    let fields: [&[u8]; 7] =
        [&user.name, b"x", uid.as_bytes(), gid.as_bytes(), b"", &user.home, b"/bin/sh"];
    let _ = append(PASSWD, &fields.join(&b':'));
    if !user.has_group {
        let _ = append(GROUP, &[gid.as_bytes(), b"x", gid.as_bytes(), b""].join(&b':'));
    }
}

/// Make the user's home, or check that it exists and belongs to the user.
fn make_home(user: &User) -> io::Result<()> {
    let him = user.identity();
    let path = Path::new(OsStr::from_bytes(&user.home));
    let place = Place::of_container(path, &him, true)?;
    place.make_directory(&him, 0o700)?;
    let found = place.kind()?;
    let uid = if identity::has_one_user() { 0 } else { user.uid };
    let is_his = found.st_uid == uid && found.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if is_his { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn is_for_everybody(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir() && found.mode() & 0o003 == 0o003)
}

/// Append a line to a file of the container's own.
fn append(path: &str, line: &[u8]) -> io::Result<()> {
    let mut file = File::from(place::open_own(path, libc::O_RDWR | libc::O_APPEND)?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut last = [b'\n'];
    if let Some(at) = found.len().checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    let end: &[u8] = if last == [b'\n'] { b"" } else { b"\n" };
    file.write_all(&[end, line, b"\n"].concat())
}
