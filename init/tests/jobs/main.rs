//! Real jobs under the built init, each as PID 1 of a PID namespace of its own. Needs root and
//! unshare(1); without them the tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod end;
mod ending;
mod harness;
mod limit;
mod stage;
mod start;
mod stdio;
mod terminate;
mod usage;
mod user;
