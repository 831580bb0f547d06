//! The submission of a job array: one array of Slurm, or as many as its limit demands.

use std::path::PathBuf;
use std::time::Instant;

use super::array_dir::{self, ArrayDir, Part};
use super::core::{Core, Snapshot};
use super::image::Image;
use super::job_dir;
use super::report::waiting;
use super::sbatch::{Asked, sbatch};
use super::squeue::Comment;
use super::submit::{prepare, was_not_forgotten, with_plan};
use crate::model::{Error, Result};
use crate::runtime::blocking;
use crate::tracker::{Accepted, NewArray};

/// Submit tasks of an array. Those that Slurm has already, by an earlier attempt, are not submitted again.
pub(super) async fn submit(core: &Core, array: NewArray) -> Result<Accepted> {
    prepare(core, &array.common).await?;
    // Before anything is submitted: one that is started later did not accept it.
    let controller = core.known_controller().await?;
    let accepted_by = controller.noted();
    let dir = job_dir::array_dir(&core.settings, &array.common.id);
    let known = dir.clone();
    let known = blocking(move || ArrayDir::read(&known)).await?;
    let is_new = known.is_none();
    let (known, places) = match known {
        Some(known) => {
            let new = not_submitted(core, &array, &known, &dir, &accepted_by).await?;
            (known, new)
        }
        None => {
            let made = make(core, &array, &dir).await?;
            let places = array.indices.iter().filter_map(|index| made.place(*index)).collect();
            (made, places)
        }
    };
    if places.is_empty() {
        return Ok(Accepted::Reports);
    }
    let chunks: Vec<&[i64]> = chunks(&places, controller.max_array.max(2)).collect();
    if let (Some(_), [_, _, ..]) = (array.max_parallel, &chunks[..]) {
        let text = format!(
            "maxParallel of an array of more than {} tasks, Slurm's MaxArraySize",
            controller.max_array
        );
        return Err(refuse(core, &array, &[], Error::unsupported(&text)).await);
    }
    if !is_new {
        let (enlisted, wanted) = (dir.clone(), places.clone());
        blocking(move || array_dir::enlist(&enlisted, &wanted)).await?;
    }
    let (mut numbers, synced) = (Vec::new(), dir.clone());
    let submitting = async {
        for chunk in chunks {
            let number = submit_chunk(core, &array, &known, chunk).await?;
            let (dir, parts) = (dir.clone(), parts(chunk, chunk[0], &number, &accepted_by));
            numbers.push(number);
            blocking(move || array_dir::note_submitted(&dir, &parts)).await?;
        }
        Ok(())
    };
    // Both at once: a disk may be as slow as Slurm.
    let (synced, submitted) = tokio::join!(blocking(move || job_dir::sync(&synced)), submitting);
    match submitted.and(synced) {
        Err(error) if error.may_pass() => return Err(error),
        Err(error) => return Err(refuse(core, &array, &numbers, error).await),
        Ok(()) => {}
    }
    if is_new {
        return Ok(Accepted::Wait(waiting(array.common.held)));
    }
    for place in places {
        let id = format!("{}.{}", array.common.id, known.index(place));
        core.tell_submitted(&id, array.common.held).await;
    }
    Ok(Accepted::Reports)
}

/// Make the directory of an array.
async fn make(core: &Core, array: &NewArray, dir: &std::path::Path) -> Result<ArrayDir> {
    let image = Image::get(core, &array.common).await?;
    let init = core.settings.node.with_file_name("drmaa2-init");
    let stand_in = stand_in(array)?;
    let task = array.task(stand_in);
    let runs = core.job_dir(&task.id)?;
    let (array, dir) = (array.clone(), dir.to_owned());
    blocking(move || {
        with_plan(&task, image.as_ref(), &runs, &init, |plan| {
            array_dir::make(&dir, &array, stand_in, plan)
        })?;
        ArrayDir::read(&dir)?.ok_or_else(|| Error::internal("the directory of an array has gone"))
    })
    .await
}

/// A number whose digits are nowhere in what the tasks have in common, so that it can stand for the index of each.
fn stand_in(array: &NewArray) -> Result<i64> {
    let text = format!("{:?}", array.common);
    loop {
        let random = getrandom::u64().map_err(|error| Error::internal(format!("{error}")))?;
        // Eighteen digits.
        let number = 100_000_000_000_000_000 + (random % 900_000_000_000_000_000).cast_signed();
        if !text.contains(&number.to_string()) {
            return Ok(number);
        }
    }
}

