//! The Container Device Interface: vendors' descriptions of their devices, in files of directories like
//! `/etc/cdi`, with the changes that a container needs for each.

mod device;
pub mod file;
mod nulls;

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

pub use device::{Node, Number};
pub use nulls::without_nulls;

/// The changes for a device; see the CDI specification. An unknown kind of change is an error: without
/// it, the device would be there in part.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Edits {
    /// Variables of the job, `NAME=value`.
    pub env: Vec<String>,
    device_nodes: Vec<DeviceNode>,
    mounts: Vec<Mount>,
    hooks: Vec<Hook>,
    /// Groups for the job's user.
    #[serde(rename = "additionalGids")]
    pub groups: Vec<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeviceNode {
    path: String,
    host_path: Option<PathBuf>,
    #[serde(rename = "type")]
    kind: Option<String>,
    major: Option<u64>,
    minor: Option<u64>,
    #[serde(default, deserialize_with = "mode")]
    file_mode: Option<u32>,
    permissions: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mount {
    host_path: String,
    container_path: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hook {
    hook_name: String,
    path: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    timeout: Option<u32>,
}

/// A description of many devices has some hundred kilobytes.
const MAX_FILE: usize = 8 << 20;
/// The versions of the CDI specification.
const VERSIONS: [&str; 10] =
    ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/// A file mode: a number, or digits that begin with a zero, as YAML 1.1 writes an octal number and as
/// people do in JSON.
fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Mode {
        Number(u32),
        Digits(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Mode::Number(number)) => Ok(Some(number)),
        Some(Mode::Digits(digits)) => {
            let octal = digits.strip_prefix("0o").or_else(|| digits.strip_prefix('0'));
            let mode = octal.and_then(|octal| u32::from_str_radix(octal, 8).ok());
            mode.map(Some).ok_or_else(|| Error::custom(format!("\"{digits}\" is no file mode")))
        }
    }
}

/// A file about the devices of one kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    #[serde(default)]
    cdi_version: String,
    kind: String,
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// The changes for devices with these names, `vendor/class=name`. A later directory takes precedence. Files that cannot be
/// read, and have nothing to do with them, are told to `skip`, with the cause.
pub fn edits(dirs: &[PathBuf], names: &[&str], skip: impl Fn(&Path, &str)) -> Result<Edits, String> {
    let mut all = Edits::default();
    let mut seen = Vec::new();
    for name in names {
        let (file, description) = find(dirs, name, &skip)?;
        let device = description.devices.into_iter().find(|device| is(&description.kind, device, name));
        // The changes that all devices of a file share are made once.
        if !seen.contains(&file) {
            seen.push(file);
            all.add(description.container_edits);
        }
        all.add(device.map(|device| device.container_edits).unwrap_or_default());
    }
    Ok(all)
}

fn is(kind: &str, device: &Device, name: &str) -> bool {
    name.split_once('=') == Some((kind, device.name.as_str()))
}

/// The file that describes a device. One that cannot be read may describe it, so no other of an earlier directory
/// counts; unless it says that it is about devices of another kind.
fn find(
    dirs: &[PathBuf],
    name: &str,
    skip: &impl Fn(&Path, &str),
) -> Result<(PathBuf, Description), String> {
    let kind = name.split_once('=').map(|(kind, _)| kind);
    for dir in dirs.iter().rev() {
        let (mut found, mut broken) = (Vec::new(), None);
        let files =
            files(dir).map_err(|error| format!("CDI device {name}: {}: {error}", dir.display()))?;
        for file in files {
            match read(&file) {
                Ok(description) => {
                    if description.devices.iter().any(|device| is(&description.kind, device, name)) {
                        found.push((file, description));
                    }
                }
                Err(fault) if fault.kind.is_some() && fault.kind.as_deref() != kind => {
                    skip(&file, &fault.cause);
                }
                Err(fault) => broken = Some((file, fault)),
            }
        }
        if found.len() > 1 {
            return Err(format!("{name} is described in {} files of {}", found.len(), dir.display()));
        }
        if let Some(found) = found.pop() {
            return Ok(found);
        }
        if let Some((file, Fault { cause, .. })) = broken {
            return Err(format!("CDI device {name}: {} cannot be read: {cause}", file.display()));
        }
    }
    Err(format!("there is no CDI device {name}"))
}

/// The files of a directory; none if it is missing.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| is_json(path) || is_yaml(path));
    files.sort();
    Ok(files)
}

fn is_json(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("json"))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// The reason why a file cannot be read, and the kind of its devices if that is known all the same.
#[derive(Debug)]
struct Fault {
    kind: Option<String>,
    cause: String,
}

impl<E: Display> From<E> for Fault {
    fn from(error: E) -> Self {
        Self { kind: None, cause: error.to_string() }
    }
}

fn read(file: &Path) -> Result<Description, Fault> {
    let text = file::read(file, MAX_FILE)?;
    let value: Value = match is_json(file) {
        true => serde_json::from_slice(&text)?,
        false => serde_yaml_ng::from_slice(&text)?,
    };
    let kind = value["kind"].as_str().map(str::to_owned);
    described(value).map_err(|cause| Fault { kind, cause })
}

