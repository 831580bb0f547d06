//! The counters of a container's control group, as reported by containerd: readable from the start of a
//! task to its deletion, and the only account of a job that has no init, or whose init was killed. They
//! are believed only of an empty group: if a runtime makes none for the container, the group is that of
//! the shim.
//!
//! The messages are those of containerd's cgroups package, reduced to the required fields.

use containerd_client::services::v1::MetricsRequest;
use prost::{DecodeError, Message};
use prost_types::Any;

use super::connect::QUICK;
use super::tracker_core::Core;
use crate::model::Usage;

const V1: &str = "io.containerd.cgroups.v1.Metrics";
const V2: &str = "io.containerd.cgroups.v2.Metrics";

/// The resources that an ended job has used; empty if nothing counts them.
pub(super) async fn usage(core: &Core, id: &str) -> Usage {
    let container = core.container_of(id);
    let ask = async {
        let filters = vec![format!("id=={container}")];
        let answer = core.daemon.within(QUICK)?.tasks().metrics(MetricsRequest { filters }).await;
        answer.map_err(|status| core.daemon.error(status))
    };
    let metrics = match ask.await {
        Ok(answer) => answer.into_inner().metrics,
        Err(error) => {
            tracing::debug!(%error, id, "no metrics");
            return Usage::default();
        }
    };
    let data = metrics.into_iter().find(|metric| metric.id == container).and_then(|metric| metric.data);
    data.map_or_else(Usage::default, |data| {
        decode(&data).unwrap_or_else(|error| {
            tracing::warn!(%error, id, "cannot read the metrics of a job");
            Usage::default()
        })
    })
}

fn decode(data: &Any) -> Result<Usage, DecodeError> {
    let kind = data.type_url.rsplit('/').next().unwrap_or_default();
    match kind {
        V1 => v1::Metrics::decode(&*data.value).map(Usage::from),
        V2 => v2::Metrics::decode(&*data.value).map(Usage::from),
        _ => Ok(Usage::default()),
    }
}

/// The processes and threads of a group.
#[derive(Clone, PartialEq, prost::Message)]
struct Pids {
    #[prost(uint64, tag = "1")]
    current: u64,
}

/// Returns whether a group with these processes is that of an ended job. Init may still be exiting; a
/// shim has more threads.
fn is_over(pids: Option<&Pids>) -> bool {
    pids.is_some_and(|pids| pids.current <= 1)
}

/// A count; zero is treated as a missing one.
fn counted(count: u64) -> Option<i64> {
    i64::try_from(count).ok().filter(|count| *count > 0)
}

