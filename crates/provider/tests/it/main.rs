//! The daemon as a whole: real HTTP over loopback, a scripted chain, pods in memory.

#![allow(clippy::unwrap_used, missing_docs)]

mod agent;
mod api;
mod attestation;
mod challenges;
mod cluster;
mod courier;
mod front;
mod ingress;
mod lifecycle;
mod logs;
mod many;
mod settlement;
mod tls;
mod world;
