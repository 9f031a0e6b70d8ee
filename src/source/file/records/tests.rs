use super::*;

fn reading(text: &str) -> Reading {
    read("hr", text.as_bytes(), true)
}

fn people(text: &str) -> Vec<Person> {
    let reading = reading(text);
    assert_eq!(reading.flaws, [], "{text:?}");
    reading.people
}

fn flaws(text: &[u8]) -> Vec<String> {
    read("hr", text, true).flaws.into_iter().map(|flaw| format!("{}: {}", flaw.line, flaw.what)).collect()
}

fn said_out(bytes: &[u8], end_is_known: bool) -> Vec<String> {
    let reading = read("hr", bytes, end_is_known);
    reading.out(end_is_known).into_iter().map(|(person, status)| format!("{} {}", person.key, status.word())).collect()
}

fn out(text: &str, end_is_known: bool) -> Vec<String> {
    said_out(text.as_bytes(), end_is_known)
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
        ("people:\n- { id: a }\n- { email: b }\n", "3: record 2: has no `id`: every record needs one"),
        ("people:\n- { id: null }\n", "2: record 1: has no `id`: every record needs one"),
        ("people:\n- { id: '' }\n", "2: record 1: has no `id`: every record needs one"),
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
            "3: record 1 (`a`): `stauts` is not a key of a person: the keys are id, email, username, status, groups",
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
    assert_eq!(out("people:\n- id: a\n  status: departed\n   x", true), [""; 0], "and here it came");
}

#[test]
fn a_mistake_in_a_leavers_own_record_keeps_nobody_in() {
    for record in [
        "{ id: gil, status: departed, last_day: 2027-01-05 }",
        "{ id: gil, groups: legal, status: departed }",
        "{ id: gil, username: { x: y }, status: departed }",
        "{ status: departed, id: gil, [x]: y }",
        "{ id: gil, status: departed, ~: y }",
        "{ id: gil, status: active, status: departed }",
        "{ id: gil, status: departed, status: active }",
        "{ id: gil, status: Departed }",
        "{ id: gil, email: g@example.com, email: h@example.com, status: suspended, status: departed }",
    ] {
        for text in [format!("people:\n- {{ id: hal }}\n- {record}\n"), format!("people: [{record}, {{ id: hal }}]")] {
            assert!(!reading(&text).flaws.is_empty(), "{text}");
            assert_eq!(out(&text, true), ["gil departed"], "{text}");
        }
        let written = format!("people:\n- {record}\n");
        assert_eq!(out(&written, false), [""; 0], "it may go on: {written}");
        assert_eq!(out(&format!("{written}- id: hal"), false), ["gil departed"], "{written}");
    }
    let text = "people:\n- { id: gil, id: hal, status: suspended }\n";
    assert_eq!(out(text, true), ["gil suspended", "hal suspended"], "who is meant nobody knows");
    for text in ["{ id: gil, status: gone }", "{ id: [gil], status: departed }", "{ id: gil, note: departed }"] {
        assert_eq!(out(&format!("people:\n- {text}\n"), true), [""; 0], "{text}");
    }
}

#[test]
fn whoever_stands_twice_is_out_if_either_says_so() {
    let rows = ["{ id: gil }", "{ id: gil, status: departed }", "{ id: gil, status: suspended }"];
    for (order, expected) in [
        ([0, 1], "gil departed"),
        ([1, 0], "gil departed"),
        ([0, 2], "gil suspended"),
        ([2, 0], "gil suspended"),
        ([1, 2], "gil departed"),
        ([2, 1], "gil departed"),
    ] {
        let text = format!("people:\n- {}\n- {}\n", rows[order[0]], rows[order[1]]);
        assert!(!reading(&text).flaws.is_empty());
        assert_eq!(out(&text, true), [expected], "{text}");
    }
}

