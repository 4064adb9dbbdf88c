//! With evidence of a software TEE, whose root only this test's chain knows, and with Intel's own.

mod amd;
mod attest;
mod fresh;
mod vendors;
mod world;
