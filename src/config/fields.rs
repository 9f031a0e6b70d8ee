//! The typed stage's view of a section: values by key, and a way to report errors and warnings.
//!
//! The tree has already been checked against the table ([`super::check`]). What failed there reads as absent here, so
//! that nothing is reported twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::check::join;
use super::location::SourceLocation;
use super::problem::Problem;
use super::table::{Key, Kind, Need, Section};
use super::text::Format;
use super::tree::{Entry, Node, Value};
use crate::domain::claim::ClaimName;

/// What reading collects besides values.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub problems: RefCell<Vec<Problem>>,
    /// What is dangerous.
    pub warnings: RefCell<Vec<Problem>>,
    /// Which keys of which sections were read; a test compares it with the table.
    pub asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

/// A section of the tree, or its absence.
#[derive(Clone)]
pub struct Fields<'a> {
    findings: &'a Findings,
    section: &'static Section,
    node: Option<&'a Node>,
    path: String,
}

/// A text and its location.
#[derive(Clone)]
pub struct Item<'a> {
    /// The text.
    pub text: &'a str,
    /// Its path.
    pub path: String,
    /// Its location.
    pub location: &'a SourceLocation,
}

impl<'a> Fields<'a> {
    /// The whole tree.
    #[must_use]
    pub fn root(findings: &'a Findings, section: &'static Section, node: &'a Node) -> Self {
        Self { findings, section, node: Some(node), path: String::new() }
    }

