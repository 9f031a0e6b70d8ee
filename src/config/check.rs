//! Checks the tree against the table: unknown keys, wrong kinds, malformed texts.
//!
//! References are checked in the typed stage ([`super::fields`]), which looks only at what passed here and reports
//! nothing twice.

use super::location::SourceLocation;
use super::problem::{Problem, quoted};
use super::table::{Key, Kind, Need, Section, Words};
use super::text::Format;
use super::tree::{Entry, Node, Value};
use crate::domain::name::distance::distance;

/// Checks a whole tree.
#[must_use]
pub fn check(root: &Node, table: &'static Section) -> Vec<Problem> {
    let mut check = Check { problems: vec![] };
    check.section(root, table, "");
    check.problems
}

/// Path of a key in a section.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn say(&mut self, location: &SourceLocation, path: &str, what: impl Into<String>) {
        self.problems.push(Problem { location: location.clone(), key: path.to_owned(), what: what.into() });
    }

    fn node(&mut self, node: &Node, kind: &Kind, path: &str) {
        if node.value == Value::Null {
            return self.say(&node.location, path, "has no value; set one or remove the key");
        }
        match (kind, &node.value) {
            (Kind::Section(section), _) => self.section(node, section, path),
            (Kind::Names(format, kind), Value::Map(entries)) => {
                for entry in entries {
                    let path = join(path, &entry.key);
                    if let Err(what) = format.check(&entry.key) {
                        self.say(&entry.location, &path, what);
                    }
                    self.node(&entry.node, kind, &path);
                }
            }
            (Kind::List(item) | Kind::ListOr(item, _), Value::List(items)) if !items.is_empty() => {
                self.items(items, item, path);
            }
            (Kind::ListOrEmpty(item), Value::List(items)) => self.items(items, item, path),
            (Kind::Claim, Value::List(items)) if !items.is_empty() => {
                self.items(items, &Kind::Text(Format::Plain), path);
            }
            (Kind::List(_) | Kind::ListOr(..) | Kind::Claim, Value::List(_)) => {
                self.say(&node.location, path, "is an empty list; add an item or remove the key");
            }
            (Kind::ListOr(_, word), Value::Scalar { text, .. }) if text == word => {}
            (_, Value::Scalar { text, plain }) => self.scalar(node, kind, text, *plain, path),
            (_, other) => self.say(&node.location, path, format!("must be {}, not {}", noun(kind), other.noun())),
        }
    }

    fn items(&mut self, items: &[Node], kind: &Kind, path: &str) {
        for (index, item) in items.iter().enumerate() {
            self.node(item, kind, &format!("{path}[{index}]"));
        }
    }

    fn scalar(&mut self, node: &Node, kind: &Kind, text: &str, plain: bool, path: &str) {
        let wrong = match kind {
            Kind::Text(format) => format.check(text),
            Kind::Claim => Format::Plain.check(text),
            Kind::Flag if plain && matches!(text, "true" | "false") => Ok(()),
            Kind::Flag => Err(format!("must be true or false, not {}", quoted(text))),
            Kind::Count if plain && is_count(text) => Ok(()),
            Kind::Count => Err(format!("must be a whole number, not {}", quoted(text))),
            Kind::Word(words) => word(words, text),
            _ => Err(format!("must be {}, not a scalar", noun(kind))),
        };
        if let Err(what) = wrong {
            self.say(&node.location, path, what);
        }
    }

    fn section(&mut self, node: &Node, section: &'static Section, path: &str) {
        let Value::Map(entries) = &node.value else {
            return self.say(&node.location, path, format!("must be a map, not {}", node.value.noun()));
        };
        if let Some((entry, word)) = not_built(section, entries) {
            // Its other keys are of a kind that is not known: nothing useful can be said about them.
            let what = format!("{} is not supported in this version", quoted(word));
            return self.say(&entry.node.location, &join(path, &entry.key), what);
        }
        for entry in entries {
            let path = join(path, &entry.key);
            match section.key(&entry.key) {
                Some(key) if key.need == Need::NotBuilt => {
                    self.say(&entry.location, &path, "is not supported in this version");
                }
                Some(key) => self.node(&entry.node, &key.kind, &path),
                None => {
                    let what = unknown(section, &entry.key);
                    self.say(&entry.location, &path, what);
                }
            }
        }
        for key in section.keys.iter().filter(|key| key.need == Need::Required) {
            if !entries.iter().any(|entry| entry.key == key.name) {
                self.say(&node.location, &join(path, key.name), "is missing");
            }
        }
    }
}

fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}

fn noun(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "a string".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Count => "a whole number".to_owned(),
        Kind::Word(words) => format!("one of {}", words.built.join(", ")),
        Kind::Claim => "a claim name, or a list of names that lead to one".to_owned(),
        Kind::List(_) | Kind::ListOrEmpty(_) => "a list".to_owned(),
        Kind::ListOr(_, word) => format!("a list or `{word}`"),
        Kind::Section(_) | Kind::Names(..) => "a map".to_owned(),
    }
}

fn word(words: &Words, text: &str) -> Result<(), String> {
    match words.built {
        built if built.contains(&text) => Ok(()),
        [only] => Err(format!("{} is not `{only}`", quoted(text))),
        built => Err(format!("{} is not one of {}", quoted(text), built.join(", "))),
    }
}

fn not_built<'a>(section: &'static Section, entries: &'a [Entry]) -> Option<(&'a Entry, &'a str)> {
    entries.iter().find_map(|entry| match (section.key(&entry.key)?.kind, &entry.node.value) {
        (Kind::Word(words), Value::Scalar { text, .. }) if words.later.contains(&text.as_str()) => {
            Some((entry, text.as_str()))
        }
        _ => None,
    })
}

/// Keys under which users tend to write a secret.
const SECRETS: [&str; 14] = [
    "token",
    "token_sha256",
    "secret",
    "client_secret",
    "password",
    "bind_password",
    "bootstrap_token",
    "bootstrap_token_sha256",
    "api_key",
    "apikey",
    "private_key",
    "credentials",
    "passphrase",
    "hmac",
];

/// The message for a key that is not in the table. It never shows the value, which may be a secret.
fn unknown(section: &'static Section, name: &str) -> String {
    let file = format!("{name}_file");
    if section.key(&file).is_some() {
        return format!("must not be inline; put it in a file and set `{file}`");
    }
    let sha256 = format!("{name}_sha256_file");
    if section.key(&sha256).is_some() {
        return format!("must not be inline; put its SHA-256 in a file and set `{sha256}`");
    }
    if SECRETS.contains(&name) {
        return format!("unknown key; secrets must not be inline, put them in files (`{file}`)");
    }
    match nearest(section.keys, name) {
        Some(known) => format!("unknown key; did you mean `{known}`?"),
        None => "unknown key".to_owned(),
    }
}

fn nearest(keys: &'static [Key], name: &str) -> Option<&'static str> {
    let folded = name.to_lowercase().replace('-', "_");
    keys.iter()
        .map(|key| (distance(key.name, &folded), key.name))
        .min()
        .filter(|(distance, known)| *distance <= 2 && *distance * 2 < known.len())
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_are_near() {
        assert_eq!(nearest(crate::config::keys::ROOT.keys, "Enforcment"), Some("enforcement"));
        assert_eq!(nearest(crate::config::keys::ROOT.keys, "colour"), None);
    }
}
