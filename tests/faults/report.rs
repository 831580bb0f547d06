//! The outcomes of the faults: a line for each, and a line of numbers for each kind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::check::Verdict;

pub struct Report {
    version: String,
    /// By kind: tried, right, faults that happened.
    kinds: BTreeMap<String, [usize; 3]>,
}

impl Report {
    pub fn new(version: String) -> Self {
        Self { version, kinds: BTreeMap::new() }
    }

    /// Say how one went.
    pub fn add(&mut self, kind: &str, name: &str, verdict: &Verdict, took: Duration) {
        let result = match (verdict.wrong.is_empty(), verdict.missed) {
            (false, _) => "WRONG",
            (true, true) => "missed",
            (true, false) => "right",
        };
        println!("{result:6} {:6.1} s  {name}", took.as_secs_f64());
        for wrong in &verdict.wrong {
            println!("         {wrong}");
        }
        if let Some(kept) = &verdict.kept {
            println!("         all of it is in {}", kept.display());
        }
        let numbers = self.kinds.entry(kind.to_owned()).or_default();
        let right = verdict.wrong.is_empty();
        numbers[0] += usize::from(!verdict.missed || !right);
        numbers[1] += usize::from(!verdict.missed && right);
        numbers[2] += verdict.struck;
    }

    pub fn wrong(&self) -> usize {
        self.kinds.values().map(|[tried, right, _]| tried - right).sum()
    }

    pub fn tried(&self) -> usize {
        self.kinds.values().map(|[tried, ..]| tried).sum()
    }

    /// The numbers: part, kind, version, right, tried, and how many faults happened.
    pub fn write(&self, part: &str, file: Option<&Path>) {
        let mut lines = String::new();
        for (kind, [tried, right, struck]) in &self.kinds {
            lines += &format!("{part}\t{kind}\t{}\t{right}\t{tried}\t{struck}\n", self.version);
        }
        print!("{lines}");
        if let Some(file) = file {
            let mut file = File::options().create(true).append(true).open(file).unwrap();
            file.write_all(lines.as_bytes()).unwrap();
        }
    }
}
