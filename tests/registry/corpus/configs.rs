//! Oddities of the configuration of an image.

use serde_json::{Map, Value, json};

use super::super::image::{Image, Layer, Packing};
use super::super::shelf::Stock;
use super::{Odd, Verdict, edited, here, mark, plain};

/// A change of the whole configuration.
fn whole(name: &'static str, change: impl FnOnce(&mut Value)) -> Odd {
    Odd::new(name, edited(|config, _| change(config)))
}

/// A change of what it says about how the image is run.
fn run(name: &'static str, key: &str, value: Value) -> Odd {
    whole(name, |config| config["config"][key] = value)
}

/// Another text.
fn text(name: &'static str, change: impl FnOnce(String) -> Vec<u8>) -> Odd {
    let image = plain();
    let text = change(image.config());
    Odd::new(name, Stock::of(&image.configured(&text)))
}

const PASSWD: &str = "root:x:0:0::/:/bin/sh\nalice:x:1234:50::/home/alice:/bin/sh\n";
const GROUP: &str = "root:x:0:\nstaff:x:50:\nvideo:x:44:alice\n";

/// The user of an image that has two besides root.
fn user(name: &'static str, user: &str) -> Odd {
    let mark = mark();
    let files = [
        ("etc/passwd", PASSWD.as_bytes(), 0o644),
        ("etc/group", GROUP.as_bytes(), 0o644),
        ("srv/mark", mark.as_bytes(), 0o644),
    ];
    let layer = Layer::new(&files, Packing::Gzip);
    let config = json!({ "User": user, "WorkingDir": "/srv", "Env": ["PATH=/bin"] });
    Odd::new(name, Stock::of(&Image::new(vec![Layer::busybox(), layer], config)))
}

/// A user whom the image does not know. The library gives such a user an account and a home, as podman does.
fn newcomer(name: &'static str, user: &str) -> Odd {
    self::user(name, user).but(Verdict::RunsOtherwise)
}

pub fn all() -> Vec<Odd> {
    platforms().into_iter().chain(documents()).chain(settings()).chain(users()).collect()
}

fn platforms() -> Vec<Odd> {
    let arch = |name, arch: &str| whole(name, |config| config["architecture"] = arch.into());
    let variant = |name, variant: &str| whole(name, |config| config["variant"] = variant.into());
    vec![
        whole("os-in-capitals", |config| config["os"] = "Linux".into()),
        whole("os-empty", |config| config["os"] = "".into()),
        whole("os-other", |config| config["os"] = "windows".into()).but(Verdict::RunsThere),
        arch("arch-older", "386"),
        arch("arch-i686", "i686"),
        arch("arch-kernels-name", "x86_64"),
        arch("arch-hyphen", "x86-64"),
        arch("arch-capitals", "AMD64"),
        arch("arch-empty", ""),
        // `ctr` asks a configuration only behind an index, and lets the program fail.
        arch("arch-other", "s390x").but(Verdict::RunsThere),
        arch("arch-unknown", "unknown").but(Verdict::RunsThere),
        whole("platform-missing", |config| {
            let config = config.as_object_mut().unwrap();
            config.remove("os");
            config.remove("architecture");
        }),
        whole("platform-null", |config| drop((config["os"].take(), config["architecture"].take()))),
        variant("variant-v1", "v1"),
        variant("variant-v2", "v2"),
        variant("variant-v3", "v3"),
        variant("variant-v4", "v4"),
        variant("variant-v8", "v8"),
        whole("os-version", |config| config["os.version"] = "10.0.1".into()),
        whole("os-features", |config| config["os.features"] = json!(["win32k"])),
    ]
}

