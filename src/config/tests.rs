//! Tests the precedence of sources of settings, and the detection of mistakes.

use super::*;

fn load(system: &str, root: bool, env: &[(&str, &str)]) -> Result<Config> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drmaa2.toml");
    fs::write(&file, system).unwrap();
    Config::from_sources(&file, root, |name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    })
}

#[test]
fn without_any_source_the_built_in_values_hold() {
    let config = load("", true, &[]).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/drmaa2"));
    assert_eq!(config.containerd.address, Path::new("/run/containerd/containerd.sock"));
    let user = load("", false, &[("HOME", "/home/u")]).unwrap();
    assert_eq!(user.state_dir, Path::new("/home/u/.local/state/drmaa2"));
    let xdg = load("", false, &[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")]).unwrap();
    assert_eq!(xdg.state_dir, Path::new("/s/drmaa2"));
}

#[test]
fn what_comes_later_wins() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own.toml");
    fs::write(&own, "namespace = 'own'\ngrace_seconds = 3\n[categories.b]\nimage = 'own/b'\n").unwrap();
    let system = "namespace = 'system'\nsnapshotter = 'native'\n\
                  runtime_binary = 'runc'\ncontainers = 'slurm'\ncdi_dirs = ['/cdi']\n\
                  [categories.a]\nimage = 'x/a'\n[categories.b]\nimage = 'x/b'\n";
    let env = [
        ("DRMAA2_CONFIG", own.to_str().unwrap()),
        ("CONTAINERD_ADDRESS", "unix:///run/c.sock"),
        ("DRMAA2_INIT", ""),
        ("DRMAA2_RUNTIME_BINARY", "crun"),
        ("DRMAA2_CONTAINERS", "apptainer"),
        ("DRMAA2_CGROUP_PARENT", "/user.slice/jobs/"),
    ];
    let config = load(system, true, &env).unwrap();
    assert_eq!(config.containerd.namespace, "own");
    assert_eq!(config.containerd.snapshotter.as_deref(), Some("native"));
    assert_eq!(config.containerd.address, Path::new("/run/c.sock"));
    assert_eq!(config.grace, Duration::from_secs(3));
    assert_eq!(config.runtime_binary.as_deref(), Some("crun"));
    assert_eq!(config.containers, Containers::Apptainer);
    assert_eq!(config.cgroup_parent.as_deref(), Some("user.slice/jobs"));
    assert_eq!(config.cdi_dirs, [Path::new("/cdi")]);
    assert_eq!(config.init, None, "an empty variable is an unset one");
    let images: Vec<_> = config.categories.values().map(|category| &category.image).collect();
    assert_eq!(images, ["x/a", "own/b"]);
}

#[test]
fn a_file_that_was_edited_is_seen_and_the_environment_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("drmaa2.toml");
    fs::write(&file, "grace_seconds = 1\npull = 'never'\n").unwrap();
    let first =
        Config::read_sources(&Sources::of(&file, &[("DRMAA2_PULL", "always"), ("HTTP_PROXY", "p")]))
            .unwrap();
    fs::write(&file, "grace_seconds = 2\n[categories.c]\nimage = 'i'\n").unwrap();
    let second = first.reload().unwrap();
    assert_eq!((first.grace, second.grace), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!((first.categories.len(), second.categories.len()), (0, 1));
    assert_eq!(second.pull, Pull::Always);
    assert_eq!(second.variable("HTTP_PROXY").as_deref(), Some("p".as_ref()));
    fs::write(&file, "grace = 2").unwrap();
    assert!(second.reload().unwrap_err().message.contains("drmaa2.toml"));
}

#[test]
fn the_image_of_a_job_is_that_of_its_category() {
    let config = load("default_category = 'c'\n[categories.c]\nimage = 'i'", true, &[]).unwrap();
    let image = |category: Option<&str>| {
        let job_category = category.map(Text::from);
        config.image(&JobTemplate { job_category, ..JobTemplate::default() })
    };
    assert_eq!(image(None).as_deref(), Some("i"));
    assert_eq!(image(Some("")).as_deref(), Some("i"));
    assert_eq!(image(Some("c")).as_deref(), Some("i"));
    assert_eq!(image(Some("other")).as_deref(), Some("other"));
    assert_eq!(load("", true, &[]).unwrap().image(&JobTemplate::default()), None);
}

#[test]
fn the_program_says_whose_structs_it_expects() {
    let compat = |value| load("", true, &[("DRMAA2_COMPAT", value)]).map(|config| config.compat);
    assert_eq!(compat(""), Ok(Compat::Standard));
    assert_eq!(compat("age"), Ok(Compat::Age));
    let error = compat("AGE 8").unwrap_err();
    assert_eq!(error.code, ErrorCode::SessionManagement);
    assert!(error.message.contains("DRMAA2_COMPAT \"AGE 8\""), "{error}");
    assert!(load("compat = 'age'", true, &[]).is_err());
}

#[test]
fn the_broker_is_off_or_somewhere() {
    let broker = |system: &str, env: &[(&str, &str)]| load(system, true, env).map(|it| it.broker);
    assert_eq!(broker("", &[]), Ok(Broker::Default));
    assert!(Broker::Default.path().unwrap().starts_with("/run"));
    assert_eq!(broker("broker = '/a/b'", &[]), Ok(Broker::At("/a/b".into())));
    assert_eq!(broker("broker = '/a/b'", &[("DRMAA2_BROKER", "off")]), Ok(Broker::Off));
    assert_eq!(Broker::Off.path(), None);
    let error = broker("broker = 'a/b'", &[]).unwrap_err();
    assert!(error.message.contains("broker \"a/b\""), "{error}");
}

#[test]
fn the_agent_is_on_off_or_somewhere() {
    let agent = |system: &str, env: &[(&str, &str)]| load(system, true, env).map(|it| it.agent);
    assert_eq!(agent("", &[]), Ok(Agent::On));
    assert_eq!(agent("agent = 'off'", &[]), Ok(Agent::Off));
    assert_eq!(agent("agent = '/a/drmaa2d'", &[]), Ok(Agent::At("/a/drmaa2d".into())));
    assert_eq!(agent("agent = 'off'", &[("DRMAA2_AGENT", "on")]), Ok(Agent::On));
    assert_eq!(agent("agent = 'off'", &[("DRMAA2_AGENT", "")]), Ok(Agent::Off));
    for wrong in ["of", "bin/drmaa2d", "drmaa2d"] {
        let error = agent("", &[("DRMAA2_AGENT", wrong)]).unwrap_err();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains(&format!("agent \"{wrong}\"")), "{error}");
    }
}

