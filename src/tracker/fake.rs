//! A tracker without a system behind it: tests script what happens to its jobs.
