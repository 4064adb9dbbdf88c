//! From tree to types, keeping track of the path.

use super::{Entry, Node, Position, Value};
use crate::{Violation, error::shown, path::Path};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use std::fmt;

/// Reads a `T` strictly: a text is never taken for a number, nor the other way round.
pub(crate) fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Violation> {
    T::deserialize(NodeDeserializer { node, path: Path::default() }).map_err(|error| Violation {
        path: error.path.map(|path| path.to_string()).unwrap_or_default(),
        line: error.at.map(|at| at.line),
        column: error.at.map(|at| at.column),
        found: error.found,
        allowed: error.allowed,
    })
}

/// What serde found; path and position are added by the deserializer that sees it first.
#[derive(Debug)]
struct TreeError {
    found: String,
    allowed: String,
    path: Option<Path>,
    at: Option<Position>,
}

impl TreeError {
    fn new(found: String, allowed: String) -> Self {
        Self { found, allowed, path: None, at: None }
    }

    fn located(mut self, path: &Path, at: Option<Position>) -> Self {
        if self.path.is_none() {
            self.path = Some(path.clone());
            self.at = at;
        }
        self
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)
    }
}

impl std::error::Error for TreeError {}

fn one_of(names: &'static [&'static str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl de::Error for TreeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(shown(&message.to_string()), String::new())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut allowed = expected.to_string();
        let is_scalar = matches!(
            unexpected,
            Unexpected::Bool(_)
                | Unexpected::Unsigned(_)
                | Unexpected::Signed(_)
                | Unexpected::Float(_)
                | Unexpected::Unit
        );
        if is_scalar && allowed == "a string" {
            allowed.push_str(", in quotes where it looks like something else");
        }
        Self::new(describe(unexpected), allowed)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(describe(unexpected), expected.to_string())
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("{length} items"), expected.to_string())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value `{}`", shown(variant)), one_of(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown field `{}`", shown(field)), one_of(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the field `{field}` is missing"), String::new())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the field `{field}` is there twice"), String::new())
    }
}

fn describe(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`, a boolean"),
        Unexpected::Unsigned(value) => format!("`{value}`, a number"),
        Unexpected::Signed(value) => format!("`{value}`, a number"),
        Unexpected::Float(value) => format!("`{value}`, a number"),
        Unexpected::Str(value) => format!("`{}`", shown(value)),
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Clone)]
struct NodeDeserializer<'de> {
    node: &'de Node,
    path: Path,
}

impl<'de> NodeDeserializer<'de> {
    fn visit<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, TreeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => {
                visitor.visit_seq(Items { items: items.iter(), index: 0, path: &self.path })
            }
            Value::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
                path: &self.path,
            }),
        }
    }
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'de> {
    type Error = TreeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.visit(visitor).map_err(|error| error.located(&self.path, self.node.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        // All enums here are plain names.
        let found = match &self.node.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => return self.deserialize_str(visitor),
        };
        found.map_err(|error: TreeError| error.located(&self.path, self.node.at))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de, 'p> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
    path: &'p Path,
}

impl<'de> de::SeqAccess<'de> for Items<'de, '_> {
    type Error = TreeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TreeError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let path = self.path.at(self.index);
        self.index += 1;
        seed.deserialize(NodeDeserializer { node, path }).map(Some)
    }
}

struct Entries<'de, 'p> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
    path: &'p Path,
}

impl<'de> de::MapAccess<'de> for Entries<'de, '_> {
    type Error = TreeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, TreeError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: de::value::BorrowedStrDeserializer<'de, TreeError> =
            de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.located(&self.path.at(entry.key.as_str()), entry.key_at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TreeError> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = self.path.at(entry.key.as_str());
        seed.deserialize(NodeDeserializer { node: &entry.value, path })
    }
}
