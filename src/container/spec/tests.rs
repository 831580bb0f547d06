use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::model::{Extensions, JobTemplate};

fn file(source: &str, target: &'static str, read_only: bool) -> FileMount {
    FileMount { source: source.into(), target: target.to_owned(), read_only }
}

fn host() -> Host {
    Host {
        counts_swap: true,
        read_only_trees: true,
        shows_network: true,
        locks_mounts: false,
        capabilities: u64::MAX,
        pids: None,
    }
}

fn input<'a>(files: &'a [FileMount], extensions: &'a Extensions, host: &'a Host) -> SpecInput<'a> {
    SpecInput {
        id: "01jobid",
        namespace: "default",
        init: Path::new("/usr/lib/drmaa2/drmaa2-init"),
        job_dir: Path::new("/var/lib/drmaa2/jobs/01jobid"),
        files,
        names: &[],
        extensions,
        slots: None,
        raises_limits: false,
        host,
    }
}

fn build(files: &[FileMount]) -> Result<Value, PathBuf> {
    spec(&input(files, &Extensions::default(), &host()))
}

fn extensions(attributes: &[(&str, &str)]) -> Extensions {
    let extensions = attributes
        .iter()
        .map(|(name, value)| (format!("containerd_jt_{name}"), (*value).into()))
        .collect();
    JobTemplate { extensions, ..JobTemplate::default() }.extensions().unwrap()
}

fn extended(attributes: &[(&str, &str)]) -> Value {
    spec(&input(&[], &extensions(attributes), &host())).unwrap()
}

fn compare(name: &str, text: &str) {
    let golden = format!("{}/src/container/spec/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(text == expected, "UPDATE_GOLDEN=1 writes a new {golden}; it would be\n{text}");
}

/// Compares the parts of a spec that differ from that of a job without attributes, each with its path,
/// with the reviewed ones.
fn golden(name: &str, attributes: &[(&str, &str)]) {
    differs(name, &extended(attributes));
}

fn differs(name: &str, spec: &Value) {
    let mut text = String::new();
    differences("", &build(&[]).unwrap(), spec, &mut text);
    compare(&format!("{name}.diff"), &text);
}

fn differences(place: &str, plain: &Value, extended: &Value, text: &mut String) {
    match (plain, extended) {
        _ if plain == extended => {}
        (Value::Object(plain), Value::Object(extended)) => {
            let added = extended.keys().filter(|key| !plain.contains_key(*key));
            for key in plain.keys().chain(added) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (plain, extended) = (of(plain), of(extended));
                differences(
                    &format!("{place}/{key}"),
                    &plain.unwrap_or_default(),
                    &extended.unwrap_or_default(),
                    text,
                );
            }
        }
        (Value::Array(plain), Value::Array(extended)) => {
            let gone = plain.iter().filter(|item| !extended.contains(item)).map(|item| ('-', item));
            let new = extended.iter().filter(|item| !plain.contains(item)).map(|item| ('+', item));
            for (sign, item) in gone.chain(new) {
                text.push_str(&format!("{sign} {place} {item}\n"));
            }
        }
        (plain, extended) => {
            for (sign, value) in [('-', plain), ('+', extended)] {
                if !value.is_null() {
                    text.push_str(&format!("{sign} {place} {value}\n"));
                }
            }
        }
    }
}

#[test]
fn the_whole_spec_is_as_it_was_reviewed() {
    let files = [
        file("/data/in", STDIN, true),
        file("/data/out", STDOUT, false),
        file("/data/err", STDERR, false),
    ];
    let text = serde_json::to_string_pretty(&build(&files).unwrap()).unwrap() + "\n";
    compare("spec.json", &text);
}