#[test]
fn a_site_says_when_images_are_pulled() {
    let env = [("DRMAA2_PULL", "always"), ("DRMAA2_CERTS_DIR", "/c")];
    let config = load("pull = 'never'\ncerts_dir = '/d'", true, &env).unwrap();
    assert_eq!((config.pull, config.certs_dir), (Pull::Always, "/c".into()));
    let config = load("pull = 'never'", true, &[]).unwrap();
    assert_eq!((config.pull, config.certs_dir), (Pull::Never, CERTS_DIR.into()));
    let error = load("pull = 'sometimes'", true, &[]).unwrap_err();
    assert!(error.message.contains("pull \"sometimes\""), "{error}");
}

#[test]
fn a_mistake_is_an_error_that_names_it() {
    let message = |result: Result<Config>| {
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        error.message
    };
    assert!(message(load("adress = '/x'", true, &[])).contains("adress"));
    assert!(message(load("[categories.a]\nimagee = 'x'", true, &[])).contains("imagee"));
    assert!(message(load("", true, &[("DRMAA2_CONFIG", "/no/such/file")])).contains("/no/such/file"));
    assert!(message(load("", true, &[("DRMAA2_GRACE_SECONDS", "soon")])).contains("soon"));
    assert!(message(load("", true, &[("CONTAINERD_ADDRESS", "c.sock")])).contains("c.sock"));
    assert!(message(load("cgroup_parent = '../a'", true, &[])).contains("cgroup_parent \"../a\""));
    assert!(message(load("cdi_dirs = ['etc/cdi']", true, &[])).contains("cdi_dirs \"etc/cdi\""));
    assert!(message(load("sendmail = 'mail'", true, &[])).contains("sendmail \"mail\""));
}

#[test]
fn limits_and_queues_are_configured() {
    let system = "slots = 4\n[queues.default]\nslots = 2\n[queues.fast]\npriority = 10\n";
    let config = load(system, true, &[("DRMAA2_MEMORY", "1024")]).unwrap();
    assert_eq!(config.limits, Limits { slots: Some(4), memory: Some(1024), user_slots: None });
    let queue = |slots, priority| Queue { slots, priority };
    assert_eq!(config.queues[DEFAULT_QUEUE], queue(Some(2), 0));
    assert_eq!(config.queues["fast"], queue(None, 10));
    assert_eq!(load("", true, &[]).unwrap().queues.len(), 1, "there is always the default queue");
    let config = load("[users]\nslots = 2\nfair_share = true", true, &[]).unwrap();
    assert_eq!((config.limits.user_slots, config.fair_share), (Some(2), true));
    for wrong in ["slots = 0", "memory = -1", "[queues.q]\nslots = 0", "[users]\nslots = 0"] {
        let error = load(wrong, true, &[]).unwrap_err();
        assert_eq!(error.code, ErrorCode::SessionManagement);
        assert!(error.message.contains("lets no job start"), "{error}");
    }
}

