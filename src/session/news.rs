//! The input of an engine's thread of facts.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;

use crate::tracker::{Fact, Waiting};

/// The most reports that are stored in one transaction: other processes wait for its end.
const TOGETHER: usize = 1000;

/// Input of the thread of the facts.
pub(super) enum News {
    Fact(Box<Fact>),
    /// A process that may have worked on jobs has died.
    Settle,
}

/// The reports of jobs that wait which have arrived, beginning with this one: the last of each job. Also the input that
/// follows on them, if there is some.
pub(super) fn gather_waiting(
    first: (String, Waiting),
    news: &Receiver<News>,
) -> (Vec<(String, Waiting)>, Option<News>) {
    let mut reports = HashMap::from([first]);
    while reports.len() < TOGETHER {
        match news.try_recv() {
            Ok(News::Fact(fact)) => match *fact {
                Fact::Waits { id, how } => drop(reports.insert(id, how)),
                fact => return (reports.into_iter().collect(), Some(News::Fact(Box::new(fact)))),
            },
            Ok(other) => return (reports.into_iter().collect(), Some(other)),
            Err(_) => break,
        }
    }
    (reports.into_iter().collect(), None)
}
