//! The runtime of a job's container: containerd's plugin, and the program that it uses.

use containerd_client::services::v1::container::Runtime;
use prost::Message;
use prost_types::Any;

use super::JobSettings;
use crate::model::Extensions;

/// The options of containerd's plugin for runc and what is called like it. Of its fields only this
/// one is ours to set.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(string, tag = "6")]
    binary_name: String,
}

/// The type under which the plugin knows its options.
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// What a job asks for, or else what is configured.
pub(super) fn runtime(settings: &JobSettings, wanted: &Extensions) -> Runtime {
    let name = wanted.runtime.as_ref().unwrap_or(&settings.runtime).clone();
    // A program that was configured belongs to the plugin that was.
    let configured = settings.runtime_binary.as_ref().filter(|_| name == settings.runtime);
    let options = wanted.runtime_binary.as_ref().or(configured).map(|binary| Any {
        type_url: OPTIONS_TYPE.to_owned(),
        value: Options { binary_name: binary.clone() }.encode_to_vec(),
    });
    Runtime { name, options }
}
