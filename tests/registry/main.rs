//! Images from a real registry on a real containerd.
//!
//! Needs `docker-registry`, a static `busybox`, `CONTAINERD_ADDRESS` and `DRMAA2_INIT`;
//! `CONTAINERD_SNAPSHOTTER` if it is not the usual. With `DRMAA2_TEST_REQUIRE=1` a missing one is a
//! failure, else the tests are skipped, but for those in `directory`, which need the first alone. Each
//! test has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unreachable_pub, missing_docs)]

mod archive;
mod auths;
mod bounds;
mod configured;
mod corpus;
mod directory;
mod failures;
mod hosts;
mod image;
mod images;
mod namespace;
mod owners;
mod part;
mod peer;
mod processes;
mod proxy;
mod pulls;
mod rig;
mod rootfs;
mod server;
mod shelf;
mod tls;
mod tls_shelf;
mod tokens;
mod unpacked;
