//! A step of Slurm within the job: one task that has all that the job was granted.

/// The command up to what depends on the kind of container.
pub(super) fn command(program: Option<String>, slots: i64) -> Vec<String> {
    let mut words = vec![program.unwrap_or_else(|| drmaa2_init::STEP_PROGRAM.to_owned())];
    words.extend(["--quiet", "--nodes=1", "--ntasks=1"].map(str::to_owned));
    words.push(format!("--cpus-per-task={slots}"));
    // No process manager for parallel programs, whose files are not in the container.
    words.extend(["--mem=0", "--input=none", "--mpi=none"].map(str::to_owned));
    words
}
