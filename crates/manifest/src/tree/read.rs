//! From text to tree.

use super::{Entry, Node, Position, Value};
use crate::{Violation, error::shown};
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Spanned, options::DuplicateKeyPolicy};
use std::{collections::BTreeSet, fmt, marker::PhantomData};

/// Deepest nesting; a manifest needs 8.
const DEPTH_MAX: usize = 32;

/// Most values; 256 KiB of one-letter items would have half as many.
const NODES_MAX: usize = 65_536;

/// Most aliases (`*name`), and most values that they may stand for altogether.
const ALIASES_MAX: usize = 64;
const ALIASED_EVENTS_MAX: usize = 4_096;

/// Reads one YAML document.
pub(crate) fn from_yaml(text: &str) -> Result<Node, Violation> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_events: 4 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_documents: 1,
            max_merge_keys: 0,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIASED_EVENTS_MAX,
            max_replay_stack_depth: 4,
            max_alias_expansions_per_anchor: ALIASES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        // So `0755` and `1_000` stay the texts that they look like.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Located>(text, options).map(|node| node.0).map_err(
        |error| {
            let at = error.location().filter(|at| at.line() > 0);
            Violation {
                path: String::new(),
                line: at.map(|at| at.line()),
                column: at.map(|at| at.column()),
                found: explain(&error),
                allowed: String::new(),
            }
        },
    )
}

/// Says what is wrong in the file's own terms, where the parser's would not help.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error.without_snippet() {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::MultipleDocuments { .. }
        | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "there is a second document; a manifest is exactly one".to_owned()
        }
        Error::Budget { .. } => format!(
            "the document is too complex (at most {NODES_MAX} values, {ALIASES_MAX} anchors and \
             aliases, {DEPTH_MAX} levels): {}",
            first_line(error)
        ),
        Error::MergeKeyNotAllowed { .. } => {
            "merge keys (`<<`) are not supported; write the fields out".to_owned()
        }
        _ => match first_line(error) {
            // The scanner reads ahead of the budget: its own limit may be met first.
            line if line.contains("recursion limit") => too_deep(),
            line => line,
        },
    }
}

fn too_deep() -> String {
    format!("the document is nested deeper than {DEPTH_MAX} levels")
}

fn first_line(error: &serde_saphyr::Error) -> String {
    // The position is shown in front already.
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or_default();
    format!("this is not valid YAML: {line}")
}

/// Reads one JSON document.
pub(crate) fn from_json(bytes: &[u8]) -> Result<Node, Violation> {
    serde_json::from_slice::<Bare>(bytes).map(|node| node.0).map_err(|error| Violation {
        path: String::new(),
        line: u64::try_from(error.line()).ok().filter(|line| *line > 0),
        column: u64::try_from(error.column()).ok().filter(|_| error.line() > 0),
        found: format!(
            "this is not valid JSON: {}",
            shown(error.to_string().split(" at line ").next().unwrap_or_default())
        ),
        allowed: String::new(),
    })
}

/// A node from YAML.
struct Located(Node);

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Inner<Self, LocatedKey>>::deserialize(deserializer)?;
        let at = position(spanned.referenced);
        Ok(Self(Node { value: spanned.value.0, at }))
    }
}

impl From<Located> for Node {
    fn from(located: Located) -> Self {
        located.0
    }
}

/// A key from YAML.
struct LocatedKey(String, Option<Position>);

impl<'de> Deserialize<'de> for LocatedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self(spanned.value, position(spanned.referenced)))
    }
}

impl From<LocatedKey> for (String, Option<Position>) {
    fn from(key: LocatedKey) -> Self {
        (key.0, key.1)
    }
}

fn position(at: serde_saphyr::Location) -> Option<Position> {
    (at.line() > 0).then(|| Position { line: at.line(), column: at.column() })
}

/// A node from JSON.
struct Bare(Node);

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let inner = Inner::<Self, BareKey>::deserialize(deserializer)?;
        Ok(Self(Node { value: inner.0, at: None }))
    }
}

impl From<Bare> for Node {
    fn from(bare: Bare) -> Self {
        bare.0
    }
}

/// A key from JSON.
#[derive(Deserialize)]
#[serde(transparent)]
struct BareKey(String);

impl From<BareKey> for (String, Option<Position>) {
    fn from(key: BareKey) -> Self {
        (key.0, None)
    }
}

/// A value whose children are `N` under keys `K`.
struct Inner<N, K>(Value, PhantomData<(N, K)>);

impl<'de, N, K> Deserialize<'de> for Inner<N, K>
where
    N: Deserialize<'de> + Into<Node>,
    K: Deserialize<'de> + Into<(String, Option<Position>)>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(InnerVisitor::<N, K>(PhantomData))
            .map(|value| Self(value, PhantomData))
    }
}

struct InnerVisitor<N, K>(PhantomData<(N, K)>);

impl<'de, N, K> de::Visitor<'de> for InnerVisitor<N, K>
where
    N: Deserialize<'de> + Into<Node>,
    K: Deserialize<'de> + Into<(String, Option<Position>)>,
{
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<N>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut seen = BTreeSet::new();
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<K, N>()? {
            let (key, key_at) = key.into();
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format_args!("duplicate key `{}`", shown(&key))));
            }
            entries.push(Entry { key, key_at, value: value.into() });
        }
        Ok(Value::Map(entries))
    }
}
