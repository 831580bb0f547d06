//! Pyxis: `srun --container-image`, by which enroot pulls the image on the node.

use drmaa2_init::INIT_PATH;

use super::bind::Bind;
use crate::model::{Error, Extensions, Result};
use crate::registry::Name;

/// The attributes that it cannot honour.
pub(super) const LACKS: [&str; 4] =
    ["containerd_jt_tmpfs", "containerd_jt_shm_size", "containerd_jt_hostname", "containerd_jt_pull"];

/// The registry that enroot asks without being told.
const USUAL: &str = "docker.io";

/// The command in a step.
pub(super) fn command(
    step: Vec<String>,
    binds: &[Bind],
    wishes: &Extensions,
    image: &str,
) -> Result<Vec<String>> {
    let mounts: Vec<String> = binds.iter().map(mount).collect::<Result<_>>()?;
    let access = if wishes.read_only { "readonly" } else { "writable" };
    let mut words = step;
    words.push(format!("--container-image={}", name(&Name::parse(image)?)));
    words.push(format!("--container-mounts={}", mounts.join(",")));
    words.push(format!("--container-{access}"));
    let plain = ["mount-home", "remap-root", "entrypoint"];
    words.extend(plain.map(|option| format!("--no-container-{option}")));
    words.push("--container-workdir=/".to_owned());
    // The container shares the processes of the node.
    words.extend([INIT_PATH, "--shared"].map(str::to_owned));
    Ok(words)
}

/// The name of an image as enroot has it.
fn name(name: &Name) -> String {
    let registry = if name.host == USUAL { String::new() } else { format!("{}#", name.host) };
    let version = match (&name.digest, &name.tag) {
        (Some(digest), _) => format!("@{digest}"),
        (None, Some(tag)) => format!(":{tag}"),
        (None, None) => String::new(),
    };
    format!("{registry}{}{version}", name.repository)
}

fn mount(bind: &Bind) -> Result<String> {
    let Bind { source, destination, read_only } = bind;
    if let Some(path) = [source, destination].into_iter().find(|path| path.contains([':', ','])) {
        return Err(Error::argument(format!(
            "\"{path}\": Pyxis mounts no path with a colon or a comma"
        )));
    }
    let access = if *read_only { "ro" } else { "rw" };
    Ok(format!("{source}:{destination}:{access}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_has_a_mark_of_its_own() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (image, expected) in [
            ("alpine", "library/alpine:latest".to_owned()),
            ("nvcr.io/nvidia/pytorch:24.01", "nvcr.io#nvidia/pytorch:24.01".to_owned()),
            (&format!("localhost:5000/a:1@{digest}"), format!("localhost:5000#a@{digest}")),
        ] {
            assert_eq!(name(&Name::parse(image).unwrap()), expected);
        }
    }

    #[test]
    fn what_would_be_another_mount_is_refused() {
        let bind =
            |source: &str| Bind { source: source.into(), destination: "/d".into(), read_only: false };
        assert_eq!(mount(&bind("/a b")).unwrap(), "/a b:/d:rw");
        assert!(mount(&bind("/a,/etc:/etc")).unwrap_err().message.contains("/a,/etc:/etc"));
    }
}