#[test]
fn what_is_no_text_hides_nobody_else() {
    let latin = b"people:\n- { id: a, username: Ren\xe9e }\n- { id: gil, status: departed }\n- { id: z\xfc, status: departed }\n";
    assert_eq!(flaws(latin), ["2: has a character that is not UTF-8: save it as UTF-8"]);
    assert_eq!(said_out(latin, true), ["gil departed"], "whom the last one means nobody knows");
    assert_eq!(said_out(latin, false), ["gil departed"]);
    let sent = "people:\n- { id: \u{fffd}, status: departed }\n";
    assert_eq!(out(sent, true), ["\u{fffd} departed"], "in a sound file it is an id like any other");

    let text = "people:\n- { id: gil, status: departed }\n- { id: hal }\n";
    for mark in ["", "\u{feff}"] {
        let marked = format!("{mark}{text}");
        for bytes in
            [u16::to_le_bytes, u16::to_be_bytes].map(|unit| marked.encode_utf16().flat_map(unit).collect::<Vec<u8>>())
        {
            assert_eq!(flaws(&bytes), ["1: is not UTF-8 but UTF-16 or the like: save it as UTF-8"]);
            assert_eq!(said_out(&bytes, true), ["gil departed"]);
        }
    }
}

#[test]
fn what_stands_before_a_fault_is_read() {
    let styles = [
        ["people:\n- { id: gil, status: departed }\n- { id: hal }\n", ""],
        ["people:\n- id: gil\n  status: departed\n- id: hal\n", ""],
        ["people:\n- id: hal\n- id: gil\n  status: departed\n", ""],
        ["people: [{ id: gil, status: departed }, { id: hal }", "]"],
        ["{\"people\": [{\"id\": \"gil\", \"status\": \"departed\"}, {\"id\": \"hal\"}", "]}"],
    ];
    let faults =
        ["\0\0\0\0\0\0\0\0", "\n---\npeople: []\n", "\n...\nfoo: bar\n", "\n\u{7}\n", "\n@\n", "\n% }\n", "\n\"\n"];
    for ([text, closer], fault) in styles.iter().flat_map(|style| faults.map(|fault| (style, fault))) {
        for text in [format!("{text}{fault}{closer}"), format!("{text}{closer}{fault}")] {
            assert!(!reading(&text).flaws.is_empty(), "{text:?}");
            assert_eq!(out(&text, true), ["gil departed"], "{text:?}");
        }
    }
    for record in [
        "{ id: gil, status: departed, email: @x }",
        "{ id: gil, status: departed, groups: [a, b }",
        "{ id: gil, status: departed, groups: *nobody }",
        "{ id: gil, status: departed, username: \"g }",
        "{ id: gil, status: departed",
        "id: gil\n  status: departed\n  email: @x",
        "id: gil\n  status: departed\n\temail: x",
        "id: gil\n  status: departed\n email: x",
        "id: gil\n  status: departed\n  groups: [a, b",
        "id: gil\n  status: departed\n  email: !!binary x",
        "id: gil\n  status: departed\n  <<: [x]",
    ] {
        let text = format!("people:\n- {{ id: hal }}\n- {record}\n- {{ id: ivo }}\n");
        assert!(!reading(&text).flaws.is_empty(), "{text}");
        assert_eq!(out(&text, true), ["gil departed"], "{text}");
    }
    let text =
        "{\"people\":[{\"id\":\"gil\",\"status\":\"departed\"},{\"id\":\"hal\",\"status\":\"departed\",\"email\":\"h";
    assert_eq!(out(text, true), ["gil departed", "hal departed"]);
}

#[test]
fn an_id_that_a_fault_may_have_cut_short_is_nobodys() {
    for text in [
        "people:\n- { id: ivo }\n- status: departed\n  id: gil\0bert\n",
        "people:\n- { id: ivo }\n- status: departed\n  id: gil\n    \u{7}bert\n",
        "people: [{ id: ivo }, { status: departed, id: gil",
        "people: [{ id: ivo }, { status: departed, id: gil\0bert }]",
    ] {
        assert!(!reading(text).flaws.is_empty(), "{text:?}");
        assert_eq!(out(text, true), [""; 0], "{text:?}");
    }
}

#[test]
fn records_in_the_wrong_place_say_who_is_out() {
    for text in [
        "people:\n- { id: hal }\npeople:\n- { id: gil, status: departed }\n",
        "peple:\n- { id: gil, status: departed }\n",
        "- { id: gil, status: departed }\n",
        "people: { id: gil, status: departed }\n",
        "people: { first: { id: gil, status: departed } }\n",
        "people: [{ id: hal }]\nleft: { id: gil, status: departed }\n",
    ] {
        assert!(!reading(text).flaws.is_empty(), "{text}");
        assert_eq!(out(text, true), ["gil departed"], "{text}");
        assert_eq!(out(text, false), [""; 0], "it may go on: {text}");
    }
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
