use super::*;

fn reading(text: &str) -> Reading {
    read("hr", text.as_bytes())
}

fn people(text: &str) -> Vec<Person> {
    let reading = reading(text);
    assert_eq!(reading.flaws, [], "{text:?}");
    reading.people
}

fn flaws(text: &[u8]) -> Vec<String> {
    read("hr", text).flaws.into_iter().map(|flaw| format!("{}: {}", flaw.line, flaw.what)).collect()
}

fn out(text: &str, end_is_known: bool) -> Vec<String> {
    reading(text).out(end_is_known).map(|person| format!("{} {}", person.id.key, person.status.word())).collect()
}

#[test]
fn a_record_is_a_person() {
    let people =
        people("people:\n  - { id: 0123, email: a@example.com, groups: [x] }\n  - { id: b, status: departed }\n");
    assert_eq!((people[0].id.key.as_str(), people[0].status), ("0123", Status::Active));
    assert_eq!(
        (people[0].email.as_deref(), people[0].groups.as_slice()),
        (Some("a@example.com"), &["x".to_owned()][..])
    );
    assert_eq!(people[1].status, Status::Departed);
}

#[test]
fn texts_are_kept_to_the_letter() {
    for id in ["007", "2e9", "off", "yes", "0x1F", "1_000", "1.50", "+4", "true", "2024-01-31", ".inf", "12:30:45"] {
        let found = people(&format!(
            "people:\n- id: {id}\n  username: {id}\n  groups: [ {id} ]\n- {{id: 'x', email: {id} }}\n"
        ));
        assert_eq!(found[0].id.key, id);
        assert_eq!(found[0].username.as_deref(), Some(id));
        assert_eq!(found[0].groups, [id]);
        assert_eq!(found[1].email.as_deref(), Some(id));
    }
    assert_eq!(people("people: [{ id: \"null\" }, { id: '~' }]\n")[1].id.key, "~");
}

#[test]
fn what_is_empty_is_absent() {
    let text = "people:\n- id: ann\n  email:\n  groups:\n  username: ~\n- { id: bea, email: '', groups: null, username: ' ' }\n\
                - { id: cy, groups: [~, '', ops] }\n- { id: dot, groups: '' }\n";
    let found = people(text);
    for person in [&found[0], &found[1]] {
        assert_eq!((&person.email, &person.username, person.groups.len()), (&None, &None, 0));
    }
    assert_eq!(found[2].groups, ["ops"]);
    assert!(found[3].groups.is_empty());
}

#[test]
fn marks_and_line_ends_of_windows_are_fine() {
    let text = "\u{feff}people:\r\n- id: 0815\r\n  status: suspended\r\n- id: \"b\"\r\n";
    let found = people(text);
    assert_eq!((found[0].id.key.as_str(), found[0].status), ("0815", Status::Suspended));
    assert_eq!(found[1].id.key, "b");
    assert!(people("\u{feff}people: []\r\n").is_empty());
}

