//! The suspension of a job by its init, where the system that has started it does not suspend it.
//!
//! The request is a file in init's directory, at whose signal init stops all processes of the job, or lets them go on.
//! Its answer is a dangling symbolic link, see the fence of an attempt: it has its text from its first moment and needs
//! no disk block, so it is exchanged as a whole.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file, in init's directory, whose presence asks init to suspend the job, and whose absence to resume it.
pub const SUSPEND_FILE: &str = "suspend";
/// The signal at which init looks for that file. Before there is an init nothing ends, or stops, because of it.
pub const SUSPEND_SIGNAL: libc::c_int = libc::SIGCONT;

/// Name of the link in the same directory.
const LINK: &str = "switched";
const NEW_LINK: &str = "switched.new";
const SUSPENDED: &str = "suspended";
const RESUMED: &str = "resumed";

/// The last time that init has suspended the job, or resumed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switched {
    /// It was suspended.
    pub suspended: bool,
    /// The time, nanoseconds since the epoch.
    pub at: i64,
}

impl Switched {
    /// Note that the job was suspended or resumed just now. Without room for that, nothing is noted any more, which
    /// stands for a job that runs.
    pub fn note(dir: &Path, suspended: bool) -> io::Result<()> {
        Self::exchange(dir, suspended).inspect_err(|_| _ = fs::remove_file(dir.join(LINK)))
    }

    fn exchange(dir: &Path, suspended: bool) -> io::Result<()> {
        let new = dir.join(NEW_LINK);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let word = if suspended { SUSPENDED } else { RESUMED };
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => symlink(format!("{word} {at}"), &new)?,
        }
        fs::rename(new, dir.join(LINK))
    }

    /// Look what is noted. What init did not write is nothing.
    pub fn look(dir: &Path) -> Option<Self> {
        let text = fs::read_link(dir.join(LINK)).ok()?;
        let (word, at) = text.to_str()?.split_once(' ')?;
        let suspended = match word {
            SUSPENDED => true,
            RESUMED => false,
            _ => return None,
        };
        Some(Self { suspended, at: at.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_switch_is_what_is_seen() {
        let dir = std::env::temp_dir().join(format!("drmaa2-switched-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(Switched::look(&dir), None);
        Switched::note(&dir, true).unwrap();
        let first = Switched::look(&dir).unwrap();
        // One that died in between has left it.
        symlink("x", dir.join(NEW_LINK)).unwrap();
        Switched::note(&dir, false).unwrap();
        let second = Switched::look(&dir).unwrap();
        assert!(first.suspended && !second.suspended && second.at > first.at);
        fs::remove_file(dir.join(LINK)).unwrap();
        for other in ["suspended", "suspended x", "asleep 5"] {
            symlink(other, dir.join(LINK)).unwrap();
            assert_eq!(Switched::look(&dir), None, "{other}");
            fs::remove_file(dir.join(LINK)).unwrap();
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
