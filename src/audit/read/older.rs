//! Trails that were written before a record had `persons`: where a revocation meant several people, their names stood in
//! brackets at the end of its target, `r17 block on person a@example.com (hr/e1, lab/7)`.

use crate::audit::record::{Kind, Record};
use crate::domain::person::PersonId;

/// The record, with the persons whom only its target names.
pub(super) fn with_persons(mut record: Record) -> Record {
    let is_revocation = matches!(record.kind, Kind::Revocation | Kind::RevocationEnded);
    if is_revocation && record.person.is_none() && record.persons.is_empty() {
        record.persons = record.target.as_deref().and_then(in_brackets).unwrap_or_default();
    }
    record
}

fn in_brackets(target: &str) -> Option<Vec<PersonId>> {
    let (_, list) = target.rsplit_once(" (")?;
    list.strip_suffix(')')?.split(", ").map(|name| name.parse().ok()).collect()
}
