//! The one table from what Slurm's programs say to a DRMAA2 error.

use std::io;
use std::path::Path;

use crate::model::{Error, ErrorCode, JobTemplate, Text};

/// Parts of the messages of Slurm's programs, and their class; the first that fits counts. The texts were seen on
/// 22.05, 24.11 and 26.05.
const WORDS: [(&str, ErrorCode); 29] = [
    ("Unable to contact slurm controller", ErrorCode::DrmCommunication),
    ("Unable to contact Slurm controller", ErrorCode::DrmCommunication),
    ("Could not establish a configuration source", ErrorCode::DrmCommunication),
    ("Unable to process configuration file", ErrorCode::DrmCommunication),
    ("Unable to establish configuration source", ErrorCode::DrmCommunication),
    ("Socket timed out", ErrorCode::DrmCommunication),
    ("Connection refused", ErrorCode::DrmCommunication),
    ("Zero Bytes were transmitted", ErrorCode::DrmCommunication),
    ("Unexpected message received", ErrorCode::DrmCommunication),
    // Seen while the daemon was dead that vouches for users.
    ("Unexpected missing socket error", ErrorCode::DrmCommunication),
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
    ("Access denied to requested reservation", ErrorCode::DeniedByDrms),
    ("Requested reservation is in use", ErrorCode::InvalidState),
    ("Invalid job id specified", ErrorCode::InvalidArgument),
    ("Slurm temporarily unable to accept job", ErrorCode::TryLater),
    ("Resource temporarily unavailable", ErrorCode::TryLater),
    ("Job is no longer pending execution", ErrorCode::InvalidState),
    ("Requested operation not supported", ErrorCode::UnsupportedOperation),
    ("Job is pending execution", ErrorCode::InvalidState),
];

/// An error of the system, with the path of the file.
pub(super) fn of_file(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::of_own(error), format!("{}: {error}", path.display()))
}

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

/// The attribute of generic resources.
const GRES: &str = "containerd_jt_gres";

/// The refusal of a job with this template, with the attribute in front that Slurm means.
pub(super) fn of_template(error: Error, template: &JobTemplate) -> Error {
    let text = |text: &Option<Text>| {
        text.as_ref().filter(|text| !text.is_empty()).map(|text| format!("\"{text}\""))
    };
    let (queue, account) = (text(&template.queue_name), text(&template.accounting_id));
    let gres = text(&template.extensions.get(GRES).cloned());
    // Parts of Slurm's messages; the first that fits counts, of an attribute that is set.
    let attributes = [
        ("account", "accountingId", account),
        ("partition", "queueName", queue),
        ("reservation", "reservationId", text(&template.reservation_id)),
        ("Memory", "minPhysMemory", template.min_phys_memory.map(|memory| memory.to_string())),
        ("CPU count", "minSlots", template.min_slots.map(|slots| slots.to_string())),
        ("generic resource", GRES, gres),
        ("More processors", "minSlots", template.min_slots.map(|slots| slots.to_string())),
    ];
    let meant = attributes.into_iter().find_map(|(words, name, value)| {
        error.message.contains(words).then_some(())?;
        Some(format!("{name} {}", value?))
    });
    match meant {
        Some(attribute) => error.of(attribute),
        None => error,
    }
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
            (
                "sbatch: error: Batch job submission failed: Unexpected missing socket error",
                DrmCommunication,
                "sbatch: Unexpected missing socket error",
            ),
            ("", InvalidArgument, "sbatch: it ended with 1"),
        ] {
            let error = of_program("sbatch", 1, said);
            assert_eq!((error.code, error.message.as_str()), (expected, text));
        }
    }

    #[test]
    fn a_refusal_names_the_attribute() {
        let template = JobTemplate {
            queue_name: Some("q".into()),
            reservation_id: Some("r".into()),
            min_phys_memory: Some(7),
            min_slots: Some(99),
            extensions: [(GRES.to_owned(), "x:1".into())].into(),
            ..JobTemplate::default()
        };
        for (said, attribute) in [
            (
                "invalid partition specified: q; Invalid partition name specified",
                Some("queueName \"q\""),
            ),
            ("Requested reservation is invalid", Some("reservationId \"r\"")),
            (
                "Memory specification can not be satisfied; Requested node configuration is not available",
                Some("minPhysMemory 7"),
            ),
            (
                "CPU count per node can not be satisfied; Requested node configuration is not available",
                Some("minSlots 99"),
            ),
            ("Invalid generic resource (gres) specification", Some("containerd_jt_gres \"x:1\"")),
            // It names none.
            ("Invalid account or account/partition combination specified", Some("queueName \"q\"")),
            ("Access/permission denied", None),
        ] {
            let error = of_template(Error::argument(said), &template);
            let expected = attribute.map_or(said.to_owned(), |attribute| format!("{attribute}: {said}"));
            assert_eq!(error.message, expected);
        }
    }
}