fn documents() -> Vec<Odd> {
    vec![
        whole("run-null", |config| config["config"] = Value::Null),
        whole("run-missing", |config| drop(config.as_object_mut().unwrap().remove("config"))),
        whole("all-null", |config| {
            for key in ["history", "created", "author", "variant"] {
                config[key] = Value::Null;
            }
            for key in ["Labels", "Cmd", "Entrypoint", "Volumes", "ExposedPorts", "User", "StopSignal"] {
                config["config"][key] = Value::Null;
            }
        }),
        run("env-null", "Env", Value::Null),
        run("dir-null", "WorkingDir", Value::Null),
        whole("layers-type-missing", |config| {
            drop(config["rootfs"].as_object_mut().unwrap().remove("type"));
        }),
        whole("layers-null", |config| config["rootfs"]["diff_ids"] = Value::Null).refused(),
        whole("layers-missing", |config| drop(config.as_object_mut().unwrap().remove("rootfs")))
            .refused(),
        whole("layers-too-many", |config| {
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().push("sha256:00".into());
        })
        .refused(),
        whole("history-odd", |config| {
            config["history"] =
                json!([{ "empty_layer": true }, {}, { "created": null, "comment": "" }, {}]);
        }),
        whole("created-odd", |config| config["created"] = "0001-01-01T00:00:00Z".into()),
        whole("unknown-members", |config| {
            config["later"] = json!({ "a": [1, 2.5, null] });
            config["config"]["Later"] = json!(1e300);
            config["container_config"] = json!({ "Cmd": ["/bin/false"], "WorkingDir": "/" });
            config["docker_version"] = "99".into();
        }),
        // `ctr` gives the container all labels of its image, and containerd takes none that is so long.
        whole("huge", |config| config["config"]["Labels"] = json!({ "big": "x".repeat(1 << 20) }))
            .but(Verdict::RunsHere),
        whole("many-labels", |config| {
            let labels = (0..2000).map(|number| (format!("label.{number}"), json!(number.to_string())));
            config["config"]["Labels"] = labels.collect::<Map<_, _>>().into();
        }),
        text("spaces", |text| format!("\n\t  {}\r\n \n", text.replace("\":", "\" : ")).into_bytes()),
        text("mark-of-bytes", |text| format!("\u{feff}{text}").into_bytes()).refused(),
        text("rest-behind", |text| format!("{text} {{}}").into_bytes()).refused(),
        text("key-twice", |text| {
            format!(r#"{{"os":"plan9","architecture":"vax",{}"#, &text[1..]).into_bytes()
        }),
        text("object-twice", |text| {
            let end = text.len() - 1;
            format!(r#"{},"config":{{"Env":["PATH=/bin","ODD=2"]}}}}"#, &text[..end]).into_bytes()
        }),
        text("keys-in-other-letters", |text| {
            text.replace("\"os\"", "\"OS\"")
                .replace("\"architecture\"", "\"Architecture\"")
                .replace("\"config\"", "\"Config\"")
                .replace("\"WorkingDir\"", "\"workingdir\"")
                .replace("\"Env\"", "\"env\"")
                .replace("\"diff_ids\"", "\"Diff_IDs\"")
                .into_bytes()
        }),
        text("not-utf8", |text| {
            let mut bytes = text.replace("ODD=1", "ODD=X").into_bytes();
            let at = bytes.iter().position(|byte| *byte == b'X').unwrap();
            bytes[at] = 0xff;
            bytes
        }),
        text("half-a-character", |text| text.replace("ODD=1", r"ODD=\ud800").into_bytes()),
        text("escapes", |text| text.replace("/srv", r"\/s\u0072v").into_bytes()),
        run("labels-of-numbers", "Labels", json!({ "a": 1 })).refused(),
        run("env-of-numbers", "Env", json!([1])).refused(),
        run("user-a-number", "User", json!(0)).refused(),
    ]
}

fn settings() -> Vec<Odd> {
    let dir = |name, dir: &str| run(name, "WorkingDir", dir.into());
    let env = |name, env: &[&str]| run(name, "Env", json!(env));
    vec![
        dir("dir-empty", ""),
        // Docker takes it from the root on, the runtime takes none that does not begin there.
        dir("dir-relative", "srv").but(Verdict::RunsHere),
        dir("dir-dots", "/tmp/./../srv"),
        dir("dir-dots-too-many", "/../../srv"),
        dir("dir-dot", ".").but(Verdict::RunsHere),
        dir("dir-slashes", "//srv//"),
        dir("dir-missing", "/not/there"),
        dir("dir-spaces", "/a b/ü"),
        dir("dir-a-file", "/srv/data").refused(),
        dir("dir-proc", "/proc/sys"),
        env("env-empty", &[]),
        // Some versions of the runtime take no text that is no variable.
        env("env-bare", &["PATH=/bin", "ODD", "ODD_B=2"]).but(Verdict::RunsHere),
        env("env-nothing", &["PATH=/bin", "", "ODD=1"]),
        env("env-nameless", &["PATH=/bin", "=ODD", "ODD=1"]).but(Verdict::RunsHere),
        env("env-twice", &["PATH=/nowhere", "PATH=/bin", "ODD=1", "ODD=2"]),
        env("env-equals", &["PATH=/bin", "ODD=a=b=c", "ODD_C=\n", "ODD_D= "]),
        // Docker has a PATH for those that have none.
        env("env-without-path", &["ODD=1"]).but(Verdict::RunsHere),
        env("env-home", &["PATH=/bin", "HOME=/srv"]),
        run("entrypoint-empty", "Entrypoint", json!([])),
        run("entrypoint", "Entrypoint", json!(["/bin/sh", "-c", "echo \"$0 $@\"; exit 3"])).after(&[
            "/bin/sh",
            "-c",
            "echo \"$0 $@\"; exit 3",
        ]),
        run("entrypoint-relative", "Entrypoint", json!(["busybox"])).after(&["busybox"]),
        run("entrypoint-of-nothing", "Entrypoint", json!([""])).after(&[""]).refused(),
        run("entrypoint-a-string", "Entrypoint", "/bin/sh".into()).refused(),
        run("entrypoint-missing", "Entrypoint", json!(["/not/there"])).after(&["/not/there"]).refused(),
        run("command-ignored", "Cmd", json!(["/not/there"])),
        run("command-empty", "Cmd", json!([])),
        run("volumes", "Volumes", json!({ "/data": {}, "/srv": null, "relative": {} })),
        run("stop-number", "StopSignal", "15".into()),
        run("stop-short", "StopSignal", "quit".into()),
        run("stop-real-time", "StopSignal", "SIGRTMIN+3".into()),
        run("stop-empty", "StopSignal", "".into()),
        run("stop-nonsense", "StopSignal", "SIGNONSENSE".into()),
        whole("what-does-not-matter", |config| {
            config["config"]["ExposedPorts"] = json!({ "80/tcp": {}, "x": null });
            config["config"]["Healthcheck"] = json!({ "Test": ["NONE"], "Interval": 0 });
            config["config"]["OnBuild"] = json!(["RUN false"]);
            config["config"]["Shell"] = json!(["/not/there", "-c"]);
            config["config"]["ArgsEscaped"] = true.into();
            config["config"]["Memory"] = json!(1024);
            config["config"]["NetworkDisabled"] = true.into();
            config["config"]["Hostname"] = "h".into();
        }),
        Odd::new("program-missing", Stock::of(&plain())).run_with(&["/not/there"]).refused(),
        Odd::new("program-no-program", Stock::of(&plain())).run_with(&["/srv/data"]).refused(),
    ]
}

fn users() -> Vec<Odd> {
    vec![
        user("user-name", "alice"),
        user("user-name-group", "alice:video"),
        // Docker has a group that is named take the place of all others, `ctr` of the first alone.
        user("user-name-number", "alice:7").but(Verdict::RunsOtherwise),
        user("user-number", "1234"),
        newcomer("user-number-unknown", "4000"),
        newcomer("user-number-group", "4000:50"),
        newcomer("user-number-name", "4000:staff"),
        newcomer("user-both-unknown", "4000:4000"),
        user("user-root", "root"),
        user("user-zero", "0:0"),
        user("user-group-alone", ":50"),
        // Docker takes the group of the user, `ctr` that of root.
        user("user-no-group", "alice:").but(Verdict::RunsOtherwise),
        user("user-unknown", "bob").refused(),
        user("user-group-unknown", "alice:nobodys").refused(),
        user("user-negative", "-1").refused(),
        user("user-too-large", "4294967296").refused(),
        user("user-three", "1:2:3").refused(),
        user("user-spaces", " alice").refused(),
        Odd::new("user-without-passwd", {
            let config = json!({ "User": "1000:1000", "Env": ["PATH=/bin"] });
            Stock::of(&Image::new(vec![Layer::busybox(), here()], config))
        })
        .but(Verdict::RunsOtherwise),
        Odd::new("user-root-without-passwd", {
            let config = json!({ "User": "root", "Env": ["PATH=/bin"] });
            Stock::of(&Image::new(vec![Layer::busybox(), here()], config))
        })
        .refused(),
    ]
}
