//! Who has the name by which a token would be linked, or almost has it.

use crate::domain::name::{Compare, Directory as NameRules};
use crate::domain::person::Person;

/// The most other attributes that are named.
const NAMED: usize = 3;

/// Who has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One person.
    One(Box<Person>),
    /// More than one person; how many.
    Several(usize),
    /// Nobody.
    Nobody {
        /// How many would match without regard to case.
        in_another_case: usize,
        /// Other attributes that have this value for somebody.
        elsewhere: Vec<String>,
    },
}

/// The only person with this value; `None` if there are several.
pub(super) fn one(people: Vec<Person>, attribute: &str, value: &str) -> Option<Person> {
    let rule = NameRules::File.compares(attribute);
    let is = |person: &Person| person.values(attribute).any(|held| rule.matches(held, value).is_some());
    let mut found = people.into_iter().filter(is);
    found.next().filter(|_| found.next().is_none())
}

pub(super) fn find(people: Vec<Person>, attribute: &str, value: &str) -> Found {
    let has = |attribute: &str, rule: Compare| {
        let is = |person: &&Person| person.values(attribute).any(|held| rule.matches(held, value).is_some());
        people.iter().filter(is).count()
    };
    match has(attribute, NameRules::File.compares(attribute)) {
        0 => {}
        1 => return one(people, attribute, value).map_or(Found::Several(1), |person| Found::One(Box::new(person))),
        several => return Found::Several(several),
    }
    let others = ["id", "email", "username"].into_iter().filter(|other| *other != attribute);
    let elsewhere = others.filter(|other| has(other, Compare::IgnoreCase) > 0).map(str::to_owned);
    Found::Nobody { in_another_case: has(attribute, Compare::IgnoreCase), elsewhere: elsewhere.take(NAMED).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::person::{PersonId, Status};

    fn person(id: &str, email: &str, username: &str) -> Person {
        let id = PersonId { source: "hr".into(), key: id.into() };
        let (email, username) = (Some(email.to_owned()), Some(username.to_owned()));
        Person { email, username, ..Person::new(id, Status::Active) }
    }

    #[test]
    fn nobody_one_and_several_are_told_apart() {
        let people = || {
            vec![
                person("Kim.Dahl", "kim@example.com", "kdahl"),
                person("P5", "shared@example.com", "p5x"),
                person("p5", "Shared@example.com", "q5x"),
            ]
        };
        let nobody = |in_another_case, elsewhere: &[&str]| Found::Nobody {
            in_another_case,
            elsewhere: elsewhere.iter().map(|&other| other.to_owned()).collect(),
        };
        assert!(matches!(find(people(), "id", "Kim.Dahl"), Found::One(person) if person.id.key == "Kim.Dahl"));
        assert!(matches!(find(people(), "username", "KDAHL"), Found::One(person) if person.id.key == "Kim.Dahl"));
        assert_eq!(find(people(), "email", "shared@example.com"), Found::Several(2));
        assert_eq!(find(people(), "id", "kim.dahl"), nobody(1, &[]));
        assert_eq!(find(people(), "id", "zoe"), nobody(0, &[]));
        assert_eq!(find(people(), "id", "kdahl"), nobody(0, &["username"]));
        assert!(matches!(find(people(), "id", "P5"), Found::One(_)), "ids compare exactly");
        assert_eq!(find([people().remove(1), people().remove(2)].into(), "id", "ｐ5"), nobody(0, &[]));
    }
}
