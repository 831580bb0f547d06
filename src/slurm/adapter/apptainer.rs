//! Apptainer, or Singularity, which has the same options: the image's directory is its sandbox, and the layer of the
//! job an overlay on the node.

use std::path::Path;

use drmaa2_init::{INIT_PATH, NODE_PLACEHOLDER};

use super::bind::Bind;
use crate::model::{Error, Extensions, Result};

/// The attributes that it cannot honour.
pub(super) const LACKS: [&str; 2] = ["containerd_jt_tmpfs", "containerd_jt_shm_size"];

/// The command.
pub(super) fn command(
    program: Option<String>,
    binds: &[Bind],
    wishes: &Extensions,
    rootfs: &Path,
) -> Result<Vec<String>> {
    let mut words = vec![program.unwrap_or_else(|| "apptainer".to_owned())];
    // Nothing of the node but what is asked for, in a namespace of processes of its own, of which init is the first.
    let contained = ["--quiet", "exec", "--containall", "--no-init", "--no-mount", "tmp,home,hostfs"];
    words.extend(contained.map(str::to_owned));
    for bind in binds {
        words.extend(["--mount".to_owned(), mount(bind)]);
    }
    if let Some(name) = &wishes.hostname {
        words.extend(["--hostname".to_owned(), name.clone()]);
    }
    if !wishes.read_only {
        words.extend(["--overlay".to_owned(), NODE_PLACEHOLDER.to_owned()]);
    }
    let rootfs = rootfs.to_str();
    let rootfs = rootfs.ok_or_else(|| Error::internal("the path of an image is not UTF-8"))?;
    words.extend(["--pwd", "/", rootfs, INIT_PATH].map(str::to_owned));
    Ok(words)
}

/// A mount as a line of comma-separated values, each quoted, so that a path may have commas.
fn mount(bind: &Bind) -> String {
    let value = |key: &str, value: &str| format!("\"{key}={}\"", value.replace('"', "\"\""));
    let (source, destination) = (value("source", &bind.source), value("destination", &bind.destination));
    let access = if bind.read_only { ",ro" } else { "" };
    format!("type=bind,{source},{destination}{access}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_have_any_letter() {
        let bind = Bind { source: "/a,b\"c".into(), destination: "/d:e".into(), read_only: true };
        assert_eq!(mount(&bind), r#"type=bind,"source=/a,b""c","destination=/d:e",ro"#);
    }
}
