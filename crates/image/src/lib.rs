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

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod builder;
mod digest;
mod error;
mod image;
mod layout;
mod limits;
mod reference;
mod registry;
mod spec;
mod store;
#[cfg(test)]
mod testing;
mod unpack;

pub use builder::{BuildFile, Content, ImageBuilder};
pub use digest::{Digest, ParseDigestError};
pub use error::{Error, Result};
pub use image::{ExposedPort, Image, ImageConfig, Layer, Protocol};
pub use layout::{export_layout, load_archive, load_layout};
pub use limits::Limits;
pub use reference::{ParseReferenceError, Reference};
pub use registry::{RegistryAuth, RegistryOptions, pull, push, resolve};
pub use store::{Removed, Store};
pub use unpack::{Unpacked, read_in_root, unpack};
