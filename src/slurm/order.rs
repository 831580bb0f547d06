//! The order for the init of a job that runs in no container: paths are those of the node, the user is the one that
//! the node starts the job as.

use drmaa2_init as init;
use nix::unistd::{Uid, User};
use oci_spec::image::Config;

use super::settings::JobSettings;
use crate::container::order;
use crate::container::spec::Host;
use crate::model::{Result, Text};
use crate::tracker::{NewJob, Transfer};

/// The order for a job on the machine itself.
pub(super) fn on_host(job: &NewJob) -> Result<init::Order> {
    let settings = JobSettings::of(job)?;
    let mut order = order::order(job, &Config::default(), settings.patience(), &Host::default())?;
    let path =
        |path: &Option<Text>| path.as_ref().map_or_else(Vec::new, |path| path.as_bytes().to_vec());
    order.stdin = path(&job.stdio.input);
    order.stdout = path(&job.stdio.output);
    order.stderr = path(&job.stdio.error);
    order.stage_in = job.stdio.stage_in.iter().map(|file| transfer(file, &file.source)).collect();
    order.stage_out =
        job.stdio.stage_out.iter().map(|file| transfer(file, &parent(&file.destination))).collect();
    order.account = false;
    order.drop_capabilities.clear();
    // Nodes know file systems by other numbers; the job has no more rights than its user.
    order.origins.clear();
    if let Ok(Some(user)) = User::from_uid(Uid::from_raw(job.submitter.uid)) {
        let home = user.dir.into_os_string().into_encoded_bytes();
        for (name, value) in [
            ("HOME", home.as_slice()),
            ("USER", user.name.as_bytes()),
            ("LOGNAME", user.name.as_bytes()),
        ] {
            let entry = [name.as_bytes(), b"=", value].concat();
            let prefix = &entry[..=name.len()];
            if !order.env.iter().any(|own| own.starts_with(prefix)) {
                order.env.push(entry);
            }
        }
        if let Some(below) = order.directory.strip_prefix(init::HOME_PLACEHOLDER) {
            order.directory = [&home, below].concat();
        } else if order.create_directory {
            order.directory = home;
        }
    }
    // It was that of an image.
    order.create_directory = false;
    Ok(order)
}

fn transfer(transfer: &Transfer, mount: &Text) -> init::Transfer {
    init::Transfer {
        source: transfer.source.as_bytes().to_vec(),
        destination: transfer.destination.as_bytes().to_vec(),
        mount: mount.as_bytes().to_vec(),
    }
}

/// The directory of a path.
fn parent(path: &Text) -> Text {
    let parent = path.as_path().parent().unwrap_or(std::path::Path::new("/"));
    Text::from(parent.as_os_str().as_encoded_bytes().to_vec())
}