mod v1 {
    use super::{Pids, Usage, counted, is_over};

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metrics {
        #[prost(message, optional, tag = "2")]
        pub(super) pids: Option<Pids>,
        #[prost(message, optional, tag = "3")]
        pub(super) cpu: Option<Cpu>,
        #[prost(message, optional, tag = "4")]
        pub(super) memory: Option<Memory>,
        #[prost(message, optional, tag = "5")]
        pub(super) blkio: Option<BlkIo>,
        #[prost(message, optional, tag = "9")]
        pub(super) oom: Option<OomControl>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Cpu {
        #[prost(message, optional, tag = "1")]
        pub(super) usage: Option<CpuUsage>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct CpuUsage {
        /// Nanoseconds.
        #[prost(uint64, tag = "1")]
        pub(super) total: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Memory {
        #[prost(message, optional, tag = "33")]
        pub(super) usage: Option<MemoryUsage>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MemoryUsage {
        #[prost(uint64, tag = "3")]
        pub(super) max: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BlkIo {
        #[prost(message, repeated, tag = "1")]
        pub(super) bytes: Vec<BlkIoEntry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BlkIoEntry {
        #[prost(string, tag = "1")]
        pub(super) op: String,
        #[prost(uint64, tag = "5")]
        pub(super) value: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct OomControl {
        #[prost(uint64, tag = "3")]
        pub(super) kills: u64,
    }

    impl From<Metrics> for Usage {
        fn from(metrics: Metrics) -> Self {
            if !is_over(metrics.pids.as_ref()) {
                return Self::default();
            }
            let cpu = metrics.cpu.and_then(|cpu| cpu.usage).and_then(|usage| counted(usage.total));
            let memory = metrics.memory.and_then(|memory| memory.usage);
            let entries = metrics.blkio.map_or_else(Vec::new, |blkio| blkio.bytes);
            // A group that keeps the counts has entries from the first transfer.
            let sum = |op: &str| {
                let of_op = entries.iter().filter(|entry| entry.op.eq_ignore_ascii_case(op));
                of_op.map(|entry| i64::try_from(entry.value).ok()).sum::<Option<i64>>()
            };
            let kept = !entries.is_empty();
            Self {
                cpu_time: cpu.map(|nanos| nanos / 1_000_000),
                max_rss: None,
                oom_killed: metrics.oom.is_some_and(|oom| oom.kills > 0),
                peak_memory: memory.and_then(|usage| counted(usage.max)),
                start_memory: None,
                read_bytes: sum("read").filter(|_| kept),
                written_bytes: sum("write").filter(|_| kept),
            }
        }
    }
}

mod v2 {
    use super::{Pids, Usage, counted, is_over};

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metrics {
        #[prost(message, optional, tag = "1")]
        pub(super) pids: Option<Pids>,
        #[prost(message, optional, tag = "2")]
        pub(super) cpu: Option<Cpu>,
        #[prost(message, optional, tag = "4")]
        pub(super) memory: Option<Memory>,
        #[prost(message, optional, tag = "6")]
        pub(super) io: Option<Io>,
        #[prost(message, optional, tag = "8")]
        pub(super) events: Option<MemoryEvents>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Cpu {
        #[prost(uint64, tag = "1")]
        pub(super) usage_micros: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Memory {
        /// Older versions do not have it.
        #[prost(uint64, tag = "36")]
        pub(super) max: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Io {
        #[prost(message, repeated, tag = "1")]
        pub(super) devices: Vec<IoEntry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct IoEntry {
        #[prost(uint64, tag = "3")]
        pub(super) read: u64,
        #[prost(uint64, tag = "4")]
        pub(super) written: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MemoryEvents {
        #[prost(uint64, tag = "5")]
        pub(super) oom_kills: u64,
    }

    impl From<Metrics> for Usage {
        fn from(metrics: Metrics) -> Self {
            if !is_over(metrics.pids.as_ref()) {
                return Self::default();
            }
            // A group that does not keep the counts looks like one without use of devices.
            let devices = metrics.io.map(|io| io.devices).filter(|devices| !devices.is_empty());
            let sum = |count: fn(&IoEntry) -> u64| {
                let counts = devices.as_ref()?.iter().map(|entry| i64::try_from(count(entry)).ok());
                counts.sum::<Option<i64>>()
            };
            Self {
                cpu_time: metrics
                    .cpu
                    .and_then(|cpu| counted(cpu.usage_micros))
                    .map(|micros| micros / 1000),
                max_rss: None,
                oom_killed: metrics.events.is_some_and(|events| events.oom_kills > 0),
                peak_memory: metrics.memory.and_then(|memory| counted(memory.max)),
                start_memory: None,
                read_bytes: sum(|entry| entry.read),
                written_bytes: sum(|entry| entry.written),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(type_url: &str, message: &impl Message) -> Any {
        Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
    }

    #[test]
    fn both_versions_of_the_control_group_tell_the_same() {
        let entry = |op: &str, value| v1::BlkIoEntry { op: op.into(), value };
        let pids = |current| Some(Pids { current });
        let first = v1::Metrics {
            pids: pids(0),
            cpu: Some(v1::Cpu { usage: Some(v1::CpuUsage { total: 1_500_000_000 }) }),
            memory: Some(v1::Memory { usage: Some(v1::MemoryUsage { max: 4096 }) }),
            blkio: Some(v1::BlkIo {
                bytes: vec![entry("Read", 1), entry("Write", 10), entry("Read", 2), entry("Total", 13)],
            }),
            oom: Some(v1::OomControl { kills: 1 }),
        };
        let device = |read, written| v2::IoEntry { read, written };
        let second = v2::Metrics {
            pids: pids(1),
            cpu: Some(v2::Cpu { usage_micros: 1_500_000 }),
            memory: Some(v2::Memory { max: 4096 }),
            io: Some(v2::Io { devices: vec![device(1, 0), device(2, 10)] }),
            events: Some(v2::MemoryEvents { oom_kills: 1 }),
        };
        let expected = Usage {
            cpu_time: Some(1500),
            max_rss: None,
            oom_killed: true,
            peak_memory: Some(4096),
            start_memory: None,
            read_bytes: Some(3),
            written_bytes: Some(10),
        };
        assert_eq!(decode(&any(V1, &first)), Ok(expected.clone()));
        assert_eq!(decode(&any(&format!("type.googleapis.com/{V2}"), &second)), Ok(expected.clone()));
        // A group with other processes is not the job's, nor is one that does not report them.
        for pids in [pids(2), None] {
            for metrics in [
                any(V1, &v1::Metrics { pids: pids.clone(), ..first.clone() }),
                any(V2, &v2::Metrics { pids: pids.clone(), ..second.clone() }),
            ] {
                assert_eq!(decode(&metrics), Ok(Usage::default()));
            }
        }
        let no_device = v2::Metrics { io: Some(v2::Io { devices: vec![] }), ..second };
        let unknown = Usage { read_bytes: None, written_bytes: None, ..expected };
        assert_eq!(decode(&any(V2, &no_device)), Ok(unknown));
    }

    #[test]
    fn what_is_not_counted_is_unknown() {
        for metrics in [any(V1, &v1::Metrics::default()), any(V2, &v2::Metrics::default())] {
            assert_eq!(decode(&metrics), Ok(Usage::default()));
        }
        assert_eq!(decode(&any("another", &v1::Metrics::default())), Ok(Usage::default()));
        assert!(decode(&Any { type_url: V1.into(), value: vec![0xff] }).is_err());
    }
}
