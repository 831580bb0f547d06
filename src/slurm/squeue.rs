//! Slurm's list of its jobs: a line of `squeue` for each, or one for all tasks of an array that wait alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use drmaa2_init::COMMENT;

use crate::model::{JobInfo, JobState, Millis, SlotInfo};

/// Separates the fields: no name may contain it, unlike what users write into a comment.
pub(super) const SEPARATOR: char = '\u{1f}';
/// The fields, as `squeue --format` names them.
const FIELDS: [&str; 12] = ["%k", "%F", "%K", "%T", "%r", "%S", "%V", "%C", "%N", "%P", "%u", "%j"];

/// The value of `--format`.
pub(super) fn format() -> String {
    FIELDS.join(&SEPARATOR.to_string())
}

/// The comment of a job of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    /// Id of the job, or of the array.
    pub(super) id: String,
    /// Index of the first task, and the difference between two.
    pub(super) tasks: Option<(i64, i64)>,
}

impl Comment {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(COMMENT)?.split(':');
        let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        let tasks = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(first), Some(step), None) => Some((first.parse().ok()?, step.parse().ok()?)),
            _ => return None,
        };
        Some(Self { id, tasks })
    }

    /// The id of the job at this place of the array.
    pub(super) fn job(&self, place: Option<i64>) -> Option<String> {
        match (self.tasks, place) {
            (None, None) => Some(self.id.clone()),
            (Some((first, step)), Some(place)) => {
                Some(format!("{}.{}", self.id, place.checked_mul(step)?.checked_add(first)?))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Comment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{COMMENT}{}", self.id)?;
        self.tasks.map_or(Ok(()), |(first, step)| write!(out, ":{first}:{step}"))
    }
}

/// A line of `squeue`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Number of the job, or of the array.
    pub(super) number: String,
    /// In capitals, such as `PENDING`.
    pub(super) state: String,
    pub(super) reason: String,
    /// Start, or the expected start.
    pub(super) start: Option<Millis>,
    pub(super) submitted: Option<Millis>,
    pub(super) cpus: Option<i64>,
    /// A list such as `n[1-3]`; empty if it has none.
    pub(super) nodes: String,
    pub(super) partition: String,
    pub(super) user: String,
    pub(super) name: String,
}

/// A job as Slurm shows it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) line: Arc<Line>,
    /// Its comment is that of a job of the library.
    pub(super) is_ours: bool,
    /// Its place in an array.
    pub(super) place: Option<i64>,
}

impl Entry {
    /// Its number for Slurm's programs.
    pub(super) fn number(&self) -> String {
        match self.place {
            Some(place) => format!("{}_{place}", self.line.number),
            None => self.line.number.clone(),
        }
    }

    /// The number of its array, and its place in it.
    pub(super) fn number_and_place(&self) -> Option<(&str, i64)> {
        Some((&self.line.number, self.place?))
    }

    /// The nodes that it was given, as a list; empty if there are none.
    pub(super) fn nodes(&self) -> &str {
        &self.line.nodes
    }

    /// State and reason.
    pub(super) fn words(&self) -> String {
        let Line { state, reason, .. } = &*self.line;
        if matches!(reason.as_str(), "" | "None") { state.clone() } else { format!("{state} {reason}") }
    }

    /// Its account, with a state that is given.
    pub(super) fn info(&self, id: &str, state: JobState) -> JobInfo {
        let line = &self.line;
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut info = JobInfo::new(id, state);
        info.name = some(&line.name);
        info.owner = some(&line.user);
        info.queue = some(&line.partition);
        info.submitted = line.submitted;
        info.substate = Some(self.words());
        if !state.is_queued() {
            info.slots = line.cpus;
            info.dispatched = line.start;
            info.allocated_machines = machines(&line.nodes, line.cpus.unwrap_or(1));
        }
        info
    }
}

/// All jobs that `squeue` has shown.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Those of the library by their ids, others by their numbers.
    known: HashMap<String, Entry>,
    /// Tasks without a place, by the id of their array: Slurm shows so what was cancelled while it waited, in one line
    /// for all. With each, the index of the first task of its submission.
    placeless: HashMap<String, Vec<(i64, Entry)>>,
}

impl Jobs {
    /// The job with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        self.known.get(id).or_else(|| {
            let (array, index) = id.rsplit_once('.')?;
            let index: i64 = index.parse().ok()?;
            let parts = self.placeless.get(array)?.iter().filter(|(first, _)| *first <= index);
            parts.max_by_key(|(first, _)| *first).map(|(_, entry)| entry)
        })
    }

    /// All jobs that have a place, with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.known.iter()
    }
}

