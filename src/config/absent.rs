//! Files that the configuration names and that do not exist on this machine.

use std::path::Path;

use super::keys;
use super::problem::{Problem, quoted};
use super::table::{Kind, Section};
use super::text::Format;
use super::tree::{Node, Value};

/// A warning for each file that is named below `root` and does not exist.
#[must_use]
pub fn files(root: &Node) -> Vec<Problem> {
    let mut absent = Vec::new();
    section(root, &keys::ROOT, "", &mut absent);
    absent
}

fn section(node: &Node, rules: &'static Section, path: &str, absent: &mut Vec<Problem>) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let Some(key) = rules.key(&entry.key) else { continue };
        let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        match (&key.kind, &entry.node.value) {
            // The others are directories that the service makes itself.
            (Kind::Text(Format::File), Value::Scalar { text, .. })
                if (key.name.ends_with("file") || rules.name == "source") && !Path::new(text).exists() =>
            {
                let what = format!("{} does not exist here", quoted(text));
                absent.push(Problem { location: entry.node.location.clone(), key: path, what });
            }
            (kind, _) => inside(&entry.node, kind, &path, absent),
        }
    }
}

fn inside(node: &Node, kind: &'static Kind, path: &str, absent: &mut Vec<Problem>) {
    match (kind, &node.value) {
        (Kind::Section(rules), _) => section(node, rules, path, absent),
        (Kind::List(item) | Kind::ListOrEmpty(item) | Kind::ListOr(item, _), Value::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                inside(node, item, &format!("{path}[{index}]"), absent);
            }
        }
        _ => {}
    }
}
