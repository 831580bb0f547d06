//! The ids of new objects, and the nonces of the calls that make them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::model::now;

/// Names one call of a client that makes something. It may have to ask for it again: an answer can be lost on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nonce {
    /// Milliseconds since the epoch.
    time: u64,
    random: u64,
}

impl Nonce {
    /// A new one.
    pub(super) fn new() -> Self {
        Self { time: now().unsigned_abs(), random: random() }
    }

    /// The id of what it makes for this user: unique on the machine, in the order of time, valid for containerd; always the
    /// same, and nobody can choose that of another user's.
    pub(super) fn id(self, uid: u32) -> String {
        let mut hash = Sha256::new();
        hash.update(uid.to_be_bytes());
        hash.update(self.time.to_be_bytes());
        hash.update(self.random.to_be_bytes());
        let digest = hash.finalize();
        let random =
            digest.iter().take(16).fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        id(self.time, random)
    }
}

/// An id takes 48 bits of the time, and 80 of the random number.
fn id(time: u64, random: u128) -> String {
    Ulid::from_parts(time, random).to_string().to_lowercase()
}

/// From the kernel: a generator in the process would give a forked child its parent's numbers.
fn random() -> u64 {
    // Without the kernel's random numbers, processes and calls still differ.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one((std::process::id(), now())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_that_is_asked_for_again_has_its_id_and_no_other_user_has_it() {
        let (nonce, other) = (Nonce::new(), Nonce::new());
        let id = nonce.id(1000);
        assert_eq!((id.len(), &id), (26, &nonce.id(1000)));
        assert_ne!(id, nonce.id(1001));
        assert_ne!(id, other.id(1000));
        assert_eq!(id[..10], nonce.id(1001)[..10], "they are in the order of time");
        let text = serde_json::to_string(&nonce).unwrap();
        assert_eq!(serde_json::from_str::<Nonce>(&text).unwrap(), nonce);
    }
}
