//! A job array in the directory that its tasks share on a cluster: its order serves all of them, and one file has a
//! byte for each task, so that requests and removals need no files of their own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The directory of the directories of arrays, beside that of all jobs.
pub const ARRAYS_DIR: &str = "arrays";
/// Name of the file with the marks of the tasks in an array's directory.
pub const MARKS_FILE: &str = "marks";

/// The mark of a task: a byte of [`MARKS_FILE`], at the place of the task in its array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Nothing is asked of it.
    None,
    /// It is to end.
    Terminate,
    /// It is to be killed.
    Kill,
    /// Nothing is left of it, or it was never submitted.
    Gone,
}

impl Mark {
    /// The byte of the file.
    pub fn byte(self) -> u8 {
        match self {
            Self::None => b'.',
            Self::Terminate => b't',
            Self::Kill => b'k',
            Self::Gone => b'-',
        }
    }

    /// The mark of a byte; what is unknown asks for nothing.
    pub fn of(byte: u8) -> Self {
        [Self::Terminate, Self::Kill, Self::Gone]
            .into_iter()
            .find(|mark| mark.byte() == byte)
            .unwrap_or(Self::None)
    }

    /// The mark of the task at this place; `NotFound` once nothing is left of the array.
    pub fn read(array_dir: &Path, place: u64) -> io::Result<Self> {
        let mut byte = [0];
        File::open(array_dir.join(MARKS_FILE))?.read_exact_at(&mut byte, place)?;
        Ok(Self::of(byte[0]))
    }

    /// Mark the tasks at these places, unless more is asked of them already.
    pub fn write(self, array_dir: &Path, places: impl IntoIterator<Item = u64>) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(array_dir.join(MARKS_FILE))?;
        for place in places {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place)?;
            if Self::of(byte[0]) < self {
                file.write_all_at(&[self.byte()], place)?;
            }
        }
        Ok(())
    }
}

/// Replace every occurrence of a text.
pub fn replace(bytes: &[u8], text: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(text.len().max(1)).position(|window| window == text) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(with);
        rest = &rest[at + text.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_only_asks_for_more() {
        let dir = std::env::temp_dir().join(format!("drmaa2-marks-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(Mark::read(&dir, 0).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(dir.join(MARKS_FILE), "....").unwrap();
        Mark::Kill.write(&dir, [1]).unwrap();
        Mark::Terminate.write(&dir, [0, 1]).unwrap();
        Mark::Gone.write(&dir, [3]).unwrap();
        let marks = [0, 1, 2, 3].map(|place| Mark::read(&dir, place).unwrap());
        assert_eq!(marks, [Mark::Terminate, Mark::Kill, Mark::None, Mark::Gone]);
        assert!(Mark::read(&dir, 4).is_err() && Mark::Gone.write(&dir, [4]).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn every_occurrence_is_replaced() {
        for (bytes, replaced) in [("", ""), ("77", "5"), ("a77b777", "a5b57"), ("7", "7")] {
            assert_eq!(replace(bytes.as_bytes(), b"77", b"5"), replaced.as_bytes(), "{bytes}");
        }
    }
}
