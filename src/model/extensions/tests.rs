use proptest::prelude::*;

use super::*;
use crate::model::ErrorCode;

fn template(name: &str, value: &[u8]) -> JobTemplate {
    let extensions = [(format!("{PREFIX}{name}"), Text::from(value))].into();
    JobTemplate { extensions, ..JobTemplate::default() }
}

fn parsed(name: &str, value: &str) -> Result<Extensions> {
    template(name, value.as_bytes()).extensions()
}

/// The result of parsing a valid value.
fn read(name: &str, value: &str) -> Extensions {
    parsed(name, value).unwrap()
}

#[test]
fn every_listed_attribute_is_known_named_once_and_refuses_what_makes_no_sense() {
    let mut names: Vec<&str> =
        JOB_TEMPLATE.iter().chain(&JOB_INFO).map(|attribute| attribute.name).collect();
    for attribute in &JOB_TEMPLATE {
        let name = attribute.name.strip_prefix(PREFIX).unwrap();
        let error = parsed(name, "[\t=:").unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(attribute.name), "{error}");
        assert!(error.message.contains("\"[\t=:\""), "{error}");
        assert!(!error.message.contains("no such attribute"), "{error}");
        assert_eq!(parsed(name, "").unwrap(), Extensions::default(), "empty is not set");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), JOB_TEMPLATE.len() + JOB_INFO.len());
}

#[test]
fn a_list_names_something() {
    for name in ["mounts", "tmpfs", "devices", "groups", "cap_add", "cap_drop", "rlimits", "labels"] {
        for empty in [",", " ", "\n", " , ,"] {
            assert!(parsed(name, empty).is_err(), "{name} {empty:?}");
        }
    }
}

#[test]
fn what_a_template_sets_comes_before_what_its_category_gives() {
    let mut template = template("hostname", b"own");
    template.defaults = [("hostname", "given"), ("pids", "7")]
        .map(|(name, value)| (format!("{PREFIX}{name}"), Text::from(value)))
        .into();
    let all = template.extensions().unwrap();
    assert_eq!((all.hostname.as_deref(), all.pids), (Some("own"), Some(7)));
}

#[test]
fn mounts_have_a_source_and_a_place() {
    let mount = |source: &str, destination: &str, read_only| Mount {
        source: source.into(),
        destination: destination.into(),
        read_only,
    };
    let both = [mount("/a", "/b", true), mount("/c d", "/e", false)];
    assert_eq!(read("mounts", "/a:/b:ro, /c d:/e:rw,").mounts, both);
    assert_eq!(read("mounts", "/a,1:/b\n").mounts, [mount("/a,1", "/b", false)]);
    let listed = r#" [{"source": "/a:ro", "destination": "/b,c\n"}, {"source": "/d", "destination": "/e", "read_only": true}]"#;
    assert_eq!(
        read("mounts", listed).mounts,
        [mount("/a:ro", "/b,c\n", false), mount("/d", "/e", true)]
    );
    for wrong in [
        "[]",
        "[1]",
        r#"[{"source": "/a"}]"#,
        r#"[{"source": "a", "destination": "/b"}]"#,
        r#"[{"source": "/a", "destination": "/proc"}]"#,
        r#"[{"source": "/a", "destination": "/b", "ro": true}]"#,
        "[",
    ] {
        assert!(parsed("mounts", wrong).is_err(), "{wrong}");
    }
    for wrong in [
        "/a",
        "a:/b",
        "/a:b",
        "/a:/b:/c",
        "/a:/",
        "/a:/./",
        "/a:/x/../..",
        "/a:/b,/c:/b",
        "/a:/b,/c:/./b/",
        "/a:/.drmaa2",
        "/a://./.drmaa2/x",
    ] {
        assert!(parsed("mounts", wrong).is_err(), "{wrong}");
    }
    assert!(template("mounts", b"/\xff:/b").extensions().is_err());
    assert!(parsed("mounts", "/a:/.drmaa2x").is_ok());
    let tmpfs = |destination: &str, size| Tmpfs { destination: destination.into(), size };
    assert_eq!(read("tmpfs", "/t:1m,/u").tmpfs, [tmpfs("/t", Some(1 << 20)), tmpfs("/u", None)]);
    for wrong in ["/t:", "/t:0", "/t:much", "t", "/", "/t,/t:1m"] {
        assert!(parsed("tmpfs", wrong).is_err(), "{wrong}");
    }
    let mut both = template("mounts", b"/a:/b");
    both.defaults = [(format!("{PREFIX}tmpfs"), "/b/".into())].into();
    assert!(both.extensions().unwrap_err().message.contains("containerd_jt_tmpfs"));
}

