//! The real binary, for all that needs no chain: exit code and both streams.

#![allow(clippy::unwrap_used)]

mod attest;
mod basics;
mod dev;
mod images;
mod keys;
mod manifests;
mod registry;
mod run;
