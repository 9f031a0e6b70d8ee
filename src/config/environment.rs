//! The environment layer: `OFFBOARD__SECTION__KEY` overrides any scalar outside a list.
//!
//! The `config` crate parses the names; the environment itself is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Environment, Source};

use super::location::SourceLocation;
use super::problem::Problem;
use super::tree::{Entry, Node, Value};

const PREFIX: &str = "OFFBOARD";
const SEPARATOR: &str = "__";

/// The variables that are meant for the configuration.
#[must_use]
pub fn overrides(variables: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let prefix = format!("{PREFIX}{SEPARATOR}");
    variables.into_iter().filter(|(name, _)| name.to_uppercase().starts_with(&prefix)).collect()
}

/// Applies overrides to a tree.
pub fn lay_over(root: &mut Node, overrides: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = vec![];
    let mut laid = BTreeMap::new();
    for (name, value) in overrides {
        let location = SourceLocation::whole(&format!("environment {name}").into());
        let mut say = |what: &str| {
            problems.push(Problem { location: location.clone(), key: String::new(), what: what.to_owned() })
        };
        let Some(key) = key(name) else {
            say("names no key");
            continue;
        };
        if let Some(other) = laid.insert(key.clone(), name) {
            say(&format!("is set twice, also as {other}"));
            continue;
        }
        let node = Node {
            value: Value::Scalar { text: value.clone(), plain: true },
            location: SourceLocation::whole(&location.file),
        };
        if let Err(what) = put(root, &key, node) {
            say(what);
        }
    }
    problems
}

/// `OFFBOARD__SERVER__DRAIN` → `[server, drain]`.
fn key(name: &str) -> Option<Vec<String>> {
    let one = [(name.to_owned(), String::new())].into_iter().collect();
    let source = Environment::with_prefix(PREFIX).separator(SEPARATOR).source(Some(one));
    let path = source.collect().ok()?.into_keys().next()?;
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    (!parts.iter().any(String::is_empty)).then_some(parts)
}

fn put(node: &mut Node, key: &[String], value: Node) -> Result<(), &'static str> {
    let Some((first, rest)) = key.split_first() else {
        return match node.value {
            Value::List(_) => Err("a list cannot be overridden from the environment"),
            Value::Map(_) => Err("a section cannot be overridden from the environment; name one of its keys"),
            _ => {
                *node = value;
                Ok(())
            }
        };
    };
    let entries = match &mut node.value {
        Value::Map(entries) => entries,
        Value::List(_) => return Err("nothing inside a list can be overridden from the environment"),
        _ => return Err("unknown key; its parent is not a section"),
    };
    match entries.iter_mut().find(|entry| entry.key == *first) {
        Some(entry) => put(&mut entry.node, rest, value),
        None => {
            entries.push(planted(first, rest, value));
            Ok(())
        }
    }
}

/// A key that the files do not have, with the sections around it.
fn planted(first: &str, rest: &[String], value: Node) -> Entry {
    let location = SourceLocation::whole(&Arc::clone(&value.location.file));
    let node = match rest.split_first() {
        None => value,
        Some((next, rest)) => Node { value: Value::Map(vec![planted(next, rest, value)]), location: location.clone() },
    };
    Entry { key: first.to_owned(), location, node }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_prefix_is_ours() {
        let variables = ["OFFBOARD__SERVER__DRAIN", "OFFBOARD_SERVER", "HOME", "offboard__enforcement"];
        let ours = overrides(variables.map(|name| (name.to_owned(), String::new())));
        assert_eq!(ours.into_keys().collect::<Vec<_>>(), ["OFFBOARD__SERVER__DRAIN", "offboard__enforcement"]);
        assert_eq!(key("OFFBOARD__SERVER__DRAIN").unwrap(), ["server", "drain"]);
        assert_eq!(key("OFFBOARD__"), None);
        assert_eq!(key("OFFBOARD__A____B"), None);
    }
}