#[test]
fn devices_are_nodes_or_names_of_cdi() {
    let node = |source: &str, destination: &str, access: &str| Device::Node {
        source: source.into(),
        destination: destination.into(),
        access: access.into(),
    };
    let all = [
        node("/dev/a", "/dev/a", "rwm"),
        node("/dev/a", "/dev/b", "rwm"),
        node("/dev/a", "/dev/a", "r"),
        node("/dev/a", "/dev/b", "rw"),
        Device::Cdi("nvidia.com/gpu=0".into()),
    ];
    let text = "/dev/a,/dev/a:/dev/b,/dev/a:r,/dev/a:/dev/b:rw,nvidia.com/gpu=0";
    assert_eq!(read("devices", text).devices, all);
    for wrong in ["gpu", "a/b=", "/dev/a:x", "/dev/a:/dev/b:", "/dev/a:/dev/b:r:w"] {
        assert!(parsed("devices", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn users_and_groups_are_names_or_numbers() {
    assert_eq!(read("user", "alice:video").user, Some("alice:video".into()));
    assert_eq!(read("groups", "video, 44").groups, Some(vec!["video".into(), "44".into()]));
    for wrong in [":", "a:", ":b", "a:b:c", "a b", "\n"] {
        assert!(parsed("user", wrong).is_err(), "{wrong}");
    }
    assert!(parsed("groups", "a b").is_err() && parsed("groups", "a:b").is_err());
}

#[test]
fn capabilities_have_short_names_too() {
    assert_eq!(read("cap_add", "net_admin,CAP_SYS_TIME").cap_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME"]);
    assert_eq!(read("cap_drop", "all").cap_drop, ["ALL"]);
    assert!(parsed("cap_add", "flying").unwrap_err().message.contains("CAP_FLYING"));
}

#[test]
fn sizes_and_numbers_have_bounds() {
    for (text, bytes) in [("1", 1), ("2k", 2048), ("3MB", 3 << 20), ("1g", 1 << 30), ("4t", 4 << 40)] {
        assert_eq!(read("shm_size", text).shm_size, Some(bytes), "{text}");
    }
    for wrong in ["0", "-1", "1x", "k", "1.5g", "99999999t", "9223372036854775808"] {
        assert!(parsed("memory", wrong).is_err(), "{wrong}");
        assert!(parsed("shm_size", wrong).is_err(), "{wrong}");
    }
    assert_eq!(read("memory", "1m").memory, Some(1 << 20));
    assert!(parsed("memory", "1").is_err() && parsed("memory", "1048575").is_err());
    assert_eq!(read("cpus", "1.5").cpus, Some(1500));
    assert_eq!(read("cpus", "0.01").cpus, Some(10));
    assert_eq!(read("grace", "0").grace, Some(0));
    assert_eq!(read("grace", "2.25").grace, Some(2250));
    for wrong in ["0", "0.001", "1.", ".5", "1.0001", "one", "-1", "1000001", "5000000000"] {
        assert!(parsed("cpus", wrong).is_err(), "{wrong}");
    }
    assert_eq!(read("pids", "5").pids, Some(5));
    assert_eq!(read("pids", "4194304").pids, Some(4_194_304));
    assert!(parsed("pids", "0").is_err() && parsed("pids", "4194305").is_err());
}

#[test]
fn names_are_what_the_runtime_takes() {
    assert_eq!(read("hostname", "a-1.example").hostname.as_deref(), Some("a-1.example"));
    for wrong in ["-a", "a-", "a..b", "a_b", &"a".repeat(65)] {
        assert!(parsed("hostname", wrong).is_err(), "{wrong}");
    }
    assert_eq!(read("cgroup_parent", "/batch//jobs/").cgroup_parent.as_deref(), Some("batch/jobs"));
    assert!(parsed("cgroup_parent", "a/../b").is_err() && parsed("cgroup_parent", "/").is_err());
    let labels = [("a".to_owned(), "1=2".to_owned()), ("b".to_owned(), "c".to_owned())];
    assert_eq!(read("labels", "a=1=2,b=c").labels, labels);
    for wrong in [
        "containerd.io/restart.status=running",
        "=1",
        "a",
        "a=",
        "drmaa2=false",
        "drmaa2.owner=root",
        "jobName=x",
        "a b=c",
    ] {
        assert!(parsed("labels", wrong).is_err(), "{wrong}");
    }
    assert!(parsed("labels", &format!("a={}", "x".repeat(4095))).is_err());
}

#[test]
fn limits_have_a_soft_and_a_hard_value() {
    let limit = |soft, hard| [Rlimit { name: "nofile".into(), soft, hard }];
    assert_eq!(read("rlimits", "NOFILE=5").rlimits, limit(Some(5), Some(5)));
    assert_eq!(read("rlimits", "nofile=5:unlimited").rlimits, limit(Some(5), None));
    for wrong in ["nofile", "nofile=x", "nofile=6:5", "nofile=unlimited:5", "patience=1"] {
        assert!(parsed("rlimits", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_entrypoint_is_a_program_or_a_list() {
    assert_eq!(read("entrypoint", "/bin/a b").entrypoint, Some(vec!["/bin/a b".into()]));
    assert_eq!(read("entrypoint", r#"["a", ""]"#).entrypoint, Some(vec!["a".into(), "".into()]));
    assert_eq!(read("entrypoint", "[]").entrypoint, Some(vec![]));
    for wrong in ["[", "[1]", r#"["a\u0000b"]"#] {
        assert!(parsed("entrypoint", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn words_choose() {
    assert_eq!(read("network", "host").network, Some(Network::Host));
    assert_eq!(read("pull", "never").pull, Some(Pull::Never));
    assert_eq!(read("seccomp", "unconfined").seccomp, Seccomp::Unconfined);
    assert_eq!(read("seccomp", "/p.json").seccomp, Seccomp::Profile("/p.json".into()));
    assert!(read("init", "off").no_init && !read("init", "on").no_init);
    assert!(read("privileged", "1").privileged && read("read_only", "yes").read_only);
    assert_eq!(read("stop_signal", "SIGUSR1").stop_signal, Some(10));
    assert_eq!(read("runtime_binary", "/usr/bin/crun").runtime_binary.as_deref(), Some("/usr/bin/crun"));
    for good in ["io.containerd.runc.v2", "io.containerd.kata.v2", "/opt/shim"] {
        assert_eq!(read("runtime", good).runtime.as_deref(), Some(good));
    }
    for bad in ["a b", "rubbish", "a..b", "io.containerd."] {
        assert!(parsed("runtime", bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_value_makes_it_panic(
        place in 0..JOB_TEMPLATE.len(),
        value in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[a-z0-9/:=,.\\-\\[\\]\" ]{0,40}".prop_map(String::into_bytes),
        ],
    ) {
        let name = JOB_TEMPLATE[place].name.strip_prefix(PREFIX).unwrap();
        if let Err(error) = template(name, &value).extensions() {
            prop_assert!(error.message.contains(JOB_TEMPLATE[place].name));
        }
    }
}
