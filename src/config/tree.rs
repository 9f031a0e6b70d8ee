//! YAML text → a tree that keeps the location and spelling of every value.
//!
//! Scalars keep the text as written: the key decides what an unquoted `0123` or `no` means, not YAML. One document per
//! file; anchors, aliases and `<<` work within limits.

use std::sync::Arc;

use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::location::SourceLocation;
use super::problem::Problem;
use crate::domain::yaml::{self, Raw};

/// A value and its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its location; for an alias, where it is used.
    pub location: SourceLocation,
}

fn located(file: &Arc<str>, location: Location) -> SourceLocation {
    SourceLocation { file: Arc::clone(file), line: location.line(), column: location.column() }
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `~`, `null`, or no value at all.
    Null,
    /// A scalar, as written.
    Scalar {
        /// Its text.
        text: String,
        /// It was not quoted, so it may be read as a number or `true`.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written, without duplicate keys.
    Map(Vec<Entry>),
}

impl Value {
    /// Its name in messages.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a scalar",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// One key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Location of the key.
    pub location: SourceLocation,
    /// Its value.
    pub node: Node,
}

/// Parses the text of one file. An empty file is an empty map.
///
/// # Errors
/// Text that is not YAML, has several documents or exceeds a limit; all duplicate keys.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Node, Vec<Problem>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_documents: 2 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED, max_replay_stack_depth: 8 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let raw = match serde_saphyr::from_str_with_options::<Option<Spanned<Raw<String>>>>(text, options) {
        Ok(Some(raw)) => raw,
        Ok(None) => return Ok(Node { value: Value::Map(vec![]), location: SourceLocation::whole(file) }),
        Err(serde_saphyr::Error::Eof { .. }) if blank(text) => {
            return Ok(Node { value: Value::Map(vec![]), location: SourceLocation::whole(file) });
        }
        Err(error) => return Err(vec![not_yaml(file, &error)]),
    };
    let mut planting = Planting { file, text, problems: vec![] };
    let mut node = planting.node(raw);
    if node.value == Value::Null {
        node.value = Value::Map(vec![]);
    }
    if planting.problems.is_empty() { Ok(node) } else { Err(planting.problems) }
}

/// Limit on nesting of maps and lists; the deepest key of the configuration is at level 6.
const MAX_DEPTH: usize = 32;
/// Limit on the nodes that aliases may repeat in total.
const MAX_REPLAYED: usize = 50_000;

fn blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn not_yaml(file: &Arc<str>, error: &serde_saphyr::Error) -> Problem {
    let location = error.location().map_or_else(|| SourceLocation::whole(file), |location| located(file, location));
    let what = match error {
        serde_saphyr::Error::MultipleDocuments { .. } => "a file must contain only one document".to_owned(),
        other => {
            let text = other.render();
            let text = text.lines().next().unwrap_or_default().trim();
            format!("invalid YAML: {}", text.strip_prefix("error: ").unwrap_or(text))
        }
    };
    Problem { location, key: String::new(), what }
}

struct Planting<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Planting<'_> {
    fn node(&mut self, raw: Spanned<Raw<String>>) -> Node {
        let location = located(self.file, raw.referenced);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Plain(text) => {
                let text = yaml::written(self.text, raw.defined).map_or(text, str::to_owned);
                Value::Scalar { text, plain: true }
            }
            Raw::Text(text) => Value::Scalar { text, plain: false },
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(self.entries(entries)),
        };
        Node { value, location }
    }

    fn entries(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw<String>>)>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        let mut seen = std::collections::HashMap::new();
        for (key, value) in raw {
            let location = located(self.file, key.referenced);
            if let Some(first) = seen.insert(key.value.clone(), location.clone()) {
                let what = format!("duplicate key, first at {first}");
                self.problems.push(Problem { location: location.clone(), key: key.value.clone(), what });
            }
            let node = self.node(value);
            entries.push(Entry { key: key.value, location, node });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        parse(&"t.yaml".into(), text).unwrap()
    }

    fn entry<'a>(node: &'a Node, key: &str) -> &'a Entry {
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        entries.iter().find(|entry| entry.key == key).unwrap()
    }

    fn text(text: &str, plain: bool) -> Value {
        Value::Scalar { text: text.to_owned(), plain }
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        let root = tree(
            "a: 0123\nb: no\nc: 1_000\nd: \"5\"\ne: true\nf: 1e999\ng: 0x1F\nh: .nan\ni: ~\nj: &x 007\nk: *x\nl: 18446744073709551615\nm: 2027-01-01T00:00:00Z\nn: True\n0123: z\nä: 0.10 # c\n",
        );
        assert_eq!(entry(&root, "a").node.value, text("0123", true));
        assert_eq!(entry(&root, "b").node.value, text("no", false));
        assert_eq!(entry(&root, "c").node.value, text("1_000", true));
        assert_eq!(entry(&root, "d").node.value, text("5", false));
        assert_eq!(entry(&root, "e").node.value, text("true", true));
        assert_eq!(entry(&root, "f").node.value, text("1e999", true));
        assert_eq!(entry(&root, "g").node.value, text("0x1F", true));
        assert_eq!(entry(&root, "h").node.value, text(".nan", true));
        assert_eq!(entry(&root, "i").node.value, Value::Null);
        assert_eq!(entry(&root, "j").node.value, text("007", true));
        assert_eq!(entry(&root, "k").node.value, text("007", true));
        assert_eq!(entry(&root, "l").node.value, text("18446744073709551615", true));
        assert_eq!(entry(&root, "m").node.value, text("2027-01-01T00:00:00Z", false));
        assert_eq!(entry(&root, "n").node.value, text("True", true));
        assert_eq!(entry(&root, "0123").node.value, text("z", false));
        assert_eq!(entry(&root, "ä").node.value, text("0.10", true));
    }

    #[test]
    fn places_are_kept() {
        let root = tree("a:\n  b: [x,\n      yy]\n");
        let b = &entry(&entry(&root, "a").node, "b");
        assert_eq!((b.location.line, b.location.column), (2, 3));
        let Value::List(items) = &b.node.value else { panic!() };
        assert_eq!((items[1].location.line, items[1].location.column), (3, 7));
        assert_eq!(items[1].location.to_string(), "t.yaml:3");
    }

    #[test]
    fn nothing_is_an_empty_map() {
        for nothing in ["", "\n", "# only words\n", "---\n", "~", "{}"] {
            assert_eq!(tree(nothing).value, Value::Map(vec![]), "{nothing:?}");
        }
    }

    #[test]
    fn every_double_key_is_named() {
        let problems = parse(&"t.yaml".into(), "a: 1\nb: {c: 1, c: 2}\na: 2\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["t.yaml:2: c: duplicate key, first at t.yaml:2", "t.yaml:3: a: duplicate key, first at t.yaml:1"]
        );
    }
}
