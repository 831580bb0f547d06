//! The ways in which a cluster runs the containers of jobs.

use serde::{Deserialize, Serialize};

/// The program that makes the container of a job on its node, with a word for each in the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Containers {
    /// An OCI runtime, which the batch script starts.
    #[default]
    Runtime,
    /// Slurm itself, by the `oci.conf` of the site.
    Slurm,
    /// Apptainer.
    Apptainer,
    /// Enroot, by the plugin Pyxis of Slurm.
    Pyxis,
    /// The containerd of the node, by the broker there.
    Containerd,
}

impl Containers {
    const ALL: [(&str, Self); 5] = [
        ("runtime", Self::Runtime),
        ("slurm", Self::Slurm),
        ("apptainer", Self::Apptainer),
        ("pyxis", Self::Pyxis),
        ("containerd", Self::Containerd),
    ];

    /// The one of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == word).map(|(_, containers)| *containers)
    }

    /// Returns whether nodes pull images themselves.
    pub fn pulls_on_node(self) -> bool {
        matches!(self, Self::Pyxis | Self::Containerd)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, containers)| *containers == self).map_or("runtime", |(word, _)| word)
    }
}
