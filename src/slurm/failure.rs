//! The one table from what Slurm's programs say to a DRMAA2 error.

use std::io;

use crate::model::{Error, ErrorCode};

/// Parts of the messages of Slurm's programs, and their class; the first that fits counts. The texts were seen on
/// 22.05, 24.11 and 26.05.
const WORDS: [(&str, ErrorCode); 26] = [
    ("Unable to contact slurm controller", ErrorCode::DrmCommunication),
    ("Unable to contact Slurm controller", ErrorCode::DrmCommunication),
    ("Could not establish a configuration source", ErrorCode::DrmCommunication),
    ("Unable to process configuration file", ErrorCode::DrmCommunication),
    ("Unable to establish configuration source", ErrorCode::DrmCommunication),
    ("Socket timed out", ErrorCode::DrmCommunication),
    ("Connection refused", ErrorCode::DrmCommunication),
    ("Zero Bytes were transmitted", ErrorCode::DrmCommunication),
    ("Unexpected message received", ErrorCode::DrmCommunication),
    ("Protocol authentication error", ErrorCode::DrmCommunication),
    ("authentication plugin", ErrorCode::DrmCommunication),
    ("Munge", ErrorCode::DrmCommunication),
    ("MUNGE", ErrorCode::DrmCommunication),
    ("not found", ErrorCode::DrmCommunication),
    ("Access/permission denied", ErrorCode::DeniedByDrms),
    ("Permission denied", ErrorCode::DeniedByDrms),
    ("Invalid user id", ErrorCode::DeniedByDrms),
    ("Job violates accounting/QOS policy", ErrorCode::DeniedByDrms),
    ("Invalid account or account/partition combination", ErrorCode::DeniedByDrms),
    ("User's group not permitted", ErrorCode::DeniedByDrms),
    ("Invalid job id specified", ErrorCode::InvalidArgument),
    ("Slurm temporarily unable to accept job", ErrorCode::TryLater),
    ("Resource temporarily unavailable", ErrorCode::TryLater),
    ("Job is no longer pending execution", ErrorCode::InvalidState),
    ("Requested operation not supported", ErrorCode::UnsupportedOperation),
    ("Job is pending execution", ErrorCode::InvalidState),
];

/// The error of a program of Slurm that has ended with a code other than 0.
pub(super) fn of_program(program: &str, code: i32, errors: &str) -> Error {
    let lines = errors.lines().map(|line| plain(program, line)).filter(|line| !line.is_empty());
    let mut lines: Vec<&str> = lines.collect();
    lines.dedup();
    let text = lines.join("; ");
    let known = WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, code)| *code);
    let text = if text.is_empty() { format!("it ended with {code}") } else { text };
    let remedy = if code == 127 { "; are Slurm's programs installed, and in PATH?" } else { "" };
    // The controller refuses a request for a fault of the request.
    Error::new(known.unwrap_or(ErrorCode::InvalidArgument), format!("{program}: {text}{remedy}"))
}

/// The error of a program that could not be run or heard.
pub(super) fn of_io(error: &io::Error) -> Error {
    let code = match ErrorCode::of_io(error) {
        known @ (ErrorCode::OutOfResource | ErrorCode::TryLater) => known,
        _ => ErrorCode::DrmCommunication,
    };
    Error::new(code, error.to_string())
}

/// A line without the name of the program and the kind of message.
fn plain<'a>(program: &str, line: &'a str) -> &'a str {
    let line = line.strip_prefix(program).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line);
    let line = ["error: ", "fatal: "].iter().find_map(|kind| line.strip_prefix(kind)).unwrap_or(line);
    line.strip_prefix("Batch job submission failed: ").unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_says_has_its_class() {
        use ErrorCode::*;
        for (said, expected, text) in [
            (
                "sbatch: error: Batch job submission failed: Invalid partition name specified",
                InvalidArgument,
                "sbatch: Invalid partition name specified",
            ),
            (
                "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
                DrmCommunication,
                "sbatch: Unable to contact slurm controller (connect failure)",
            ),
            (
                "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: \
                 Requested node configuration is not available",
                InvalidArgument,
                "sbatch: Memory specification can not be satisfied; Requested node configuration is not available",
            ),
            ("", InvalidArgument, "sbatch: it ended with 1"),
        ] {
            let error = of_program("sbatch", 1, said);
            assert_eq!((error.code, error.message.as_str()), (expected, text));
        }
    }
}
