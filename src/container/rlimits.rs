//! The kernel's limits of a job's processes, as init sets them.

use drmaa2_init::Rlimit;

use crate::model::extensions::{self, RLIMITS};
use crate::model::{Extensions, ResourceLimits};
use crate::tracker::Submitter;

/// The kernel's numbers of [`RLIMITS`], in the same order.
const NUMBERS: [u32; RLIMITS.len()] = [9, 4, 0, 2, 1, 10, 8, 12, 13, 7, 6, 5, 14, 15, 11, 3];

/// CPU time in seconds by which a single process may exceed the limit of all, for a clean end; then the
/// kernel kills it, even without init.
const CPU_GRACE: u64 = 5;

/// The limits of a template. If two of them limit the same resource, the smaller one counts, since
/// neither may raise the other.
pub fn rlimits(limits: &ResourceLimits, extensions: &Extensions) -> Vec<Rlimit> {
    let backstop = limits.cpu_time.and_then(|millis| u64::try_from(millis / 1000).ok());
    let backstop = backstop.map(|seconds| Some(seconds.saturating_add(CPU_GRACE)));
    let backstop = backstop
        .map(|hard| ("CPU_TIME", extensions::Rlimit { name: "cpu".to_owned(), soft: hard, hard }));
    let named = limits.rlimits.iter().cloned().chain(backstop);
    let own = named.filter_map(|(key, limit)| translated(&limit, key.to_owned()));
    let further = extensions.rlimits.iter();
    let further = further.filter_map(|limit| translated(limit, limit.name.clone()));
    let mut all: Vec<Rlimit> = Vec::new();
    for limit in own.chain(further) {
        match all.iter_mut().find(|other| other.number == limit.number) {
            Some(other) => {
                if limit.soft < other.soft {
                    (other.soft, other.name) = (limit.soft, limit.name);
                }
                other.hard = other.hard.min(limit.hard);
            }
            None => all.push(limit),
        }
    }
    all
}

/// Returns whether a job of this submitter gets limits above those of a new container. Only root may
/// raise limits.
pub fn may_raise(limits: &[Rlimit], submitter: &Submitter) -> bool {
    submitter.uid == 0 && !limits.is_empty()
}

fn translated(limit: &extensions::Rlimit, name: String) -> Option<Rlimit> {
    let (_, number) = RLIMITS.into_iter().zip(NUMBERS).find(|(known, _)| *known == limit.name)?;
    let (soft, hard) = (limit.soft.unwrap_or(u64::MAX), limit.hard.unwrap_or(u64::MAX));
    Some(Rlimit { number, soft, hard, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobTemplate;

    fn of(keys: &[(&str, &str)], extension: Option<&str>) -> Vec<(u32, u64, u64, String)> {
        let keys = keys.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let extension = extension.map(|value| ("containerd_jt_rlimits".to_owned(), value.into()));
        let template = JobTemplate {
            resource_limits: Some(keys),
            extensions: extension.into_iter().collect(),
            ..JobTemplate::default()
        };
        let limits = rlimits(&template.limits().unwrap(), &template.extensions().unwrap());
        limits.into_iter().map(|limit| (limit.number, limit.soft, limit.hard, limit.name)).collect()
    }

    #[test]
    fn limits_have_the_kernels_numbers_and_the_submitters_names() {
        assert_eq!(of(&[], None), []);
        let expected = [
            (1, 4096, 4096, "FILE_SIZE".to_owned()),
            (0, 7, 7, "CPU_TIME".to_owned()),
            (6, 5, u64::MAX, "nproc".to_owned()),
        ];
        let keys = [("FILE_SIZE", "4"), ("CPU_TIME", "2"), ("WALLCLOCK_TIME", "9")];
        assert_eq!(of(&keys, Some("nproc=5:unlimited")), expected);
    }

    #[test]
    fn the_smaller_one_of_two_counts() {
        let limit = |extension| of(&[("OPEN_FILES", "50")], Some(extension));
        assert_eq!(limit("nofile=20:60"), [(7, 20, 50, "nofile".to_owned())]);
        assert_eq!(limit("nofile=80"), [(7, 50, 50, "OPEN_FILES".to_owned())]);
    }
}
