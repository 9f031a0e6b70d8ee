//! The records of a people file, and their mistakes in the file's own terms.

use std::collections::HashMap;

use serde_saphyr::{Location, Spanned};

use super::read;
use super::yaml::{self, Hears, Key, Raw};
use crate::domain::person::{Person, PersonId, Status};
use crate::domain::yaml::{end, written};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// People whose record can be read.
    pub(super) people: Vec<Person>,
    /// The mistakes, in the order of the file.
    pub(super) flaws: Vec<Flaw>,
    /// People whom some record marks as out, whatever else is wrong: number of the record, person and status.
    out: Vec<(usize, PersonId, Status)>,
    /// How many records began.
    records: usize,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The line; 0 if it has no particular place.
    pub(super) line: u64,
    /// The description.
    pub(super) what: String,
}

impl Reading {
    /// People whom complete records mark as out: a record is complete if another one follows or the end is known. Each
    /// person comes once; departed wins over suspended.
    pub(super) fn out(&self, end_is_known: bool) -> Vec<(&PersonId, Status)> {
        let complete = |record: &usize| end_is_known || *record < self.records;
        let mut places: HashMap<&PersonId, usize> = HashMap::new();
        let mut out: Vec<(&PersonId, Status)> = Vec::new();
        for (_, person, status) in self.out.iter().filter(|(record, ..)| complete(record)) {
            let place = *places.entry(person).or_insert(out.len());
            match out.get_mut(place) {
                Some((_, known)) if *status == Status::Departed => *known = *status,
                Some(_) => {}
                None => out.push((person, *status)),
            }
        }
        out
    }
}

/// Reads the content of a people file of this source. If it is `whole` and its YAML has a fault, people who are out are
/// looked for up to that fault.
pub(super) fn read(source: &str, bytes: &[u8], whole: bool) -> Reading {
    let (text, flaw) = read::text(bytes);
    let mut hearing = Hearing::new(source, &text, flaw.is_some());
    let read = if flaw.is_none() || !text.is_empty() { yaml::read(&text, &mut hearing) } else { Ok(()) };
    let mut reading = hearing.reading;
    if let (Err(fault), true) = (read, whole) {
        salvage(source, &text, fault.at, &mut reading);
    }
    if let Some((line, what)) = flaw {
        reading.flaws = vec![Flaw { line, what }];
    }
    reading
}

/// What may complete a text that was cut: nothing, or the end of a list of groups, of a record, of the list of people,
/// and of JSON.
const CLOSERS: [&str; 8] = ["", "}", "]}", "}]}", "}]", "]}]", "]}]}", "]"];

/// Reads a text again up to its fault: the parser looks ahead, and reports a fault before it returns what precedes it.
fn salvage(source: &str, text: &str, fault: Option<usize>, reading: &mut Reading) {
    let (before, rest) = fault.and_then(|at| text.split_at_checked(at)).unwrap_or_default();
    // A bracket that is never closed is the fault itself: what follows it counts too, up to the next document.
    let is_open = rest.starts_with(['[', '{']);
    let up_to = |length: usize| text.get(..before.len() + length).unwrap_or_default();
    let document = ["\n---", "\n..."].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    let open = if is_open { up_to(document) } else { "" };
    // A fault may be reported at the beginning of its line, or at its value.
    let line = before.rfind('\n').and_then(|end| before.get(..=end)).unwrap_or_default();
    let row = up_to(rest.find('\n').unwrap_or(rest.len()));
    for cut in [before, line, row, open] {
        for closer in CLOSERS {
            let closed = format!("{cut}{closer}");
            let mut hearing = Hearing::new(source, &closed, true);
            // A value that touches the cut may be incomplete.
            hearing.end = cut.trim_end().len();
            let read = yaml::read(&closed, &mut hearing);
            reading.out.append(&mut hearing.reading.out);
            match read {
                Err(again) if is_open || again.at != fault => {}
                // It was read, or another ending makes no difference.
                _ => break,
            }
        }
    }
}

struct Hearing<'a> {
    source: &'a str,
    text: &'a str,
    /// Some text is missing or was replaced: ids that end there, or contain the replacement, are not accepted.
    damaged: bool,
    end: usize,
    reading: Reading,
    /// The line where each id comes first.
    ids: HashMap<String, u64>,
}

impl Hears for Hearing<'_> {
    fn begins(&mut self) {
        self.reading.records += 1;
    }

    fn record(&mut self, record: Spanned<Raw>) {
        self.stray(&record.value);
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
        }
    }

    fn stray(&mut self, record: &Raw) {
        let number = self.reading.records;
        let out = self.says_out(record).into_iter().map(|(id, status)| (number, id, status));
        let out: Vec<_> = out.collect();
        self.reading.out.extend(out);
    }

    fn wrong(&mut self, line: u64, what: String) {
        self.reading.flaws.push(Flaw { line, what });
    }
}

