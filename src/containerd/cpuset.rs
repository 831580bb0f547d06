//! Processors of a job's own.
//!
//! Each job with some notes them in its directory, where the processes that start other jobs find them
//! until the job is removed. There is no lock that one of them could hold: of two jobs that have chosen
//! the same at the same moment, the one with the later id chooses anew.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::files::io_error;
use crate::model::extensions::{CpuList, CpuSet, PREFIX};
use crate::model::{Error, Result};

/// The usable processors.
const ONLINE: &str = "/sys/devices/system/cpu/online";
/// A file in the job's directory that holds its processors.
const FILE: &str = "cpus";
/// The number of choices; after that the job shares processors with another.
const ROUNDS: usize = 16;

/// Refuse processors that this machine does not have.
pub(super) fn check(wanted: &CpuSet) -> Result<()> {
    let online = online()?;
    match wanted {
        CpuSet::These(list) if !list.0.is_subset(&online.0) => {
            let text = format!("\"{list}\", and the processors of this machine are {online}");
            Err(Error::argument(format!("job template attribute {PREFIX}cpuset is {text}")))
        }
        _ => Ok(()),
    }
}

/// Choose the processors of a job with this many slots, and note them in its directory.
pub(super) fn choose(jobs_dir: &Path, id: &str, wanted: &CpuSet, slots: i64) -> Result<CpuList> {
    let count = match wanted {
        CpuSet::These(list) => {
            note(jobs_dir, id, list)?;
            return Ok(list.clone());
        }
        CpuSet::Slots => usize::try_from(slots).unwrap_or(1).max(1),
    };
    let online = online()?;
    let mut chosen = least_used(&online, &others(jobs_dir, id)?, count);
    for _ in 0..ROUNDS {
        note(jobs_dir, id, &chosen)?;
        let others = others(jobs_dir, id)?;
        let shares = |(other, theirs): (&String, &CpuList)| {
            other.as_str() < id && !chosen.0.is_disjoint(&theirs.0)
        };
        let better = least_used(&online, &others, count);
        if !others.iter().any(shares) || load(&better, &others) >= load(&chosen, &others) {
            break;
        }
        chosen = better;
    }
    Ok(chosen)
}

fn online() -> Result<CpuList> {
    let path = Path::new(ONLINE);
    let text = fs::read_to_string(path).map_err(|error| io_error(path, &error))?;
    text.parse().map_err(|error| Error::internal(format!("{ONLINE}: {error}")))
}

fn note(jobs_dir: &Path, id: &str, list: &CpuList) -> Result<()> {
    let path = jobs_dir.join(id).join(FILE);
    fs::write(&path, list.to_string()).map_err(|error| io_error(&path, &error))
}

/// The processors of all other jobs. A job that is removed meanwhile has none.
fn others(jobs_dir: &Path, id: &str) -> Result<HashMap<String, CpuList>> {
    let entries = fs::read_dir(jobs_dir).map_err(|error| io_error(jobs_dir, &error))?;
    let jobs = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // The directory of an abandoned attempt begins with a dot.
    let jobs = jobs.filter(|other| other != id && !other.starts_with('.'));
    let with_list = jobs.filter_map(|job| {
        let text = fs::read_to_string(jobs_dir.join(&job).join(FILE)).ok()?;
        Some((job, text.parse().ok()?))
    });
    Ok(with_list.collect())
}

/// The number of jobs that have a processor.
fn users(cpu: u32, others: &HashMap<String, CpuList>) -> usize {
    others.values().filter(|list| list.0.contains(&cpu)).count()
}

fn load(list: &CpuList, others: &HashMap<String, CpuList>) -> usize {
    list.0.iter().map(|cpu| users(*cpu, others)).sum()
}

/// The processors that the fewest other jobs have; adjacent ones, because those most often share a
/// cache.
fn least_used(online: &CpuList, others: &HashMap<String, CpuList>, count: usize) -> CpuList {
    let mut all: Vec<u32> = online.0.iter().copied().collect();
    all.sort_by_key(|cpu| (users(*cpu, others), *cpu));
    CpuList(all.into_iter().take(count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CpuList {
        text.parse().unwrap()
    }

    #[test]
    fn the_fewest_jobs_share_a_processor() {
        let mut others = HashMap::new();
        let mut choose = |job: &str, count| {
            let chosen = least_used(&list("0-3"), &others, count);
            others.insert(job.to_owned(), chosen.clone());
            chosen.to_string()
        };
        assert_eq!(["a", "b", "c"].map(|job| choose(job, 1)), ["0", "1", "2"]);
        assert_eq!(choose("d", 2), "0,3");
        assert_eq!(choose("e", 9), "0-3");
        assert_eq!(choose("f", 1), "1");
    }

    #[test]
    fn of_two_that_have_chosen_the_same_the_later_chooses_anew() {
        let online = online().unwrap();
        let Some(first) = online.0.first().filter(|_| online.0.len() > 1) else { return };
        let dir = tempfile::tempdir().unwrap();
        for id in ["a", "b", ".c"] {
            fs::create_dir(dir.path().join(id)).unwrap();
        }
        let taken = CpuList([*first].into());
        for id in ["a", ".c"] {
            note(dir.path(), id, &taken).unwrap();
        }
        let chosen = choose(dir.path(), "b", &CpuSet::Slots, 1).unwrap();
        assert_ne!(chosen, taken);
        // The earlier job keeps its processors if it looks again, and those of a removed job are free.
        assert_eq!(choose(dir.path(), "a", &CpuSet::Slots, 1).unwrap(), taken);
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        assert_eq!(choose(dir.path(), "b", &CpuSet::Slots, 1).unwrap(), taken);
        assert_eq!(fs::read_to_string(dir.path().join("b/cpus")).unwrap(), taken.to_string());
    }

    #[test]
    fn processors_that_are_not_there_are_refused() {
        assert_eq!(check(&CpuSet::Slots), Ok(()));
        let error = check(&CpuSet::These(list("0,8000"))).unwrap_err();
        assert!(error.message.contains("\"0,8000\""), "{error}");
    }
}