/// Read what `squeue` has shown.
pub(super) fn parse(text: &str) -> Jobs {
    let mut jobs = Jobs::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(SEPARATOR).collect();
        let Ok(fields) = <[&str; FIELDS.len()]>::try_from(fields) else { continue };
        let [
            comment,
            number,
            places,
            state,
            reason,
            start,
            submitted,
            cpus,
            nodes,
            partition,
            user,
            name,
        ] = fields.map(str::trim);
        let comment = Comment::parse(comment);
        let line = Arc::new(Line {
            number: number.to_owned(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            start: millis(start),
            submitted: millis(submitted),
            cpus: cpus.parse().ok(),
            nodes: nodes.to_owned(),
            partition: partition.to_owned(),
            user: user.to_owned(),
            name: name.to_owned(),
        });
        for place in self::places(places) {
            let id = comment.as_ref().and_then(|comment| comment.job(place));
            let entry = Entry { line: Arc::clone(&line), is_ours: comment.is_some(), place };
            match comment.as_ref().map(|comment| (&comment.id, comment.tasks)) {
                Some((array, Some((first, _)))) if place.is_none() => {
                    jobs.placeless.entry(array.clone()).or_default().push((first, entry));
                }
                _ => drop(jobs.known.insert(id.unwrap_or_else(|| entry.number()), entry)),
            }
        }
    }
    jobs
}

/// The numbers of arrays of which tasks are shown in one line that wait for different reasons, such as
/// `JobHeldUser,None` after one of them was released: it does not say which task has which.
pub(super) fn mixed(text: &str) -> Vec<&str> {
    text.lines().filter_map(mixed_number).collect()
}

fn mixed_number(line: &str) -> Option<&str> {
    let mut fields = line.split(SEPARATOR);
    let (number, places) = (fields.nth(1)?, fields.next()?);
    let is_mixed = places.contains(['-', ',']) && fields.nth(1)?.contains(',');
    is_mixed.then_some(number.trim())
}

/// Seconds since the epoch; a word such as `N/A` is none.
pub(super) fn millis(text: &str) -> Option<Millis> {
    text.parse::<i64>().ok()?.checked_mul(1000)
}

/// The places of a line: one without a number if it is no array, those of `0-3,7%2` if they wait alike.
pub(super) fn places(text: &str) -> Vec<Option<i64>> {
    if matches!(text, "" | "N/A") {
        return vec![None];
    }
    ranges(text.split('%').next().unwrap_or_default()).into_iter().map(Some).collect()
}