impl<'a> Hearing<'a> {
    fn new(source: &'a str, text: &'a str, damaged: bool) -> Self {
        let end = text.trim_end().len();
        Self { source, text, damaged, end, reading: Reading::default(), ids: HashMap::new() }
    }

    /// People whom a record marks as out, whatever else is wrong with it. If it has several ids or statuses, each
    /// counts.
    fn says_out(&self, record: &Raw) -> Vec<(PersonId, Status)> {
        let Raw::Map(entries) = record else { return vec![] };
        let of = |name: &'static str| {
            entries
                .iter()
                .filter(move |(key, _)| matches!(&key.value, Key(Raw::Text(key)) if key == name))
                .map(|(_, v)| v)
        };
        let texts = of("status").filter_map(|value| self.scalar(value).ok().flatten());
        let texts: Vec<String> = texts.collect();
        let says = |status: Status| texts.iter().any(|text| text.trim().eq_ignore_ascii_case(status.word()));
        let Some(status) = [Status::Departed, Status::Suspended].into_iter().find(|status| says(*status)) else {
            return vec![];
        };
        let is_whole = |value: &&Spanned<Raw>| !self.damaged || end(value.referenced) < Some(self.end);
        let ids = of("id").filter(is_whole).filter_map(|value| self.scalar(value).ok().flatten());
        ids.filter(|id| !self.damaged || !id.contains(char::REPLACEMENT_CHARACTER))
            .map(|key| (PersonId { source: self.source.to_owned(), key }, status))
            .collect()
    }

    /// The person of a record, as far as it can be read.
    fn person(&self, record: Spanned<Raw>, wrong: &mut Vec<(u64, String)>) -> Person {
        let line = record.referenced.line();
        let id = PersonId { source: self.source.to_owned(), key: String::new() };
        let mut person = Person::new(id, Status::Active);
        let Raw::Map(entries) = record.value else {
            wrong.push((line, format!("must be a map with an `id`, not {}", yaml::noun(&record.value))));
            return person;
        };
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in entries {
            let line = key.referenced.line();
            let Ok(Some(key)) = self.text_of(&key.value.0, key.defined) else {
                wrong.push((line, "has a key that is not a text".to_owned()));
                continue;
            };
            if seen.contains(&key) {
                wrong.push((line, format!("{} is given twice", quoted(&key))));
                continue;
            }
            let read = match key.as_str() {
                "id" => self.scalar(&value).map(|id| person.id.key = id.unwrap_or_default()),
                "email" => self.scalar(&value).map(|email| person.email = email),
                "username" => self.scalar(&value).map(|username| person.username = username),
                "groups" => self.groups(value).map(|groups| person.groups = groups),
                "status" => self.status(&value).map(|status| person.status = status),
                _ => Err("is not a key of a person: the keys are id, email, username, status, groups".to_owned()),
            };
            if let Err(what) = read {
                wrong.push((line, format!("{} {what}", quoted(&key))));
            }
            seen.push(key);
        }
        if person.id.key.is_empty() && wrong.is_empty() {
            wrong.push((line, "has no `id`: every record needs one".to_owned()));
        }
        person
    }

    /// A text, unchanged; an empty or blank one counts as none.
    fn scalar(&self, value: &Spanned<Raw>) -> Result<Option<String>, String> {
        self.text_of(&value.value, value.defined)
    }

    fn text_of(&self, value: &Raw, defined: Location) -> Result<Option<String>, String> {
        let text = match value {
            Raw::Null => return Ok(None),
            Raw::Text(text) => text,
            Raw::Plain(text) => written(self.text, defined).unwrap_or(text),
            other => return Err(format!("must be a text, not {}", yaml::noun(other))),
        };
        Ok((!text.trim().is_empty()).then(|| text.to_owned()))
    }

    fn groups(&self, value: Spanned<Raw>) -> Result<Vec<String>, String> {
        match value.value {
            Raw::Null => Ok(Vec::new()),
            Raw::List(items) => {
                let groups: Result<Vec<Option<String>>, String> = items.iter().map(|item| self.scalar(item)).collect();
                let groups = groups.map_err(|_| "must be a list of texts, and has something else in it".to_owned())?;
                Ok(groups.into_iter().flatten().collect())
            }
            other if matches!(&other, Raw::Text(text) if text.trim().is_empty()) => Ok(Vec::new()),
            other => Err(format!("must be a list, not {}", yaml::noun(&other))),
        }
    }

    fn status(&self, value: &Spanned<Raw>) -> Result<Status, String> {
        let must = "it must be active, suspended or departed";
        let Some(text) = self.scalar(value)? else { return Err(format!("has no value: {must}")) };
        let status = Status::ALL.into_iter().find(|status| status.word() == text);
        status.ok_or_else(|| format!("is {}: {must}", quoted(&text)))
    }
}

/// A text from the file, quoted for one line of a log.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

#[cfg(test)]
mod tests;
