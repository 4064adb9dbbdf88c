//! The software TEE from outside: its evidence before the verifiers, its daemon before its clients.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod daemon;
mod evidence;
mod files;
