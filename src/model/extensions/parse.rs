//! Parses the values of the implementation-specific attributes.

use serde::Deserialize;

use super::CpuSet;
use super::names::{CAPABILITIES, RLIMITS};
use super::values::{Device, Mount, Rlimit, Seccomp, Tmpfs};
use crate::model::Text;

/// Less is not enough for any runtime; some need much more.
pub(crate) const MIN_MEMORY: i64 = 1 << 20;
/// The kernel's largest number of process ids.
const MAX_PIDS: i64 = 1 << 22;
/// More than any machine has, but within the kernel's range.
const MAX_CPUS: i64 = 1_000_000;

/// The reason why a value is not valid.
pub(super) type Refusal = String;

/// The items of a list: its lines if it has several, otherwise the parts between commas; empty items are
/// skipped.
fn list(value: &Text) -> impl Iterator<Item = &[u8]> {
    let lines = value.as_bytes().contains(&b'\n');
    let split = move |byte: &u8| *byte == if lines { b'\n' } else { b',' };
    value.as_bytes().split(split).map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The items of a list, each parsed by `one`.
pub(super) fn each<T>(
    value: &Text,
    one: impl Fn(&[u8]) -> std::result::Result<T, Refusal>,
) -> std::result::Result<Vec<T>, Refusal> {
    let all: Vec<T> = list(value).map(one).collect::<std::result::Result<_, _>>()?;
    if all.is_empty() { Err("it names nothing".to_owned()) } else { Ok(all) }
}

pub(super) fn text(value: &Text) -> std::result::Result<&str, Refusal> {
    utf8(value.as_bytes())
}

fn utf8(bytes: &[u8]) -> std::result::Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

pub(super) fn choice<T: Copy>(value: &Text, choices: &[(&str, T)]) -> std::result::Result<T, Refusal> {
    let value = text(value)?;
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("it has to be one of {}", names.join(", "))
    })
}

pub(super) fn boolean(value: &Text) -> std::result::Result<bool, Refusal> {
    let yes = ["true", "on", "yes", "1"].map(|word| (word, true));
    let no = ["false", "off", "no", "0"].map(|word| (word, false));
    choice(value, &[yes, no].concat())
}

fn absolute(path: &[u8]) -> std::result::Result<Text, Refusal> {
    match path {
        [b'/', ..] => Ok(path.into()),
        _ => Err(format!("\"{}\" is not an absolute path", path.escape_ascii())),
    }
}

/// A mount in a JSON list, for paths that the other form cannot express.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonMount {
    source: String,
    destination: String,
    #[serde(default)]
    read_only: bool,
}

/// `SOURCE:DESTINATION[:ro]`, or a JSON list of objects.
pub(super) fn mounts(value: &Text) -> std::result::Result<Vec<Mount>, Refusal> {
    if !value.as_bytes().trim_ascii_start().starts_with(b"[") {
        return each(value, mount);
    }
    let listed: Vec<JsonMount> =
        serde_json::from_slice(value.as_bytes()).map_err(|error| error.to_string())?;
    if listed.is_empty() {
        return Err("it names nothing".to_owned());
    }
    let checked = listed.into_iter().map(|JsonMount { source, destination, read_only }| {
        absolute(source.as_bytes())?;
        inside(destination.as_bytes())?;
        Ok(Mount { source, destination, read_only })
    });
    checked.collect()
}

/// `SOURCE:DESTINATION[:ro]`
fn mount(part: &[u8]) -> std::result::Result<Mount, Refusal> {
    let part = utf8(part)?;
    let (paths, read_only) = match (part.strip_suffix(":ro"), part.strip_suffix(":rw")) {
        (Some(paths), _) => (paths, true),
        (None, Some(paths)) => (paths, false),
        (None, None) => (part, false),
    };
    let refuse = || format!("\"{part}\" is not SOURCE:DESTINATION[:ro]");
    let (source, destination) = paths.split_once(':').ok_or_else(refuse)?;
    if destination.contains(':') {
        return Err(refuse());
    }
    absolute(source.as_bytes())?;
    inside(destination.as_bytes())?;
    Ok(Mount { source: source.to_owned(), destination: destination.to_owned(), read_only })
}

/// A path in the container where a mount or a device of the job may be put.
fn inside(path: &[u8]) -> std::result::Result<Text, Refusal> {
    let path = absolute(path)?;
    let parts =
        path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<&[u8]> = parts.collect();
    match parts[..] {
        [] => Err("nothing can be put in the place of the root".to_owned()),
        // Streams without a file are connected to the null device, and masked paths show it.
        [b".drmaa2" | b"proc", ..] | [b"dev"] | [b"dev", b"null", ..] => {
            Err(format!("nothing can be put at \"{path}\""))
        }
        _ if parts.contains(&&b".."[..]) => Err(format!("nothing can be put at \"{path}\"")),
        _ => Ok(path),
    }
}

