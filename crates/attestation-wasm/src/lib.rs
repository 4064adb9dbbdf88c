#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "wasm32", no_std)]
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod abi;
mod request;

pub use request::answer;
