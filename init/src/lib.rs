//! What the library and PID 1 of a job say to each other.