/// The places of those tasks that Slurm was not given yet. What it has of the others is noted and reported.
async fn not_submitted(
    core: &Core,
    array: &NewArray,
    known: &ArrayDir,
    dir: &std::path::Path,
    controller: &str,
) -> Result<Vec<i64>> {
    // An attempt that was not answered may have been carried out.
    let said = core.asked_after(Instant::now()).await?;
    let (mut new, mut old, mut found, mut begun) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let ids: Vec<String> =
        array.indices.iter().map(|index| format!("{}.{index}", array.common.id)).collect();
    let files = core.files_of(&ids).await?;
    for ((index, id), files) in array.indices.iter().zip(ids).zip(files) {
        let Some(place) = known.place(*index) else { continue };
        let has_run = files?.is_some_and(|files| files.run.is_some());
        match said.jobs.get(&id).and_then(|entry| entry.number_and_place()) {
            Some((number, there)) => {
                let base = place - there;
                found.extend(parts(&[place], base, number, controller));
                old.push(id);
            }
            None if has_run => begun.push((place, id)),
            None => new.push(place),
        }
    }
    let (dir, enlisted): (PathBuf, Vec<i64>) =
        (dir.to_owned(), found.iter().map(|part| *part.places.start()).collect());
    blocking(move || {
        array_dir::enlist(&dir, &enlisted)?;
        array_dir::note_submitted(&dir, &joined(found))
    })
    .await?;
    for (_, info) in core.job_infos(&old).await? {
        core.tell_again(&info?).await;
    }
    let ids: Vec<String> = begun.iter().map(|(_, id)| id.clone()).collect();
    for ((place, _), (id, info)) in begun.iter().zip(core.job_infos(&ids).await?) {
        if !was_not_forgotten(core, &id, info).await? {
            new.push(*place);
        }
    }
    new.sort_unstable();
    Ok(new)
}

/// Submit these places in one array of Slurm. Returns its number.
async fn submit_chunk(core: &Core, array: &NewArray, known: &ArrayDir, chunk: &[i64]) -> Result<String> {
    let (id, base) = (&array.common.id, chunk[0]);
    let comment = Comment { id: id.clone(), tasks: Some((known.index(base), known.step())) };
    let places: Vec<i64> = chunk.iter().map(|place| place - base).collect();
    let words = format!("{id} {} {} {base} {}", known.first(), known.step(), known.stand_in);
    let places = Some((&places[..], array.max_parallel));
    let asked = Asked { job: &array.common, comment: &comment, places, words };
    let find = |said: &Snapshot| {
        let mut ids = chunk.iter().map(|place| format!("{id}.{}", known.index(*place)));
        let entry = ids.find_map(|id| said.jobs.get(&id))?;
        Some(entry.line.number.clone())
    };
    sbatch(core, asked, find).await
}

/// Take back what Slurm has accepted of an array of which it refuses a part. Nothing is left of it. Returns the error.
async fn refuse(core: &Core, array: &NewArray, numbers: &[String], error: Error) -> Error {
    let mut args = vec!["--quiet"];
    args.extend(numbers.iter().map(String::as_str));
    if !numbers.is_empty()
        && let Err(error) = core.settings.programs.ask("scancel", &args).await
    {
        tracing::warn!(%error, id = array.common.id, "cannot take back an array of which Slurm has refused the rest");
    }
    core.requested();
    let (settings, ids): (_, Vec<String>) = (
        core.settings.clone(),
        array.indices.iter().map(|index| format!("{}.{index}", array.common.id)).collect(),
    );
    let removed = ids.clone();
    let removed = blocking(move || {
        removed.iter().map(|id| job_dir::remove(&settings, id)).fold(Ok(()), Result::and)
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, id = array.common.id, "cannot remove what is left of an array that Slurm has refused");
    }
    ids.iter().for_each(|id| core.forget(id));
    error
}

/// The parts of the places that fit into one array of Slurm each.
fn chunks(places: &[i64], size: i64) -> impl Iterator<Item = &[i64]> {
    let mut rest = places;
    std::iter::from_fn(move || {
        let base = *rest.first()?;
        let count = rest.iter().take_while(|place| **place - base < size).count().max(1);
        let (chunk, after) = rest.split_at(count);
        rest = after;
        Some(chunk)
    })
}

/// These places of one array of Slurm, in runs.
fn parts(places: &[i64], base: i64, number: &str, controller: &str) -> Vec<Part> {
    let runs = places.chunk_by(|one, next| one + 1 == *next);
    runs.filter_map(|run| {
        let (number, controller) = (number.to_owned(), controller.to_owned());
        Some(Part { places: *run.first()?..=*run.last()?, base, number, controller })
    })
    .collect()
}

/// The same parts, fewer: those that follow on one another are one.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last)
                if last.places.end() + 1 == *part.places.start()
                    && (last.base, &last.number) == (part.base, &part.number) =>
            {
                last.places = *last.places.start()..=*part.places.end();
            }
            _ => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_submitted_in_parts_of_the_size_that_slurm_takes() {
        let places = [0, 1, 3, 7, 8];
        let chunked: Vec<&[i64]> = chunks(&places, 3).collect();
        assert_eq!(chunked, [&[0, 1][..], &[3], &[7, 8]]);
        assert_eq!(chunks(&places, 100).count(), 1);
    }

    #[test]
    fn what_follows_on_is_noted_together() {
        let noted = parts(&[0, 1, 3], 0, "7", "c");
        let runs: Vec<_> = noted.iter().map(|part| part.places.clone()).collect();
        assert_eq!(runs, [0..=1, 3..=3]);
        let single = |place, number| parts(&[place], 0, number, "c").remove(0);
        let all = joined(vec![single(0, "7"), single(1, "7"), single(2, "8"), single(4, "8")]);
        let runs: Vec<_> = all.iter().map(|part| (part.places.clone(), part.number.as_str())).collect();
        assert_eq!(runs, [(0..=1, "7"), (2..=2, "8"), (4..=4, "8")]);
    }
}
