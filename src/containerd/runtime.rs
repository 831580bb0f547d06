//! The runtime of a job's container: containerd's plugin, and the program that it uses.

use containerd_client::services::v1::container::Runtime;
use prost::Message;
use prost_types::Any;

use super::JobSettings;
use crate::model::Extensions;

/// The options of containerd's plugin for runc and similar programs. Only this field is set here.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(string, tag = "6")]
    binary_name: String,
}

/// The type under which the plugin knows its options.
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// The requested runtime, or else the configured one.
pub(super) fn runtime(settings: &JobSettings, wanted: &Extensions) -> Runtime {
    let name = wanted.runtime.as_ref().unwrap_or(&settings.runtime).clone();
    // A configured program belongs to the configured plugin.
    let configured = settings.runtime_binary.as_ref().filter(|_| name == settings.runtime);
    let options = wanted.runtime_binary.as_ref().or(configured).map(|binary| Any {
        type_url: OPTIONS_TYPE.to_owned(),
        value: Options { binary_name: binary.clone() }.encode_to_vec(),
    });
    Runtime { name, options }
}