/// The numbers of `0-3,7,8-12:2`.
fn ranges(text: &str) -> Vec<i64> {
    let range = |part: &str| {
        let (bounds, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = bounds.split_once('-').unwrap_or((bounds, bounds));
        let [first, last, step] = [first, last, step].map(|number| number.parse::<i64>().ok());
        let step = usize::try_from(step?.max(1)).ok()?;
        // No array has more.
        Some((first?..=last?).step_by(step).take(4_000_001))
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// The numbers as Slurm writes them: `0-3,7`. They are in order.
pub(super) fn list(numbers: &[i64]) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range = |(first, last): &(i64, i64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// The numbers of jobs for Slurm's programs, those of an array in one: `7`, `8_[0-3,7]`.
pub(super) fn numbers<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut arrays: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut numbers = Vec::new();
    for entry in entries {
        match entry.place {
            Some(place) => arrays.entry(&entry.line.number).or_default().push(place),
            None => numbers.push(entry.number()),
        }
    }
    numbers.extend(arrays.into_iter().map(|(number, mut places)| {
        places.sort_unstable();
        format!("{number}_[{}]", list(&places))
    }));
    numbers
}

/// The machines of a list such as `n[1-3],m7`. Slurm does not say in a line which of them has how many processors; a
/// job of the library has one machine.
pub(super) fn machines(list: &str, cpus: i64) -> Vec<SlotInfo> {
    let names = names(list);
    let share = cpus / i64::try_from(names.len().max(1)).unwrap_or(1);
    names.into_iter().map(|machine| SlotInfo { machine, slots: share.max(1) }).collect()
}

/// The names of a list such as `n[01-03,7],m7`.
pub(super) fn names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut begin) = (Vec::new(), 0, 0);
    let ends = list.char_indices().chain([(list.len(), ',')]);
    for (at, letter) in ends {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(expand(&list[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn expand(name: &str) -> Vec<String> {
    let (Some(open), Some(close)) = (name.find('['), name.find(']')) else {
        return Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
    };
    let (before, inside, after) =
        (&name[..open], &name[open + 1..close.max(open + 1)], &name[close + 1..]);
    let rest = if after.is_empty() { vec![String::new()] } else { expand(after) };
    let mut names = Vec::new();
    for part in inside.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let width = first.len();
        for number in ranges(&format!("{first}-{last}")) {
            names.extend(rest.iter().map(|rest| format!("{before}{number:0width$}{rest}")));
        }
    }
    names
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::slurm) fn line(fields: [&str; FIELDS.len()]) -> String {
        fields.join(&SEPARATOR.to_string()) + "\n"
    }

    #[test]
    fn jobs_and_tasks_are_known_by_their_comment_and_others_by_their_number() {
        let text = [
            line([
                "drmaa2:01j",
                "7",
                "N/A",
                "RUNNING",
                "None",
                "100",
                "90",
                "2",
                "n1",
                "main",
                "me",
                "a b",
            ]),
            line([
                "drmaa2:01k:5:2",
                "8",
                "0-1,4%3",
                "PENDING",
                "Resources",
                "N/A",
                "90",
                "1",
                "",
                "main",
                "me",
                "x",
            ]),
            line([
                "drmaa2:01k:5:2",
                "8",
                "2",
                "RUNNING",
                "None",
                "100",
                "90",
                "1",
                "n2",
                "main",
                "me",
                "x",
            ]),
            line([
                "mine: a|b",
                "9",
                "3",
                "PENDING",
                "(null)",
                "N/A",
                "90",
                "1",
                "",
                "main",
                "other",
                "y",
            ]),
            "broken\n".to_owned(),
        ]
        .concat();
        let jobs = parse(&text);
        let mut ids: Vec<&String> = jobs.iter().map(|(id, _)| id).collect();
        ids.sort();
        assert_eq!(ids, ["01j", "01k.13", "01k.5", "01k.7", "01k.9", "9_3"]);
        assert_eq!(
            (
                jobs.get("01k.13").unwrap().number().as_str(),
                jobs.get("01k.9").unwrap().number().as_str()
            ),
            ("8_4", "8_2")
        );
        let info = jobs.get("01j").unwrap().info("01j", JobState::Running);
        assert_eq!(
            (info.name.as_deref(), info.slots, info.dispatched),
            (Some("a b"), Some(2), Some(100_000))
        );
        assert_eq!(info.allocated_machines, [SlotInfo { machine: "n1".into(), slots: 2 }]);
        let some = ["01k.13", "01j", "01k.5", "01k.7"].map(|id| jobs.get(id).unwrap());
        assert_eq!(numbers(some.into_iter()), ["7", "8_[0-1,4]"]);
        assert_eq!(jobs.get("01k.5").unwrap().words(), "PENDING Resources");
        assert_eq!(jobs.get("01j").unwrap().words(), "RUNNING");
    }

    #[test]
    fn what_was_cancelled_as_a_whole_is_found_without_a_place() {
        let cancelled = |number, first: &str| {
            let comment = format!("drmaa2:01k:{first}:2");
            line([&comment, number, "N/A", "CANCELLED", "None", "9", "9", "1", "", "main", "me", "x"])
        };
        let running =
            ["drmaa2:01k:1:2", "7", "1", "RUNNING", "None", "9", "9", "1", "n1", "main", "me", "x"];
        let jobs = parse(&[cancelled("7", "1"), line(running), cancelled("8", "101")].concat());
        let number = |id| jobs.get(id).map(|entry| (entry.number(), entry.words()));
        assert_eq!(number("01k.3"), Some(("7_1".into(), "RUNNING".into())));
        assert_eq!(number("01k.5"), Some(("7".into(), "CANCELLED".into())));
        assert_eq!(number("01k.103"), Some(("8".into(), "CANCELLED".into())));
        assert_eq!((number("01k.-1"), number("01j"), number("01l.1")), (None, None, None));
    }

    #[test]
    fn tasks_that_wait_alike_by_their_line_alone_are_asked_about_one_by_one() {
        let waiting = |number, places, reason| {
            let comment = "drmaa2:01k:1:1";
            line([comment, number, places, "PENDING", reason, "9", "9", "1", "", "main", "me", "a,b"])
        };
        let text = waiting("7", "2-5%2", "JobHeldUser,None") + &waiting("8", "0-1", "JobHeldUser");
        assert_eq!(mixed(&text), ["7"]);
        // A comma in the reason of a single job.
        assert!(mixed(&waiting("9", "N/A", "ReqNodeNotAvail, UnavailableNodes:n1")).is_empty());
        let one_by_one = waiting("7", "2", "JobHeldUser") + &waiting("7", "5", "None");
        let jobs = parse(&(text + &one_by_one));
        let reason = |id| jobs.get(id).map(|entry| entry.line.reason.clone());
        assert_eq!(reason("01k.3"), Some("JobHeldUser".into()));
        assert_eq!(reason("01k.6"), Some("None".into()));
    }

    #[test]
    fn a_comment_survives_its_text() {
        for comment in [
            Comment { id: "01j".into(), tasks: None },
            Comment { id: "01j".into(), tasks: Some((i64::MIN, 3)) },
        ] {
            assert_eq!(Comment::parse(&comment.to_string()), Some(comment));
        }
        for other in ["", "drmaa2:", "drmaa2:a:1", "drmaa2:a:1:2:3", "drmaa2:a:b:c", "x"] {
            assert_eq!(Comment::parse(other), None, "{other}");
        }
        assert_eq!(Comment { id: "a".into(), tasks: Some((1, i64::MAX)) }.job(Some(2)), None);
    }

    #[test]
    fn lists_of_machines_are_expanded() {
        assert_eq!(names("n1"), ["n1"]);
        assert_eq!(names("n[1-3,7],m7"), ["n1", "n2", "n3", "n7", "m7"]);
        assert_eq!(names("a[08-10]b[1-2]"), ["a08b1", "a08b2", "a09b1", "a09b2", "a10b1", "a10b2"]);
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("n[1-"), Vec::<String>::new());
        assert_eq!(names("n]1["), Vec::<String>::new());
    }
}
