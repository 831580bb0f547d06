//! The runtime of a job's container: containerd's plugin, and the program that it uses.

use containerd_client::services::v1::container::Runtime;
use prost::Message;
use prost_types::Any;

use super::{Core, JobSettings, defaults};
use crate::model::{Extensions, Result};

/// The options of containerd's plugin for runc and similar programs. Only this field is set here.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(string, tag = "6")]
    binary_name: String,
}

/// The type under which the plugin knows its options.
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// The requested runtime, or else the configured one, or that of the namespace.
pub(super) async fn runtime(
    core: &Core,
    settings: &JobSettings,
    wanted: &Extensions,
) -> Result<Runtime> {
    let name = match wanted.runtime.as_ref().or(settings.runtime.as_ref()) {
        Some(said) => said.clone(),
        None => {
            let named = core.defaults.of(&core.daemon).await?.runtime;
            named.unwrap_or_else(|| defaults::RUNTIME.to_owned())
        }
    };
    // A configured program belongs to the configured plugin.
    let its_plugin = settings.runtime.as_deref().unwrap_or(defaults::RUNTIME);
    let configured = settings.runtime_binary.as_ref().filter(|_| name == its_plugin);
    let options = wanted.runtime_binary.as_ref().or(configured).map(|binary| Any {
        type_url: OPTIONS_TYPE.to_owned(),
        value: Options { binary_name: binary.clone() }.encode_to_vec(),
    });
    Ok(Runtime { name, options })
}