#[test]
fn network() {
    golden("network_host", &[("network", "host")]);
    assert_eq!(extended(&[("network", "none")]), build(&[]).unwrap());
    // In a user namespace that uses the machine's.
    let host = Host { shows_network: false, ..host() };
    let sys = |network| {
        let spec = spec(&input(&[], &extensions(&[("network", network)]), &host)).unwrap();
        let mounts = spec["mounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["destination"] == "/sys").unwrap()["type"].clone()
    };
    assert_eq!([sys("host"), sys("none")], ["none", "sysfs"]);
}

#[test]
fn mounts() {
    golden(
        "mounts",
        &[("mounts", "/data:/data:ro,/scratch/u:/s"), ("tmpfs", "/t:1m,/u"), ("shm_size", "1g")],
    );
}

#[test]
fn a_job_that_has_something_else_in_the_place_of_sys_has_no_groups_there() {
    let shows = |mounts: &str| {
        let spec = extended(&[("mounts", mounts)]);
        let mounts = spec["mounts"].as_array().unwrap();
        mounts.iter().filter(|mount| mount["type"] == "cgroup" && !is_private(mount)).count()
    };
    assert_eq!(shows("/data:/sysroot"), 1);
    assert_eq!(shows("/sys/fs/cgroup:/sys/fs/cgroup:ro"), 1);
    for covering in ["/data:/sys", "/data:/sys/fs:ro"] {
        assert_eq!(shows(covering), 0, "{covering}");
    }
}

#[test]
fn init_has_a_view_of_its_groups_that_the_job_cannot_change() {
    let own = |name, value| {
        let spec = extended(&[(name, value)]);
        spec["mounts"].as_array().unwrap().iter().any(|mount| mount["destination"] == CGROUP_DIR)
    };
    assert!(!own("mounts", "/data:/sysroot"));
    for place in ["/data:/sys", "/data:/sys/fs/cgroup", "/data:/sys/fs/cgroup/memory:ro"] {
        assert!(own("mounts", place), "{place}");
    }
    assert!(own("tmpfs", "/sys/fs") && own("privileged", "on"));
}

#[test]
fn rights() {
    golden("capabilities", &[("cap_add", "SYS_TIME"), ("cap_drop", "CHOWN,KILL")]);
    golden("privileged", &[("privileged", "on")]);
}

#[test]
fn limits_that_may_have_to_be_raised() {
    let (extensions, host) = (Extensions::default(), host());
    let input = SpecInput { raises_limits: true, ..input(&[], &extensions, &host) };
    differs("raises_limits", &spec(&input).unwrap());
}

#[test]
fn root_file_system_and_name() {
    golden("read_only", &[("read_only", "on"), ("hostname", "node-1")]);
}

#[test]
fn limits() {
    golden(
        "limits",
        &[("memory", "64m"), ("cpus", "1.5"), ("pids", "20"), ("cgroup_parent", "/batch/low")],
    );
    let memory = extensions(&[("memory", "64m")]);
    let spec = spec(&input(&[], &memory, &Host::default())).unwrap();
    assert!(spec["linux"]["resources"]["memory"].get("swap").is_none());
}

#[test]
fn slots_are_processors_unless_the_job_says_how_many() {
    let quota = |cpus: &str| {
        let (extensions, host) = (extensions(&[("cpus", cpus)]), host());
        let input = SpecInput { slots: Some(3), ..input(&[], &extensions, &host) };
        spec(&input).unwrap()["linux"]["resources"]["cpu"]["quota"].as_i64()
    };
    assert_eq!(quota(""), Some(300_000));
    assert_eq!(quota("0.5"), Some(50_000));
}

#[test]
fn a_job_without_files_mounts_none() {
    let spec = build(&[]).unwrap();
    let targets: Vec<_> =
        spec["mounts"].as_array().unwrap().iter().filter(|mount| mount["type"] == "bind").collect();
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[0]["destination"], INIT_PATH);
    assert_eq!(targets[1]["destination"], JOB_DIR);
}

#[test]
fn nothing_covers_what_belongs_below_it() {
    let mut spec = extended(&[
        ("mounts", "/b:/a//b,/null:/dev/shm/x,/c:/a,/d:/data"),
        ("tmpfs", "/a/t,/data/t,/t"),
    ]);
    arrange(&mut spec);
    let mounts = spec["mounts"].as_array().unwrap();
    let at = |place: &str| mounts.iter().position(|mount| mount["destination"] == place).unwrap();
    for (above, below) in [
        ("/a", "/a//b"),
        ("/a", "/a/t"),
        ("/data", "/data/t"),
        ("/dev", "/dev/shm"),
        ("/dev/shm", "/dev/shm/x"),
    ] {
        assert!(at(above) < at(below), "{above} covers {below}");
    }
    // Otherwise in the user's order, with the mounts of init last.
    assert!(at("/t") < at("/a") && at("/a") < at("/data"));
    let private = mounts.iter().position(is_private).unwrap();
    assert!(mounts[private..].iter().all(is_private) && mounts[private]["destination"] == PRIVATE);
}

#[test]
fn a_path_that_json_cannot_hold_is_named() {
    let bad = PathBuf::from(OsStr::from_bytes(b"/data/\xff"));
    let files = [FileMount { source: bad.clone(), target: STDOUT.to_owned(), read_only: false }];
    assert_eq!(build(&files), Err(bad));
}

#[test]
fn a_job_that_names_no_limit_of_processes_has_that_of_the_machine() {
    let host = Host { pids: Some(7), ..host() };
    let limit = |extensions: &Extensions| {
        spec(&input(&[], extensions, &host)).unwrap()["linux"]["resources"]["pids"]["limit"].clone()
    };
    assert_eq!(limit(&Extensions::default()), 7);
    assert_eq!(limit(&Extensions { pids: Some(9), ..Extensions::default() }), 9);
    assert!(Host::look(0).pids.is_none_or(|pids| pids > 0));
}
