//! Records of a people file, and what is wrong with them, in the words of the file.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::read;
use super::yaml::{self, Hears, Raw};
use crate::domain::person::{Person, PersonId, Status};

const STATUSES: [Status; 3] = [Status::Active, Status::Suspended, Status::Departed];

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Whose record can be read.
    pub(super) people: Vec<Person>,
    /// What is wrong, in the order of the file.
    pub(super) flaws: Vec<Flaw>,
    /// The last record may go on: nothing follows that ends it.
    open: bool,
    /// How many records were begun, and which is the last whose person is in `people`.
    records: usize,
    last: usize,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Where; 0: nowhere in particular.
    pub(super) line: u64,
    /// What it is.
    pub(super) what: String,
}

impl Reading {
    /// Who is said to be out, in records that are known to be complete: another one follows, or the end is known.
    pub(super) fn out(&self, end_is_known: bool) -> impl Iterator<Item = &Person> {
        let cut = (!end_is_known || self.open) && self.last == self.records;
        let complete = self.people.len() - usize::from(cut && !self.people.is_empty());
        self.people.iter().take(complete).filter(|person| person.status != Status::Active)
    }
}

/// Reads what a file of this source holds.
pub(super) fn read(source: &str, bytes: &[u8]) -> Reading {
    let (text, flaw) = read::text(bytes);
    let mut hearing = Hearing { source, text, reading: Reading::default(), ids: HashMap::new() };
    if flaw.is_none() || !text.is_empty() {
        hearing.reading.open = !yaml::read(text, &mut hearing) || flaw.is_some();
    }
    let mut reading = hearing.reading;
    if let Some((line, what)) = flaw {
        reading.flaws = vec![Flaw { line, what }];
    }
    reading
}

struct Hearing<'a> {
    source: &'a str,
    text: &'a str,
    reading: Reading,
    /// Where each id stands first.
    ids: HashMap<String, u64>,
}

impl Hears for Hearing<'_> {
    fn begins(&mut self) {
        self.reading.records += 1;
    }

    fn record(&mut self, record: Spanned<Raw>) {
        let (line, number) = (record.referenced.line(), self.reading.records);
        let mut wrong = Vec::new();
        let person = self.person(record, &mut wrong);
        let id = person.id.key.as_str();
        if wrong.is_empty() {
            if let Some(first) = self.ids.get(id) {
                wrong.push((line, format!("the same `id` stands on line {first}")));
            } else {
                self.ids.insert(id.to_owned(), line);
            }
        }
        let name = if id.is_empty() { String::new() } else { format!(" ({})", quoted(id)) };
        let flaws = wrong.into_iter().map(|(line, what)| Flaw { line, what: format!("record {number}{name}: {what}") });
        let before = self.reading.flaws.len();
        self.reading.flaws.extend(flaws);
        if self.reading.flaws.len() == before {
            self.reading.people.push(person);
            self.reading.last = number;
        }
    }

    fn wrong(&mut self, line: u64, what: String) {
        self.reading.flaws.push(Flaw { line, what });
    }
}

impl Hearing<'_> {
    /// The person of a record, as far as it can be read.
    fn person(&self, record: Spanned<Raw>, wrong: &mut Vec<(u64, String)>) -> Person {
        let line = record.referenced.line();
        let id = PersonId { source: self.source.to_owned(), key: String::new() };
        let mut person = Person::new(id, Status::Active);
        let Raw::Map(entries) = record.value else {
            wrong.push((line, format!("must be a map with an `id`, not {}", record.value.noun())));
            return person;
        };
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in entries {
            let line = key.referenced.line();
            if seen.contains(&key.value) {
                wrong.push((line, format!("{} is given twice", quoted(&key.value))));
                continue;
            }
            let read = match key.value.as_str() {
                "id" => self.scalar(value).map(|id| person.id.key = id.unwrap_or_default()),
                "email" => self.scalar(value).map(|email| person.email = email),
                "username" => self.scalar(value).map(|username| person.username = username),
                "groups" => self.groups(value).map(|groups| person.groups = groups),
                "status" => self.status(value).map(|status| person.status = status),
                _ => Err("is no key of a person: those are id, email, username, status, groups".to_owned()),
            };
            if let Err(what) = read {
                wrong.push((line, format!("{} {what}", quoted(&key.value))));
            }
            seen.push(key.value);
        }
        if person.id.key.is_empty() && wrong.is_empty() {
            wrong.push((line, "has no `id`, and nobody is known by anything else".to_owned()));
        }
        person
    }

    /// A text to the letter; nothing and white space are none.
    fn scalar(&self, value: Spanned<Raw>) -> Result<Option<String>, String> {
        let text = match value.value {
            Raw::Null => return Ok(None),
            Raw::Text(text) => text,
            Raw::Plain(text) => yaml::written(self.text, value.defined).map_or(text, str::to_owned),
            other => return Err(format!("must be a text, not {}", other.noun())),
        };
        Ok((!text.trim().is_empty()).then_some(text))
    }

    fn groups(&self, value: Spanned<Raw>) -> Result<Vec<String>, String> {
        match value.value {
            Raw::Null => Ok(Vec::new()),
            Raw::List(items) => {
                let groups: Result<Vec<Option<String>>, String> =
                    items.into_iter().map(|item| self.scalar(item)).collect();
                let groups = groups.map_err(|_| "must be a list of texts, and has something else in it".to_owned())?;
                Ok(groups.into_iter().flatten().collect())
            }
            other if matches!(&other, Raw::Text(text) if text.trim().is_empty()) => Ok(Vec::new()),
            other => Err(format!("must be a list, not {}", other.noun())),
        }
    }

    fn status(&self, value: Spanned<Raw>) -> Result<Status, String> {
        let must = "it must be active, suspended or departed";
        let Some(text) = self.scalar(value)? else { return Err(format!("has no value: {must}")) };
        let status = STATUSES.into_iter().find(|status| status.word() == text);
        status.ok_or_else(|| format!("is {}: {must}", quoted(&text)))
    }
}

/// A text out of a file, for a line of a log.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

#[cfg(test)]
mod tests;
