//! Trails written before records had `persons`: if a revocation applied to several people, the end of its target listed
//! them in parentheses: `r17 block on person a@example.com (hr/e1, lab/7)`.

use crate::audit::record::{Kind, Record};
use crate::domain::person::PersonId;

/// Adds the persons whom only the target names.
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
