//! Runs the benchmarks of a runtime that was built with `runtime-benchmarks`, and writes what they
//! measured as `weights.rs` files: what `cargo xtask weights` starts.
//!
//! The SDK's own runner (`frame-omni-bencher`) does the same and much more; it brings a second
//! client, relay-chain and parachain crates, and takes longer to compile than the node. This one
//! takes the SDK's executor, benchmarking state and regression, all of which the node has built
//! already.
//!
//! All of it is behind the feature `run`, so that an ordinary build of the workspace compiles
//! nothing here.

#[cfg(feature = "run")]
pub mod machine;
#[cfg(feature = "run")]
pub mod measure;
#[cfg(feature = "run")]
pub mod model;
#[cfg(feature = "run")]
pub mod render;