fn described(value: Value) -> Result<Description, String> {
    let description: Description = without_nulls(value).map_err(|error| error.to_string())?;
    let version = description.cdi_version.trim_start_matches('v');
    match VERSIONS.contains(&version) {
        true => Ok(description),
        false => Err(format!("there is no version \"{version}\" of CDI")),
    }
}

impl Edits {
    fn add(&mut self, other: Self) {
        self.env.extend(other.env);
        self.device_nodes.extend(other.device_nodes);
        self.mounts.extend(other.mounts);
        self.hooks.extend(other.hooks);
        self.groups.extend(other.groups);
    }

    /// The device nodes; unspecified properties, rights included, are those of the host's node.
    pub fn nodes(&self) -> Result<Vec<Node>, String> {
        self.device_nodes.iter().map(DeviceNode::node).collect()
    }

    /// The device nodes as mounts of those of the host, for who may make none.
    pub fn node_mounts(&self) -> Vec<Value> {
        let mount = |node: &DeviceNode| {
            let source = node.host_path.as_deref().unwrap_or(Path::new(&node.path));
            let options = ["rbind", "rprivate", "nosuid", "noexec"];
            json!({ "destination": node.path, "source": source, "type": "bind", "options": options })
        };
        self.device_nodes.iter().map(mount).collect()
    }

    /// Keep the nodes, variables and groups alone: the job has the machine's own files, which a hook would change.
    pub fn leave_files(&mut self) {
        self.mounts.clear();
        self.hooks.clear();
    }

    /// Put mounts and hooks into a spec.
    pub fn apply(&self, spec: &mut Value) {
        if let Some(mounts) = spec["mounts"].as_array_mut() {
            for mount in &self.mounts {
                mounts.retain(|other| other["destination"] != mount.container_path.as_str());
                mounts.push(mount.mount());
            }
        }
        for hook in &self.hooks {
            let all = &mut spec["hooks"][&hook.hook_name];
            let mut entry = json!({ "path": hook.path, "args": hook.args, "env": hook.env });
            if let Some(timeout) = hook.timeout {
                entry["timeout"] = timeout.into();
            }
            match all.as_array_mut() {
                Some(all) => all.push(entry),
                None => *all = json!([entry]),
            }
        }
    }
}

impl DeviceNode {
    fn node(&self) -> Result<Node, String> {
        let source = self.host_path.as_deref().unwrap_or(Path::new(&self.path));
        let host = fs::metadata(source);
        let number = match (&self.kind, self.major, self.minor) {
            (Some(kind), Some(major), Some(minor)) => Number { kind: kind.clone(), major, minor },
            _ => {
                let host = host.as_ref().map_err(ToString::to_string);
                let number = host.and_then(Number::from_metadata);
                number.map_err(|error| format!("{}: {error}", source.display()))?
            }
        };
        let host = host.as_ref().ok();
        Ok(Node {
            path: self.path.clone(),
            number,
            mode: self.file_mode.or(host.map(|host| host.mode() & 0o7777)),
            uid: self.uid.or(host.map(MetadataExt::uid)),
            gid: self.gid.or(host.map(MetadataExt::gid)),
            access: match self.permissions.as_deref() {
                None | Some("") => "rwm".to_owned(),
                Some(access) => access.to_owned(),
            },
        })
    }
}