/// `DESTINATION[:SIZE]`
pub(super) fn tmpfs(part: &[u8]) -> std::result::Result<Tmpfs, Refusal> {
    let part = utf8(part)?;
    let (destination, bytes) = match part.split_once(':') {
        Some((destination, bytes)) => (destination, Some(size(bytes)?)),
        None => (part, None),
    };
    inside(destination.as_bytes())?;
    Ok(Tmpfs { destination: destination.to_owned(), size: bytes })
}

/// `USER[:GROUP]`
pub(super) fn user(value: &Text) -> std::result::Result<Text, Refusal> {
    let mut parts = value.as_bytes().split(|byte| *byte == b':');
    let (Some(user), group, None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it is not USER[:GROUP]".to_owned());
    };
    match account(user) && group.is_none_or(account) {
        true => Ok(value.clone()),
        false => Err("it is not USER[:GROUP]".to_owned()),
    }
}

pub(super) fn group(part: &[u8]) -> std::result::Result<Text, Refusal> {
    match account(part) {
        true => Ok(part.into()),
        false => Err(format!("\"{}\" is no group", part.escape_ascii())),
    }
}

/// Returns whether this could be in a passwd or group file, as a name or a number.
fn account(part: &[u8]) -> bool {
    let apart = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || *byte == b':';
    !part.is_empty() && !part.iter().any(apart)
}

/// `SOURCE[:DESTINATION][:rwm]`, or `vendor/class=name`.
pub(super) fn device(part: &[u8]) -> std::result::Result<Device, Refusal> {
    let refuse =
        || format!("\"{}\" is neither SOURCE[:DESTINATION][:rwm] nor a CDI name", part.escape_ascii());
    if !part.starts_with(b"/") {
        let name = utf8(part)?;
        let (kind, device) = name.split_once('=').ok_or_else(refuse)?;
        let (vendor, class) = kind.split_once('/').ok_or_else(refuse)?;
        let empty = [vendor, class, device].iter().any(|part| part.is_empty());
        return if empty { Err(refuse()) } else { Ok(Device::Cdi(name.to_owned())) };
    }
    let node = |source: &[u8], destination: &[u8], access: &[u8]| {
        let access = utf8(access)?;
        if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(refuse());
        }
        Ok(Device::Node {
            source: absolute(source)?,
            destination: inside(destination)?,
            access: access.to_owned(),
        })
    };
    match part.split(|byte| *byte == b':').collect::<Vec<_>>()[..] {
        [source] => node(source, source, b"rwm"),
        [source, destination @ [b'/', ..]] => node(source, destination, b"rwm"),
        [source, access] => node(source, source, access),
        [source, destination, access] => node(source, destination, access),
        _ => Err(refuse()),
    }
}

/// The full name of a capability, or `ALL`.
pub(super) fn capability(part: &[u8]) -> std::result::Result<String, Refusal> {
    let name = utf8(part)?.to_ascii_uppercase();
    let name = if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    match name == "ALL" || CAPABILITIES.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(format!("there is no capability {name}")),
    }
}

/// A number of bytes that is not 0.
pub(crate) fn size(text: &str) -> std::result::Result<i64, Refusal> {
    let refuse = || format!("\"{text}\" is no size");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return Err(refuse()),
    };
    let number = number(digits).filter(|number| *number > 0).ok_or_else(refuse)?;
    number.checked_mul(1 << shift).ok_or_else(refuse)
}

/// A decimal number without a sign.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A memory limit.
pub(super) fn memory(text: &str) -> std::result::Result<i64, Refusal> {
    size(text).and_then(|bytes| {
        if bytes < MIN_MEMORY { Err("no job starts with less than 1m".to_owned()) } else { Ok(bytes) }
    })
}

/// A number of processes and threads; the kernel takes no larger one.
pub(super) fn pids(text: &str) -> std::result::Result<i64, Refusal> {
    number(text)
        .filter(|number| (1..=MAX_PIDS).contains(number))
        .ok_or_else(|| format!("it has to be a number from 1 to {MAX_PIDS}"))
}

/// A decimal number with at most three digits after the point, times a thousand.
pub(super) fn thousandths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 3 {
        return None;
    }
    let part = number(part)? * 10_i64.pow(3 - u32::try_from(part.len()).ok()?);
    number(whole)?.checked_mul(1000)?.checked_add(part)
}

