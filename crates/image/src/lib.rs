//! OCI images: from registries, layouts and archives into a root filesystem, and back.
//!
//! Everything that comes in is hostile until its digest was checked, and its *content* stays
//! hostile after that: whoever wrote an image chose the names, links, sizes and numbers in it.
//! They must never choose where on this machine something is written, nor how much.
//!
//! - [`Store`] keeps blobs by content and unpacked root filesystems by manifest.
//! - [`pull`], [`resolve`] and [`push`] talk to registries; [`load_layout`], [`load_archive`] and
//!   [`export_layout`] to files.
//! - [`unpack()`] applies the layers of an [`Image`]; [`Store::rootfs`] does it once per image.
//! - [`ImageBuilder`] makes an image from files, without an engine, the same bytes each time.
//!
//! # What is kept of a layer
//! Names, content, links, owner numbers (when run as root), permission and sticky bits, and
//! modification times. Set-user-id and set-group-id bits and all extended attributes (with them
//! file capabilities) are dropped: a pod runs without new privileges anyway. Device nodes and
//! FIFOs are skipped and named in [`Unpacked::skipped`].
//!
//! # Features
//! `store` (on by default) is all of this. Without it the crate opens no file and no connection: what
//! is left reads and checks an image's [`Documents`], for a program inside a TEE.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "store")]
mod builder;
mod digest;
mod documents;
mod error;
mod image;
#[cfg(feature = "store")]
mod layout;
mod limits;
mod reference;
#[cfg(feature = "store")]
mod registry;
mod spec;
#[cfg(feature = "store")]
mod store;
#[cfg(test)]
mod testing;
#[cfg(feature = "store")]
mod unpack;

#[cfg(feature = "store")]
pub use builder::{BuildFile, Content, ImageBuilder};
pub use digest::{Digest, ParseDigestError};
pub use documents::Documents;
pub use error::{Error, Result};
pub use image::{ExposedPort, Image, ImageConfig, Layer, Protocol};
#[cfg(feature = "store")]
pub use layout::{export_layout, load_archive, load_layout};
pub use limits::Limits;
pub use reference::{ParseReferenceError, Reference};
#[cfg(feature = "store")]
pub use registry::{RegistryAuth, RegistryOptions, pull, push, resolve};
#[cfg(feature = "store")]
pub use store::{Removed, Store};
#[cfg(feature = "store")]
pub use unpack::{Unpacked, read_in_root, unpack};
