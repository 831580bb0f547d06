//! Pure types: a job, its template, its account and its states.
//!
//! This module does not know C, tokio or SQLite, so its rules can be tested alone.

mod containers;
mod error;
pub mod extensions;
mod filter;
mod info;
pub mod json;
mod limits;
mod machine;
mod owner;
mod reservation;
mod signal;
mod staging;
mod state;
mod step;
mod template;
mod text;

pub use containers::Containers;
pub use error::{Error, ErrorCode, Result, io_error};
pub use extensions::Extensions;
pub use filter::JobFilter;
pub use info::{ImageRef, JobInfo, Outcome, SlotInfo, Usage};
pub use limits::ResourceLimits;
pub use machine::{Cpu, DEFAULT_QUEUE, Machine, Os, Queue, Version};
pub use owner::{Owner, Scope, check_owner};
pub use reservation::{ReservationInfo, ReservationTemplate, Span, Wanted};
pub use signal::{signal_name, signal_number};
pub use state::{Control, JobState};
pub use step::{BROKER_SOCKET, PROTOCOL, STEP_ATTRIBUTES, StepContainer, StepFile};
pub use template::{JobTemplate, PRIORITY_UNSET_AGE, Placeholder, Submission, with_index};
pub use text::Text;

/// Milliseconds since the Unix epoch, or a span of them.
pub type Millis = i64;

/// Now, as milliseconds since the Unix epoch.
pub fn now() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as Millis)
}

/// The same in nanoseconds, as far as the clock's resolution allows.
pub fn now_nanos() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}