    /// Location of the section, if present.
    #[must_use]
    pub fn location(&self) -> Option<&'a SourceLocation> {
        self.node.map(|node| &node.location)
    }

    /// Location of the section, as text.
    #[must_use]
    pub fn stands_at(&self) -> String {
        self.location().map(SourceLocation::to_string).unwrap_or_default()
    }

    fn key(&self, name: &'static str) -> Option<&'static Key> {
        let key = self.section.key(name).filter(|key| key.need != Need::NotBuilt);
        match key {
            Some(key) => {
                self.findings.asked.borrow_mut().insert((self.section.name, key.name));
            }
            // INVARIANT: every key that is read is in the table, which is what users know.
            None => self.wrong(name, "is read, but not in the table of keys"),
        }
        key
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        match &self.node?.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == name),
            _ => None,
        }
    }

    /// The value of a key, if present.
    #[must_use]
    pub fn node(&self, name: &'static str) -> Option<&'a Node> {
        self.key(name)?;
        self.entry(name).map(|entry| &entry.node)
    }

    /// Whether a key is present, whatever its value.
    #[must_use]
    pub fn has(&self, name: &'static str) -> bool {
        self.node(name).is_some()
    }

    /// A text in the format that the table requires.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        let key = self.key(name)?;
        self.entry(name).and_then(|entry| scalar(&entry.node, &key.kind))
    }

    /// A text, owned.
    #[must_use]
    pub fn owned(&self, name: &'static str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A text parsed by `read`; the check has already reported its errors.
    #[must_use]
    pub fn read<T>(&self, name: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.text(name).and_then(|text| read(text).ok())
    }

    /// The name of a claim.
    #[must_use]
    pub fn claim(&self, name: &'static str) -> Option<ClaimName> {
        let kind = self.key(name)?.kind;
        match &self.entry(name)?.node {
            Node { value: Value::List(items), .. } if !items.is_empty() => {
                let segments = items.iter().map(|item| scalar(item, &kind).map(str::to_owned));
                segments.collect::<Option<Vec<_>>>().map(ClaimName::of_segments)
            }
            node => scalar(node, &kind).map(ClaimName::from),
        }
    }

    /// A flag.
    #[must_use]
    pub fn flag(&self, name: &'static str) -> Option<bool> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The texts of a list; `None` if the key is absent (or holds the single word that may replace the list).
    #[must_use]
    pub fn items(&self, name: &'static str) -> Option<Vec<Item<'a>>> {
        let (Kind::List(kind) | Kind::ListOrEmpty(kind) | Kind::ListOr(kind, _)) = self.key(name)?.kind else {
            return None;
        };
        let Value::List(items) = &self.entry(name)?.node.value else { return None };
        let path = join(&self.path, name);
        let item = |(index, node): (usize, &'a Node)| {
            scalar(node, kind).map(|text| Item { text, path: format!("{path}[{index}]"), location: &node.location })
        };
        Some(items.iter().enumerate().filter_map(item).collect())
    }

    /// The texts of a list, owned.
    #[must_use]
    pub fn texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.items(name).map(|items| items.into_iter().map(|item| item.text.to_owned()).collect())
    }

    /// The section under a key; if absent, one in which every key is absent.
    #[must_use]
    pub fn section(&self, name: &'static str) -> Self {
        let section = match self.key(name).map(|key| key.kind) {
            Some(Kind::Section(section)) => section,
            _ => self.section,
        };
        let node = self.entry(name).map(|entry| &entry.node);
        Self { findings: self.findings, section, node, path: join(&self.path, name) }
    }

    /// The sections of a list; `None` where the key is absent.
    #[must_use]
    pub fn sections(&self, name: &'static str) -> Option<Vec<Self>> {
        let (Kind::List(Kind::Section(section)) | Kind::ListOrEmpty(Kind::Section(section))) = self.key(name)?.kind
        else {
            return None;
        };
        let Value::List(items) = &self.entry(name)?.node.value else { return None };
        let path = join(&self.path, name);
        let item = |(index, node)| Self {
            findings: self.findings,
            section,
            node: Some(node),
            path: format!("{path}[{index}]"),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The entries of a map with free keys.
    #[must_use]
    pub fn names(&self, name: &'static str) -> Vec<(&'a str, Item<'a>)> {
        let Some(Kind::Names(format, kind)) = self.key(name).map(|key| key.kind) else { return vec![] };
        let Some(Value::Map(entries)) = self.entry(name).map(|entry| &entry.node.value) else { return vec![] };
        let path = join(&self.path, name);
        let item = |entry: &'a Entry| {
            format.check(&entry.key).ok()?;
            let text = scalar(&entry.node, kind)?;
            Some((entry.key.as_str(), Item { text, path: join(&path, &entry.key), location: &entry.location }))
        };
        entries.iter().filter_map(item).collect()
    }

    fn problem(&self, name: &str, what: String) -> Option<Problem> {
        let location = self.entry(name).map(|entry| &entry.node.location).or(self.location())?;
        let key = if name.is_empty() { self.path.clone() } else { join(&self.path, name) };
        Some(Problem { location: location.clone(), key, what })
    }

    /// Reports a wrong key, or the section itself if `name` is empty.
    pub fn wrong(&self, name: &str, what: impl Into<String>) {
        self.findings.problems.borrow_mut().extend(self.problem(name, what.into()));
    }

    /// Reports a wrong item of a list.
    pub fn wrong_item(&self, item: &Item<'_>, what: impl Into<String>) {
        let problem = Problem { location: item.location.clone(), key: item.path.clone(), what: what.into() };
        self.findings.problems.borrow_mut().push(problem);
    }

    /// Warns about a key, or about the section itself if `name` is empty.
    pub fn warn(&self, name: &str, what: impl Into<String>) {
        self.findings.warnings.borrow_mut().extend(self.problem(name, what.into()));
    }

    /// Warns about an item of a list.
    pub fn warn_item(&self, item: &Item<'_>, what: impl Into<String>) {
        let warning = Problem { location: item.location.clone(), key: item.path.clone(), what: what.into() };
        self.findings.warnings.borrow_mut().push(warning);
    }

    /// Indices by the names of `sections`; reports duplicate names.
    #[must_use]
    pub fn indices(sections: &[Self], first: u16) -> BTreeMap<&'a str, u16> {
        let mut indices = BTreeMap::new();
        let mut locations: BTreeMap<&str, &SourceLocation> = BTreeMap::new();
        for (section, index) in sections.iter().zip(first..=u16::MAX) {
            let (Some(name), Some(location)) = (section.text("name"), section.location()) else { continue };
            match locations.get(name) {
                Some(first) => section.wrong("name", format!("`{name}` is a duplicate, first at {first}")),
                None => {
                    locations.insert(name, location);
                    indices.insert(name, index);
                }
            }
        }
        if let Some(beyond) = sections.get(usize::from(u16::MAX - first)) {
            beyond.wrong("", "one too many: at most 65535");
        }
        indices
    }
}

/// The text of a scalar, if it fits its kind.
fn scalar<'a>(node: &'a Node, kind: &Kind) -> Option<&'a str> {
    let Value::Scalar { text, plain } = &node.value else { return None };
    let good = match kind {
        Kind::Text(format) => format.check(text).is_ok(),
        Kind::Claim => Format::Plain.check(text).is_ok(),
        Kind::Word(words) => words.built.contains(&text.as_str()),
        Kind::Flag => *plain && matches!(text.as_str(), "true" | "false"),
        Kind::Count => *plain && text.parse::<u32>().is_ok(),
        Kind::ListOr(_, word) => text == word,
        _ => false,
    };
    good.then_some(text)
}