#[test]
fn mistakes_are_told_in_the_words_of_the_file() {
    for (text, expected) in [
        ("", "1: is empty: write `people: []` for nobody"),
        ("# nothing\n", "1: is empty: write `people: []` for nobody"),
        ("people:\n", "1: `people` must be a list, not nothing: write `people: []` for nobody"),
        ("people: none\n", "1: `people` must be a list, not a text"),
        ("people: 7\n", "1: `people` must be a list, not a number"),
        ("people: { id: a }\n", "1: `people` must be a list, not a map"),
        ("- { id: a }\n", "1: must be a map with the key `people`, not a list"),
        ("peple: []\n", "1: the only key is `people`"),
        ("people: []\nx: 1\n", "2: the only key is `people`"),
        ("people:\n- { id: a }\n- { id: b }\n- { id: a }\n", "4: record 3 (`a`): the same `id` stands on line 2"),
        ("people:\n- { id: a }\n- { email: b }\n", "3: record 2: has no `id`, and nobody is known by anything else"),
        ("people:\n- { id: null }\n", "2: record 1: has no `id`, and nobody is known by anything else"),
        ("people:\n- { id: '' }\n", "2: record 1: has no `id`, and nobody is known by anything else"),
        ("people:\n- id: [a]\n", "2: record 1: `id` must be a text, not a list"),
        ("people:\n- id: a\n  email: { x: y }\n", "3: record 1 (`a`): `email` must be a text, not a map"),
        ("people:\n- id: a\n  groups: ops\n", "3: record 1 (`a`): `groups` must be a list, not a text"),
        (
            "people:\n- id: a\n  groups: [[x]]\n",
            "3: record 1 (`a`): `groups` must be a list of texts, and has something else in it",
        ),
        (
            "people:\n- id: a\n  status: left\n",
            "3: record 1 (`a`): `status` is `left`: it must be active, suspended or departed",
        ),
        (
            "people:\n- id: a\n  status:\n",
            "3: record 1 (`a`): `status` has no value: it must be active, suspended or departed",
        ),
        (
            "people:\n- id: a\n  stauts: departed\n",
            "3: record 1 (`a`): `stauts` is no key of a person: those are id, email, username, status, groups",
        ),
        ("people:\n- id: a\n  status: active\n  status: departed\n", "4: record 1 (`a`): `status` is given twice"),
        ("people:\n- a\n", "2: record 1: must be a map with an `id`, not a text"),
        ("people: []\n---\npeople: []\n", "3: holds more than one document"),
    ] {
        let told = flaws(text.as_bytes());
        assert_eq!(told.first().map(String::as_str), Some(expected), "{text:?}: {told:?}");
        assert!(
            !told.iter().any(|told| ["expected", "sequence", "Option", "String", "struct"]
                .iter()
                .any(|rust| told.contains(rust)))
        );
    }
    let utf16: Vec<u8> = "people: []".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&utf16[..], &[&[0xff, 0xfe], &utf16[..]].concat()] {
        assert_eq!(flaws(bytes), ["1: is not UTF-8 but UTF-16 or the like: save it as UTF-8"]);
    }
    assert_eq!(flaws(b"people:\n- id: a\n- id: ren\xe9\n"), ["3: has a character that is not UTF-8: save it as UTF-8"]);
    assert!(flaws(b"people:\n  - { id: a")[0].contains("is not readable as YAML"));
}

#[test]
fn one_bad_record_hides_no_other() {
    let text =
        "people:\n- { id: a, status: departed }\n- { id: ~ }\n- { id: c, groups: x }\n- { id: d, status: suspended }\n";
    let found = reading(text);
    assert_eq!(found.flaws.len(), 2);
    assert_eq!(out(text, true), ["a departed", "d suspended"]);
}

#[test]
fn only_what_is_complete_says_that_somebody_is_out() {
    let whole = "people:\n- id: ann\n  status: departed\n- id: bea\n- { id: cy, status: suspended }\n- id: dot\n  status: departed\n";
    assert_eq!(out(whole, true), ["ann departed", "cy suspended", "dot departed"]);
    // Whatever is there of it, nobody is out who is not out in the end.
    let mut told = 0;
    for end in 0..whole.len() {
        let beginning = whole.get(..end).unwrap();
        let found = out(beginning, false);
        assert!(out(whole, true).starts_with(&found), "{beginning:?}: {found:?}");
        assert!(found.len() >= told, "{beginning:?}: {found:?}");
        told = found.len();
    }
    assert_eq!(
        out("people:\n- { id: a, status: departed }\n- id: b\n  sta", false),
        ["a departed"],
        "another one follows"
    );
    assert_eq!(
        out("people: [{ id: a, status: departed }, { id: b }, { id: c, sta", false),
        ["a departed"],
        "in any style"
    );
    assert_eq!(out("people:\n- id: a\n  status: departed\n", false), [""; 0], "`departed-not` may be on its way");
    assert_eq!(out("people:\n- id: a\n  status: departed\n x", true), [""; 0]);
}

#[test]
fn there_is_no_limit_but_the_size() {
    let mut text = "people:\n- { id: x, groups: &all [staff, everyone] }\n".to_owned();
    for number in 0..35_000 {
        text += &format!("- {{ id: u{number}, email: u{number}@example.com, groups: *all }}\n");
    }
    text += "- { id: gone, status: departed }\n";
    let found = people(&text);
    assert_eq!(found.len(), 35_002);
    assert_eq!(found[35_000].groups, ["staff", "everyone"]);
    assert_eq!(found[35_001].status, Status::Departed);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("people:\n- id: x\n  groups: &a [g, g, g, g, g, g, g, g, g]\n");
    for (name, before) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e")] {
        let many = vec![format!("*{before}"); 9].join(", ");
        text += &format!("- id: {name}\n  groups: &{name} [{many}]\n");
    }
    let told = flaws(text.as_bytes());
    assert!(told.iter().any(|told| told.contains("aliases (`*name`) repeat more than 50000 values")), "{told:?}");
}
