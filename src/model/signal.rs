//! Names of the signals that end jobs.

use std::ops::RangeInclusive;

/// Linux's signals by number (signal(7); the same on every architecture that this library supports).
const NAMES: [&str; 32] = [
    "",
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name in `terminatingSignal`: `SIGKILL`, or `SIG34` for one without a name.
pub fn signal_name(number: i32) -> String {
    match usize::try_from(number).ok().and_then(|index| NAMES.get(index)) {
        Some(name) if !name.is_empty() => (*name).to_owned(),
        _ => format!("SIG{number}"),
    }
}

/// The first and the last of the signals without a predefined meaning, as programs see them: the C
/// library reserves those from 32 on for itself.
const REAL_TIME: RangeInclusive<i32> = 34..=64;

/// The number behind `SIGTERM`, `term`, `15` or `SIGRTMIN+3`, as an image's `StopSignal` writes it.
pub fn signal_number(name: &str) -> Option<i32> {
    let name = name.to_ascii_uppercase();
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(number) = decimal(bare) {
        return (1..=64).contains(&number).then_some(number);
    }
    let real_time = match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(*REAL_TIME.start()),
        (_, Some("")) => Some(*REAL_TIME.end()),
        (Some(above), _) => above.strip_prefix('+').and_then(decimal).map(|n| REAL_TIME.start() + n),
        (_, Some(below)) => below.strip_prefix('-').and_then(decimal).map(|n| REAL_TIME.end() - n),
        _ => None,
    };
    if let Some(number) = real_time {
        return REAL_TIME.contains(&number).then_some(number);
    }
    NAMES
        .iter()
        .skip(1)
        .position(|known| known.strip_prefix("SIG") == Some(bare))
        .and_then(|index| i32::try_from(index + 1).ok())
}

/// A number of at most two digits.
fn decimal(text: &str) -> Option<i32> {
    let plain = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in 1..32 {
            assert_eq!(signal_number(&signal_name(number)), Some(number));
        }
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(11), "SIGSEGV");
        assert_eq!(signal_name(15), "SIGTERM");
        assert_eq!(signal_name(34), "SIG34");
        assert_eq!(signal_number("TERM"), Some(15));
        assert_eq!(signal_number("2"), Some(2));
        assert_eq!(signal_number("SIGNONE"), None);
        assert_eq!(signal_number("0"), None);
    }

    #[test]
    fn real_time_signals_have_names_and_letters_no_case() {
        let known = [
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+30", 64),
            ("SIGRTMAX-14", 50),
            ("rtmax", 64),
            ("sigterm", 15),
            ("Int", 2),
            ("37", 37),
        ];
        for (name, number) in known {
            assert_eq!(signal_number(name), Some(number), "{name}");
        }
        for name in [
            "RTMIN+31", "RTMIN-1", "RTMAX-31", "RTMAX+0", "RTMIN+", "RTMIN++1", "+9", "65", "099",
            "IRTMIN",
        ] {
            assert_eq!(signal_number(name), None, "{name}");
        }
    }
}