impl Mount {
    fn mount(&self) -> Value {
        let kind = self.kind.as_deref().unwrap_or("bind");
        let mut options = self.options.clone();
        if kind == "bind" && !options.iter().any(|option| option == "bind" || option == "rbind") {
            options.push("rbind".to_owned());
        }
        json!({
            "destination": self.container_path,
            "source": self.host_path,
            "type": kind,
            "options": options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
cdiVersion: 0.6.0
kind: example.com/gpu
containerEdits:
  env: [ALL=yes]
devices:
- name: \"0\"
  containerEdits:
    deviceNodes: [{path: /dev/my, hostPath: /dev/full}]
    hooks: [{hookName: createContainer, path: /bin/true}]
- name: \"1\"
  containerEdits:
    deviceNodes: [{path: /dev/two, type: c, major: 1, minor: 5, permissions: r}]
    mounts: [{hostPath: /a, containerPath: /b, options: [ro]}]
";

    fn found(dirs: &[PathBuf], names: &[&str]) -> Result<Edits, String> {
        edits(dirs, names, |_, _| {})
    }

    fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    #[test]
    fn modes_nulls_and_versions_are_those_of_other_programs() {
        let read = |name: &str, text: &str| {
            let dir = dir(&[(name, text)]);
            read(&dir.path().join(name)).map(|description| {
                description
                    .devices
                    .first()
                    .map(|device| device.container_edits.device_nodes[0].file_mode)
            })
        };
        for (mode, expected) in [
            ("0660", Some(0o660)),
            ("0o660", Some(0o660)),
            ("432", Some(0o660)),
            ("null", None),
            ("\"0660\"", Some(0o660)),
        ] {
            let text = format!(
                "cdiVersion: 0.5.0\nkind: a/b\ncontainerEdits:\ndevices:\n- name: x\n  containerEdits:\n    \
                 mounts:\n    env: null\n    deviceNodes: [{{path: /dev/x, fileMode: {mode}, uid: null}}]\n"
            );
            assert_eq!(read("a.yaml", &text).unwrap(), Some(expected), "{mode}");
        }
        let json = |version: &str| {
            format!(r#"{{"cdiVersion": {version}, "kind": "a/b", "devices": [], "x": null}}"#)
        };
        assert!(
            read("a.json", &json("\"1.0.0\"")).is_ok() && read("a.json", &json("\"v0.3.0\"")).is_ok()
        );
        for wrong in ["\"9.0.0\"", "\"\"", "null", "\"0.6\""] {
            assert!(read("a.json", &json(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn devices_are_found_with_what_all_of_a_file_need() {
        let dir = dir(&[("a.yaml", YAML), ("notes.txt", "{")]);
        let dirs = [PathBuf::from("/no/such/dir"), dir.path().to_owned()];
        let edits = found(&dirs, &["example.com/gpu=0", "example.com/gpu=1"]).unwrap();
        assert_eq!(edits.env, ["ALL=yes"]);
        let nodes = edits.nodes().unwrap();
        assert_eq!((nodes[0].path.as_str(), nodes[0].number.minor), ("/dev/my", 7));
        assert_eq!((nodes[1].access.as_str(), nodes[1].number.minor), ("r", 5));
        let mut spec = json!({ "mounts": [{ "destination": "/b" }] });
        edits.apply(&mut spec);
        assert_eq!(spec["mounts"].as_array().unwrap().len(), 1);
        assert_eq!(spec["mounts"][0]["options"], json!(["ro", "rbind"]));
        assert_eq!(spec["hooks"]["createContainer"][0]["path"], "/bin/true");
    }

    #[test]
    fn the_last_directory_counts_and_one_file_in_it() {
        let named = |value: &str| {
            format!(
                r#"{{"cdiVersion":"0.6.0","kind":"a/b","devices":
                    [{{"name":"x","containerEdits":{{"env":["V={value}"]}}}}]}}"#
            )
        };
        let low = dir(&[("a.json", &named("low"))]);
        let high = dir(&[("a.json", &named("high"))]);
        let dirs = [low.path().to_owned(), high.path().to_owned()];
        assert_eq!(found(&dirs, &["a/b=x"]).unwrap().env, ["V=high"]);
        let twice = dir(&[("a.json", &named("1")), ("b.json", &named("2"))]);
        assert!(found(&[twice.path().to_owned()], &["a/b=x"]).unwrap_err().contains("2 files"));
    }

    #[test]
    fn what_is_not_there_or_not_understood_is_named() {
        let odd = r#"{"kind":"a/b","devices":[{"name":"x","containerEdits":{"intelRdt":{}}}]}"#;
        let dir = dir(&[("odd.json", odd)]);
        let error = found(&[dir.path().to_owned()], &["a/b=x"]).unwrap_err();
        assert!(error.contains("a/b=x") && error.contains("odd.json"), "{error}");
        assert!(error.contains("intelRdt"), "{error}");
        let error = found(&[dir.path().to_owned()], &["a/c=x"]).unwrap_err();
        assert_eq!(error, "there is no CDI device a/c=x");
    }

    #[test]
    fn a_broken_file_hides_what_earlier_directories_say_of_its_devices_alone() {
        let good = |kind: &str| {
            format!(r#"{{"cdiVersion":"0.6.0","kind":"{kind}","devices":[{{"name":"x"}}]}}"#)
        };
        let low = dir(&[("good.json", &good("a/b")), ("other.json", &good("c/d"))]);
        let of = |file: &str, text: &str, name: &str| {
            let high = dir(&[(file, text)]);
            found(&[low.path().to_owned(), high.path().to_owned()], &[name]).map(drop)
        };
        // No device can be told to be in none of these.
        for (file, text) in
            [("cut.json", r#"{"kind":"a/b","#), ("cut.yaml", "kind: [a"), ("bare.yml", "")]
        {
            for name in ["a/b=x", "c/d=x"] {
                let error = of(file, text, name).unwrap_err();
                assert!(error.contains(name) && error.contains(file), "{error}");
            }
        }
        let later = r#"{"cdiVersion":"9.0.0","kind":"a/b","devices":[]}"#;
        let error = of("later.json", later, "a/b=x").unwrap_err();
        assert!(error.contains("later.json") && error.contains("9.0.0"), "{error}");
        of("later.json", later, "c/d=x").unwrap();
        // Beside the file that is broken.
        let both = dir(&[("good.json", &good("a/b")), ("cut.json", "{")]);
        found(&[both.path().to_owned()], &["a/b=x"]).unwrap();
    }
}
