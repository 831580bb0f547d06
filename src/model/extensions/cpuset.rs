//! Sets of processors, in the form of cpuset(7).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The largest number of processors of any kernel.
const MAX: u32 = 8192;

/// Processors, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuList(pub BTreeSet<u32>);

/// The processors that a job may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuSet {
    /// As many processors as the job has slots, shared with no other job as long as there are enough.
    Slots,
    /// These processors.
    These(CpuList),
}

/// `0-3,8`: numbers and ranges, separated by commas.
impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no list of processors like \"0-3,8\"");
        let number = |text: &str| -> Result<u32, String> {
            let plain = text.chars().all(|char| char.is_ascii_digit());
            text.parse().ok().filter(|number| plain && *number < MAX).ok_or_else(wrong)
        };
        let mut all = BTreeSet::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(wrong());
            }
            all.extend(first..=last);
        }
        Ok(Self(all))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &cpu in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let text = |(first, last): (u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        f.write_str(&ranges.into_iter().map(text).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_that_of_the_kernel() {
        for (text, short) in [("0", "0"), ("0-3,8", "0-3,8"), ("3,1,2\n", "1-3"), ("5-5,7,6", "5-7")] {
            assert_eq!(text.parse::<CpuList>().unwrap().to_string(), short);
        }
        for wrong in ["", ",", "1,", "2-1", "a", "-1", "0-", "1-2-3", "8192", "99999999999", "+1", "0 1"]
        {
            assert!(wrong.parse::<CpuList>().is_err(), "{wrong}");
        }
    }
}
