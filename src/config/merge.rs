//! Several files → one tree: maps are merged, lists are concatenated, a scalar set twice is an error.

use super::check::join;
use super::location::SourceLocation;
use super::problem::Problem;
use super::tree::{Entry, Node, Value};

/// Merges trees in order.
///
/// # Errors
/// Every scalar set twice, and every key that is of different kinds.
pub fn merge(trees: impl IntoIterator<Item = Node>) -> (Node, Vec<Problem>) {
    let mut problems = vec![];
    let mut trees = trees.into_iter();
    let empty = || Node { value: Value::Map(vec![]), location: SourceLocation::whole(&"configuration".into()) };
    let mut root = trees.next().unwrap_or_else(empty);
    for tree in trees {
        add(&mut root, tree, "", &mut problems);
    }
    (root, problems)
}

fn add(into: &mut Node, node: Node, path: &str, problems: &mut Vec<Problem>) {
    match (&mut into.value, node.value) {
        (Value::Map(entries), Value::Map(more)) => {
            for entry in more {
                add_entry(entries, entry, path, problems);
            }
        }
        (Value::List(items), Value::List(more)) => items.extend(more),
        (Value::Scalar { .. } | Value::Null, Value::Scalar { .. } | Value::Null) => {
            let what = format!("duplicate key, first at {}", into.location);
            problems.push(Problem { location: node.location, key: path.to_owned(), what });
        }
        (first, second) => {
            let what = format!("is {} here, but {} at {}", second.noun(), first.noun(), into.location);
            problems.push(Problem { location: node.location, key: path.to_owned(), what });
        }
    }
}

fn add_entry(entries: &mut Vec<Entry>, entry: Entry, path: &str, problems: &mut Vec<Problem>) {
    match entries.iter_mut().find(|known| known.key == entry.key) {
        Some(known) => add(&mut known.node, entry.node, &join(path, &entry.key), problems),
        None => entries.push(entry),
    }
}