#[test]
fn a_contact_string_selects_a_runtime() {
    let config = load("namespace = 'n'", true, &[]).unwrap();
    let containerd = |contact| match config.contact(contact).unwrap() {
        (Target::Containerd(found), limits) => (found, limits),
        (other, _) => panic!("{other:?}"),
    };
    assert_eq!(containerd(None).0, config.containerd);
    assert_eq!(containerd(Some("")).0, config.containerd);
    let contact = "containerd:///c.sock?namespace=m&snapshotter=native&slots=3";
    let (target, limits) = containerd(Some(contact));
    assert_eq!(limits, Limits { slots: Some(3), ..Limits::default() });
    assert_eq!(target.address, Path::new("/c.sock"));
    assert_eq!((target.namespace.as_str(), target.snapshotter.as_deref()), ("m", Some("native")));
    let (only_namespace, _) = containerd(Some("containerd://?namespace=m"));
    assert_eq!(only_namespace.address, config.containerd.address);
    for wrong in [
        "tcp://1.2.3.4",
        "containerd://relative",
        "containerd:///c.sock?slotss=1",
        "containerd:///c.sock?namespace",
        "containerd:///c.sock?namespace=",
        "containerd:///c.sock?slots=0",
        "containerd:///c.sock?slots=many",
        "slurm://relative",
        "slurm:///c.conf?cluster=c",
    ] {
        let error = config.contact(Some(wrong)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(wrong), "{error}");
    }
}

#[test]
fn a_cluster_is_selected_by_contact_or_address() {
    let slurm = |config: &Config, contact| match config.contact(contact).unwrap() {
        (Target::Slurm { slurm }, Limits { slots: None, memory: None, user_slots: None }) => slurm.conf,
        other => panic!("{other:?}"),
    };
    let config = load("slots = 3", true, &[]).unwrap();
    assert_eq!(slurm(&config, Some("slurm://")), None);
    assert_eq!(slurm(&config, Some("slurm:///s.conf")), Some("/s.conf".into()));
    let config = load("address = 'slurm:'\nslots = 3", true, &[]).unwrap();
    assert_eq!(slurm(&config, None), None);
    assert!(matches!(config.contact(Some("containerd://")).unwrap().0, Target::Containerd(_)));
    let config = load("address = 'slurm:'", true, &[("DRMAA2_ADDRESS", "/c.sock")]).unwrap();
    assert!(
        matches!(config.target(), Target::Containerd(Containerd { address, .. }) if address == Path::new("/c.sock"))
    );
    assert!(load("address = 'slurm:relative'", true, &[]).is_err());
}

#[test]
fn the_names_of_targets_stay_readable() {
    let containerd = r#"{"address":"/c.sock","namespace":"n","snapshotter":null}"#;
    assert_eq!(Target::named(containerd).unwrap().name().unwrap(), containerd);
    let slurm = r#"{"slurm":{"conf":"/s.conf"}}"#;
    assert_eq!(Target::named(slurm).unwrap().name().unwrap(), slurm);
    assert!(Target::named(r#"{"lsf":{}}"#).is_err());
}

#[test]
fn every_key_and_every_variable_is_documented() {
    let docs = include_str!("../../docs/configuration.md");
    let error = toml::from_str::<Layer>("nonsense = 1").unwrap_err().to_string();
    let (_, keys) = error.split_once("expected one of ").unwrap();
    let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 15, "{error}");
    for key in keys {
        let forms = [format!("| `{key}` | "), format!("| `[{key}]` | "), format!("| `[{key}.NAME]` | ")];
        assert!(forms.iter().any(|form| docs.contains(form)), "{key}");
    }
    let error = toml::from_str::<Layer>("[guests]\nnonsense = 1").unwrap_err().to_string();
    let (_, keys) = error.split_once("expected one of ").unwrap();
    for key in keys.split('`').skip(1).step_by(2) {
        assert!(docs.contains(&format!("\n| `{key}` | ")), "guests.{key}");
    }
    let variables = std::cell::RefCell::new(Vec::new());
    let asked = |name: &str| {
        variables.borrow_mut().push(name.to_owned());
        None
    };
    Config::from_sources(Path::new("/nowhere"), true, asked).unwrap();
    assert!(variables.borrow().len() > 15);
    for variable in variables.into_inner() {
        // The variable HOME is documented as "~".
        assert!(docs.contains(&variable) || variable == "HOME", "{variable}");
    }
}

impl Config {
    /// The configuration of a file with this text, and nothing else.
    pub(crate) fn of_text(text: &str) -> Self {
        let mut config = Self::built_in();
        config.apply(toml::from_str(text).unwrap()).unwrap();
        config
    }
}
