//! A document as a tree that knows where each of its values was written.
//!
//! Both YAML and JSON become this tree first, and types are read from it by one deserializer. So
//! every error has a path, and every path a position, also long after parsing.

mod de;
mod read;

pub(crate) use de::from_node;
pub(crate) use read::{from_json, from_yaml};

use crate::path::{Path, Step};

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A value and where it is; JSON has no positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Option<Position>,
}

/// A value of either language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Option<Position>,
    pub(crate) value: Node,
}

impl Node {
    /// The value under `key`, where this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Where `path` is written, or as much of it as there is.
    pub(crate) fn position(&self, path: &Path) -> Option<Position> {
        let mut node = self;
        for step in path.steps() {
            let next = match (step, &node.value) {
                (Step::Field(name), _) => node.get(name),
                (Step::Index(index), Value::List(items)) => items.get(*index),
                (Step::Index(_), _) => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node.at
    }
}
