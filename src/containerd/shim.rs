//! The shim of a container, seen as a process of this machine: it may be there without a task that the
//! daemon knows of.

use std::fs;

use super::Core;
use super::launch::blocking;
use crate::model::Result;

/// Is there a shim of this container?
pub(super) async fn is_alive(core: &Core, container: &str) -> Result<bool> {
    let wanted = [("-namespace", core.daemon.namespace().to_owned()), ("-id", container.to_owned())];
    blocking(move || {
        let Ok(processes) = fs::read_dir("/proc") else { return Ok(false) };
        let mut lines =
            processes.flatten().filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        Ok(lines.any(|line| wanted.iter().all(|(name, value)| has(&line, name, value))))
    })
    .await
}

/// Is there an argument of this name with this value in a command line?
fn has(line: &[u8], name: &str, value: &str) -> bool {
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [name.as_bytes(), value.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_arguments() {
        let line = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0n\0-id\0j_2\0-address\0/run/c.sock\0";
        assert!(has(line, "-namespace", "n") && has(line, "-id", "j_2"));
        assert!(!has(line, "-id", "j") && !has(line, "-namespace", "j_2"));
    }
}
