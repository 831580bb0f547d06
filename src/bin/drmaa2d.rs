//! The agent. See `drmaa2::daemon`.

use std::process::ExitCode;

fn main() -> ExitCode {
    drmaa2::daemon::main()
}
