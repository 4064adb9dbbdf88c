//! Against a real registry (Debian's `docker-registry`) and `skopeo`.

#![allow(clippy::unwrap_used)]

mod registry;
mod tools;
