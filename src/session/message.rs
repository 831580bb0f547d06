//! The messages between a client and the broker.

use serde::{Deserialize, Serialize};

use super::call::{Answer, Call};
use super::watched::Known;
use crate::model::{Error, StepContainer};
use crate::tracker::StepNews;

/// A message of a client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Asked {
    /// The first of all. The broker answers with its own.
    Hello {
        protocol: u32,
        /// The file mode mask of the client's jobs.
        umask: u32,
    },
    /// A call, which the broker answers under the same number.
    Call {
        number: u64,
        /// The client has a monitoring session open.
        monitoring: bool,
        call: Box<Call>,
    },
    /// Tell the states of these jobs, now and whenever they change. The broker answers when their present states are told.
    Follow { number: u64, ids: Vec<String> },
    /// The end of that.
    Unfollow { ids: Vec<String> },
    /// Run the init of a cluster's job in a container below the control group of the step that the client is in. The broker
    /// answers by news of it.
    Step(Box<StepContainer>),
}

/// A message of the broker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The answer to the first of all.
    Hello { protocol: u32 },
    /// The client is refused; the connection ends.
    Refused(Error),
    /// The answer to a call.
    Answer { number: u64, answer: Result<Answer, Error> },
    /// The knowledge about jobs that the client follows.
    States(Vec<(String, Known)>),
    /// There may be events for the client's callback.
    Events,
    /// News of the client's container.
    Step(StepNews),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobTemplate, PROTOCOL};

    #[test]
    fn the_messages_of_a_step_are_those_of_a_client() {
        let template = JobTemplate { job_category: Some("i\n".into()), ..JobTemplate::default() };
        let (init, job_dir) = ("/init".to_owned(), "/jobs/01j/run.1".to_owned());
        let step = StepContainer { template: Box::new(template), init, job_dir, files: Vec::new() };
        let text = step.messages().unwrap();
        let said: Vec<Asked> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [Asked::Hello { protocol: PROTOCOL, .. }, Asked::Step(read)] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!(**read, step);
    }
}
