//! What the list and the unions promise.

mod admission;
mod holds;
mod model;