/// A number of seconds, in milliseconds.
pub(super) fn seconds(value: &Text) -> std::result::Result<i64, Refusal> {
    thousandths(text(value)?).ok_or_else(|| "it is no number of seconds".into())
}

/// Thousandths of a processor; the kernel gives no share below a hundredth.
pub(super) fn cpus(text: &str) -> std::result::Result<i64, Refusal> {
    thousandths(text)
        .filter(|number| (10..=MAX_CPUS * 1000).contains(number))
        .ok_or_else(|| format!("it is no number of processors from 0.01 to {MAX_CPUS}"))
}

/// `slots`, or a list of processors.
pub(super) fn cpuset(text: &str) -> std::result::Result<CpuSet, Refusal> {
    if text == "slots" { Ok(CpuSet::Slots) } else { text.parse().map(CpuSet::These) }
}

/// RFC 1123, in a single label or several.
pub(super) fn hostname(text: &str) -> std::result::Result<String, Refusal> {
    let label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !edges && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    match text.len() <= 64 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err("it is no host name".to_owned()),
    }
}

/// `NAME=SOFT[:HARD]`
pub(super) fn rlimit(part: &[u8]) -> std::result::Result<Rlimit, Refusal> {
    let part = utf8(part)?;
    let refuse = || format!("\"{part}\" is not NAME=SOFT[:HARD]");
    let (name, limits) = part.split_once('=').ok_or_else(refuse)?;
    let name = name.to_ascii_lowercase();
    if !RLIMITS.contains(&name.as_str()) {
        return Err(format!("there is no limit \"{name}\""));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit = |text: &str| match text {
        "unlimited" | "infinity" | "-1" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| refuse()),
    };
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return Err(format!("the soft limit of {name} is above the hard one"));
    }
    Ok(Rlimit { name, soft, hard })
}

/// The path of a control group, below the root of its hierarchy and without a slash at its ends.
pub(crate) fn cgroup(text: &str) -> std::result::Result<String, Refusal> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let odd = |part: &&str| matches!(*part, "." | "..");
    match !parts.is_empty() && !parts.iter().any(odd) && word(text).is_ok() {
        true => Ok(parts.join("/")),
        false => Err("it is no name of a control group".to_owned()),
    }
}

/// `NAME=VALUE`; containerd takes 4096 bytes of both together.
pub(super) fn label(part: &[u8]) -> std::result::Result<(String, String), Refusal> {
    let part = utf8(part)?;
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    // containerd does not keep a label without a value.
    if name.is_empty() || value.is_empty() || word(name).is_err() || part.len() > 4096 {
        return Err(format!("\"{part}\" is no label"));
    }
    // The library finds its own jobs by these.
    if name.starts_with("drmaa2") || name == "jobName" || name == "jobSessionName" {
        return Err(format!("the label {name} is the library's own"));
    }
    // And containerd acts on some of its own labels, as root.
    if name.starts_with("containerd.io/") {
        return Err(format!("the label {name} is containerd's own"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A name, or a path.
pub(super) fn word(text: &str) -> std::result::Result<String, Refusal> {
    match text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        false => Ok(text.to_owned()),
        true => Err("there is a blank in it".to_owned()),
    }
}

/// A name such as `io.containerd.runc.v2`, whose last two parts containerd turns into the name of a
/// program, or the path of that program.
pub(super) fn runtime(text: &str) -> std::result::Result<String, Refusal> {
    let name = word(text)?;
    let parts: Vec<&str> = name.split('.').collect();
    match name.starts_with('/') || (parts.len() > 1 && parts.iter().all(|part| !part.is_empty())) {
        true => Ok(name),
        false => Err("it is neither like io.containerd.runc.v2 nor an absolute path".to_owned()),
    }
}

pub(super) fn entrypoint(value: &Text) -> std::result::Result<Vec<Text>, Refusal> {
    if !value.as_bytes().starts_with(b"[") {
        return Ok(vec![value.clone()]);
    }
    let words: Vec<String> = serde_json::from_slice(value.as_bytes())
        .map_err(|_| "it is no JSON list of strings".to_owned())?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err("there is a NUL in it".to_owned());
    }
    Ok(words.into_iter().map(|word| Text::from(word.as_str())).collect())
}

pub(super) fn seccomp(value: &Text) -> std::result::Result<Seccomp, Refusal> {
    match value.as_bytes() {
        b"default" => Ok(Seccomp::Default),
        b"unconfined" => Ok(Seccomp::Unconfined),
        path => absolute(path).map(Seccomp::Profile),
    }
}
