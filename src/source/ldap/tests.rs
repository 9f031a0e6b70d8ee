//! What no server here can show: the shapes of Active Directory, as its documents give them, and both phases of RFC 4533.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ldap3::asn1::{PL, StructureTag, TagClass};

use super::ber::{self, SyncInfo};
use super::cursor::Cursor;
use super::entry::{Entry, Key, as_generalized_time, file_time, generalized_time};
use super::follow::{Hints, Told};
use super::groups::{Group, Member, Tree, primary, range};
use super::status::{password_changed, standing};
use super::*;
use crate::domain::person::Status;
use crate::domain::time::Now;

const NOW: &str = "2026-11-25T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn entry(dn: &str, attributes: &[(&str, &str)]) -> Entry {
    let mut all: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in attributes {
        all.entry(name.to_ascii_lowercase()).or_default().push(value.as_bytes().to_vec());
    }
    Entry { dn: dn.to_owned(), attributes: all }
}

pub(super) fn client(flavor: Flavor) -> Client {
    let server = Server {
        url: "ldap://127.0.0.1:1".to_owned(),
        start_tls: false,
        ca_file: None,
        bind_dn: "cn=sync".to_owned(),
        bind_password_file: "/nowhere".into(),
        timeout: Duration::from_secs(1),
    };
    let settings = Settings {
        name: "ad".to_owned(),
        server,
        base_dn: "DC=example,DC=org".to_owned(),
        people_dn: "DC=example,DC=org".to_owned(),
        people_filter: None,
        flavor,
        sync: Sync::Poll,
        attributes: BTreeSet::from(["uid".to_owned()]),
    };
    Client::new(settings, Arc::new(|| Now { wall: now(), steady: now() }))
}

/// What an entry has, what it amounts to, and until when.
type Case = (Flavor, &'static [(&'static str, &'static str)], Status, Option<&'static str>);

#[test]
fn status_by_the_rules_of_each_server() {
    let cases: &[Case] = &[
        (Flavor::OpenLdap, &[], Status::Active, None),
        (Flavor::OpenLdap, &[("pwdAccountLockedTime", "000001010000Z")], Status::Suspended, None),
        (Flavor::OpenLdap, &[("pwdAccountLockedTime", "20261125115900Z")], Status::Active, None),
        (Flavor::OpenLdap, &[("pwdEndTime", "20261125115900Z")], Status::Suspended, None),
        (Flavor::OpenLdap, &[("pwdEndTime", "20261125120100Z")], Status::Active, Some("2026-11-25T12:01:00Z")),
        (Flavor::OpenLdap, &[("pwdStartTime", "20261125120100Z")], Status::Suspended, Some("2026-11-25T12:01:00Z")),
        (
            Flavor::OpenLdap,
            &[("pwdStartTime", "20261124000000Z"), ("pwdEndTime", "20261124000000Z")],
            Status::Suspended,
            None,
        ),
        (Flavor::OpenLdap, &[("nsAccountLock", "TRUE")], Status::Suspended, None),
        (Flavor::OpenLdap, &[("shadowExpire", "-1")], Status::Active, None),
        (Flavor::OpenLdap, &[("shadowExpire", "0")], Status::Suspended, None),
        (Flavor::OpenLdap, &[("shadowExpire", "20782")], Status::Suspended, None),
        (Flavor::OpenLdap, &[("shadowExpire", "20783")], Status::Active, Some("2026-11-26T00:00:00Z")),
        (
            Flavor::OpenLdap,
            &[("shadowLastChange", "20000"), ("shadowMax", "90"), ("shadowInactive", "7")],
            Status::Suspended,
            None,
        ),
        (Flavor::OpenLdap, &[("shadowLastChange", "20000"), ("shadowMax", "90")], Status::Active, None),
        (
            Flavor::OpenLdap,
            &[("shadowLastChange", "0"), ("shadowMax", "30"), ("shadowInactive", "3")],
            Status::Active,
            None,
        ),
        (
            Flavor::OpenLdap,
            &[("shadowLastChange", "1"), ("shadowMax", "30"), ("shadowInactive", "3")],
            Status::Suspended,
            None,
        ),
        (Flavor::Ad, &[("userAccountControl", "512")], Status::Active, None),
        (Flavor::Ad, &[("userAccountControl", "514")], Status::Suspended, None),
        (Flavor::Ad, &[("userAccountControl", "66050")], Status::Suspended, None),
        (Flavor::Ad, &[("userAccountControl", "512"), ("accountExpires", "0")], Status::Active, None),
        (Flavor::Ad, &[("accountExpires", "9223372036854775807")], Status::Active, None),
        (Flavor::Ad, &[("accountExpires", "9223372032559808511")], Status::Active, None),
        (Flavor::Ad, &[("accountExpires", "-1")], Status::Active, None),
        (Flavor::Ad, &[("accountExpires", "2647312416000000000")], Status::Active, Some("9990-01-01T00:00:00Z")),
        (Flavor::Ad, &[("accountExpires", "134085888000000000")], Status::Suspended, None),
        (Flavor::Ad, &[("accountExpires", "134401248000000000")], Status::Active, Some("2026-11-26T00:00:00Z")),
    ];
    for (flavor, attributes, status, until) in cases {
        let found = standing(&entry("cn=x", attributes), *flavor, now());
        assert_eq!((found.status, found.until), (*status, until.map(|text| text.parse().unwrap())), "{attributes:?}");
    }
}

#[test]
fn an_account_that_expires_is_looked_at_again_by_itself() {
    let mut client = client(Flavor::Ad);
    let (one, other) = (Key::of_uuid(&[1; 16]).unwrap(), Key::of_uuid(&[2; 16]).unwrap());
    client.timers.extend([(now(), one), (now().plus(Duration::from_secs(1)), other)]);
    assert_eq!(client.due(), [one]);
    assert_eq!(client.due(), []);
}

#[test]
fn times_and_keys_as_they_are_written() {
    assert_eq!(generalized_time("20261125120000Z"), Some(now()));
    assert_eq!(generalized_time("20261125120000.5Z"), Some(now().plus(Duration::from_millis(500))));
    assert_eq!(generalized_time("202611251200Z"), Some(now()));
    assert_eq!(generalized_time("20261125133000+0130"), Some(now()));
    assert_eq!(generalized_time("2026112507-05"), Some(now()));
    assert_eq!(as_generalized_time(now()), "20261125120000Z");
    for bad in ["20261125120000", "2026112512000Z", "20261325120000Z", "x0261125120000Z", ""] {
        assert_eq!(generalized_time(bad), None, "{bad}");
    }
    assert_eq!(file_time(116_444_736_000_000_000), Some(Timestamp::from_secs(0)));
    let guid = [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let key = Key::of_guid(&guid).unwrap();
    assert_eq!(key.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!(Key::parse(&key.to_string()), Some(key));
    assert!(key.guid_filter().starts_with("\\33\\22\\11\\00\\55\\44\\77\\66\\88"));
    for bad in ["", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef*"] {
        assert_eq!(Key::parse(bad), None, "{bad}");
    }
    let set = entry("cn=x", &[("pwdLastSet", "134085888000000000"), ("pwdChangedTime", "20261120000000Z")]);
    assert_eq!(password_changed(&set, Flavor::Ad, now()), None, "long ago");
    assert_eq!(password_changed(&set, Flavor::OpenLdap, now()), generalized_time("20261120000000Z"));
}

#[test]
fn a_person_of_active_directory() {
    let mut client = client(Flavor::Ad);
    let mut group = entry("CN=Domain Users,DC=example,DC=org", &[("objectClass", "group"), ("cn", "Domain Users")]);
    let domain = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 9, 9, 9, 9];
    group.attributes.insert("objectsid".to_owned(), vec![[&domain[..], &513_u32.to_le_bytes()].concat()]);
    let mut tree = Tree::default();
    tree.put(Key::of_uuid(&[9; 16]).unwrap(), Group::read(&group).unwrap());
    *client.groups.counting_mut() = Some(tree);
    let mut alice = entry(
        "CN=Alice,OU=Staff,DC=example,DC=org",
        &[
            ("sAMAccountName", "alice"),
            ("mail", "alice@example.org"),
            ("primaryGroupID", "513"),
            ("objectClass", "user"),
            ("userAccountControl", "512"),
        ],
    );
    alice.attributes.insert("objectsid".to_owned(), vec![[&domain[..], &1104_u32.to_le_bytes()].concat()]);
    assert!(primary(&alice, Flavor::Ad).is_some() && primary(&alice, Flavor::OpenLdap).is_none());
    let key = Key::of_uuid(&[1; 16]).unwrap();
    let person = client.person(key, &alice).unwrap().unwrap();
    assert_eq!((person.values("uid").next(), person.values("username").next()), (Some("alice"), Some("alice")));
    assert_eq!(person.groups, ["CN=Domain Users,DC=example,DC=org", "Domain Users"]);
    let control = alice.attributes.remove("useraccountcontrol");
    let error = client.person(key, &alice).unwrap_err().to_string();
    assert!(error.contains("userAccountControl"), "a right that is gone enables nobody: {error}");
    alice.attributes.extend(control.map(|control| ("useraccountcontrol".to_owned(), control)));
    alice.attributes.insert("isdeleted".to_owned(), vec![b"TRUE".to_vec()]);
    assert_eq!(client.person(key, &alice).unwrap(), None, "a tombstone is nobody");
    assert_eq!(range("member;range=0-1499"), Some(("member", Some(1500))));
    assert_eq!(range("member;range=1500-*"), Some(("member", None)));
    assert_eq!((range("member"), range("member;range=x-y")), (None, None));
}

/// RFC 4517 section 3.3.21: an identifier may stand behind the name, and a `#` in the name is not escaped.
#[test]
fn a_unique_member_with_an_identifier() {
    for (value, dn) in [
        ("uid=ann,ou=People,dc=x#'0110'B", "uid=ann,ou=people,dc=x"),
        ("uid=ann,ou=people,dc=x#''B", "uid=ann,ou=people,dc=x"),
        ("cn=c#,ou=people,dc=x#'1'B", "cn=c#,ou=people,dc=x"),
        ("cn=c#2,ou=people,dc=x", "cn=c#2,ou=people,dc=x"),
        ("cn=c,o=a#'012'B", "cn=c,o=a#'012'B"),
        ("cn=c,o=a#'01'b", "cn=c,o=a#'01'b"),
    ] {
        let group = entry("cn=g", &[("objectClass", "groupOfUniqueNames"), ("cn", "g"), ("uniqueMember", value)]);
        let mut tree = Tree::default();
        tree.put(Key::of_uuid(&[1; 16]).unwrap(), Group::read(&group).unwrap());
        assert_eq!(tree.flat([Member::called(dn)]), ["cn=g", "g"], "{value}");
    }
}

#[test]
fn groups_in_groups_and_whose_change_is_whose() {
    let key = |number: u8| Key::of_uuid(&[number; 16]).unwrap();
    let group = |name: &str, ou: &str, members: &[&str]| {
        let mut all = vec![("objectClass", "groupOfNames"), ("cn", name)];
        all.extend(members.iter().map(|member| ("member", *member)));
        Group::read(&entry(&format!("cn={name},ou={ou}"), &all)).unwrap()
    };
    let member = Member::called;
    let mut tree = Tree::default();
    assert_eq!(tree.change(key(1), Some(group("eng", "g", &["uid=a", "cn=core,ou=g"]))).len(), 2);
    assert_eq!(
        tree.change(key(2), Some(group("core", "g", &["UID=B", "cn=eng,ou=g"]))),
        [member("uid=a"), member("uid=b")]
    );
    assert_eq!(tree.flat([member("uid=b")]), ["cn=core,ou=g", "cn=eng,ou=g", "core", "eng"]);
    assert_eq!(tree.change(key(2), Some(group("core", "g", &["uid=b", "cn=eng,ou=g"]))), [], "nothing changed");
    // A name that two groups have is nobody's.
    assert_eq!(
        tree.change(key(3), Some(group("Core", "elsewhere", &["uid=c"]))),
        [member("uid=a"), member("uid=b"), member("uid=c")]
    );
    assert_eq!(tree.flat([member("uid=c")]), ["cn=Core,ou=elsewhere"]);
    assert_eq!(tree.change(key(3), None).len(), 3);
    // What was a group may be anything now.
    assert_eq!(tree.change(key(2), None), [member("cn=core,ou=g"), member("uid=a"), member("uid=b")]);
    assert_eq!(tree.flat([member("uid=b")]), Vec::<String>::new());
    let unix = Group::read(&entry("cn=u", &[("objectClass", "posixGroup"), ("cn", "u"), ("memberUid", "a")])).unwrap();
    assert_eq!(tree.change(key(4), Some(unix)), [Member::Uid("a".to_owned())]);
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    [&[4, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// An intermediate message with this value.
fn info(value: Vec<u8>) -> StructureTag {
    let part = |id, bytes| StructureTag { class: TagClass::Context, id, payload: PL::P(bytes) };
    let parts = vec![part(0, b"1.3.6.1.4.1.4203.1.9.1.4".to_vec()), part(1, value)];
    StructureTag { class: TagClass::Application, id: 25, payload: PL::C(parts) }
}

#[tokio::test]
async fn a_phase_says_who_is_gone_or_who_is_there() {
    let uuid = [7; 16];
    let set = |deletes: &[u8]| {
        let keys = octets(&uuid);
        let inner = [deletes, &[0x31, 18], &keys].concat();
        info([&[0xa3, u8::try_from(inner.len()).unwrap()], inner.as_slice()].concat())
    };
    let deleted = ber::sync_info(set(&[1, 1, 0xff])).unwrap();
    assert_eq!(deleted.deleted, [Key::of_uuid(&uuid).unwrap()]);
    // The same message without that flag names whoever is still there.
    let present = ber::sync_info(set(&[])).unwrap();
    assert_eq!(present, SyncInfo::default());
    let delete_phase = ber::sync_info(info(vec![0xa1, 3, 4, 1, b'c'])).unwrap();
    assert_eq!(
        (delete_phase.phase, delete_phase.done, delete_phase.cookie.as_deref()),
        (Some(false), true, Some(&b"c"[..]))
    );
    let present_phase = ber::sync_info(info(vec![0xa2, 3, 1, 1, 0])).unwrap();
    assert_eq!((present_phase.phase, present_phase.done), (Some(true), false));
    for junk in [vec![], vec![0xa3], vec![0xa1, 2, 5, 0], vec![0xa9, 0], vec![0xa3, 4, 0x31, 2, 4, 0]] {
        assert_eq!(ber::sync_info(info(junk.clone())), None, "{junk:?}");
    }

    let mut client = client(Flavor::OpenLdap);
    let mut hints = Hints::default();
    client.take(Told::Info(deleted), &mut hints).await.unwrap();
    client.take(Told::Info(delete_phase), &mut hints).await.unwrap();
    assert!(hints.touched.len() == 1 && !hints.resync && client.refreshed, "exactly whom it named");
    assert_eq!(hints.cursor, Some(Cursor::Sync("Yw==".to_owned())));
    let mut hints = Hints::default();
    client.take(Told::Info(present), &mut hints).await.unwrap();
    client.take(Told::Info(present_phase), &mut hints).await.unwrap();
    assert!(hints.touched.is_empty() && hints.resync, "a listing tells who is not there");
}

#[test]
fn controls_byte_by_byte() {
    let state = [&[0x30, 21, 10, 1, 3][..], &octets(&[7; 16])].concat();
    let found = ber::sync_state(&state).unwrap();
    assert!(found.deleted && !found.present && found.cookie.is_none());
    for length in 0..state.len() {
        assert_eq!(ber::sync_state(&state[..length]), None, "cut off at {length}");
    }
    let request = ber::dirsync(b"ab");
    assert!(request.crit && request.ctype == "1.2.840.113556.1.4.841");
    assert_eq!(request.val.unwrap(), [0x30, 12, 2, 1, 0, 2, 3, 0x10, 0, 0, 4, 2, b'a', b'b']);
    assert_eq!(ber::dirsync_answer(&[0x30, 9, 2, 1, 1, 2, 1, 0, 4, 1, b'c']), Some((true, b"c".to_vec())));
    assert_eq!(ber::dirsync_answer(&[0x30, 8, 2, 1, 0, 2, 1, 0, 4, 0]), Some((false, vec![])));
    assert_eq!((ber::dirsync_answer(b"junk"), ber::page_cookie(&[])), (None, None));
    assert_eq!(ber::page_cookie(&[0x30, 6, 2, 1, 0, 4, 1, b'x']), Some(b"x".to_vec()));
}

/// A server might repeat what it was sent; only what it cannot have got from there is shown of its answer to a password.
#[test]
fn what_a_server_says_is_bounded_and_never_a_password() {
    let said = |step: &'static str, text: &str| failure::refused(step, 49, text).to_string();
    let own = said(failure::BIND, "");
    let windows = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1";
    assert_eq!(said(failure::BIND, windows), format!("{own}: data 52e"));
    for text in ["hunter2", "data hunter2", "data hunter2, v1db1", "invalid data deadbeefdeadbeef, x", "data "] {
        assert_eq!(said(failure::BIND, text), own, "{text}");
    }
    let text = said("list people", &format!("line\r\n{}", "x".repeat(1_000)));
    assert!(text.contains(": linexxx") && text.chars().filter(|c| *c == 'x').count() < 200, "{text}");
}

#[test]
fn a_member_in_another_spelling_is_the_same_entry() {
    let of = |member: &str, name: &str| {
        let group = entry("cn=g,dc=x", &[("objectClass", "groupOfNames"), ("cn", "g"), ("member", member)]);
        let mut tree = Tree::default();
        tree.put(Key::of_uuid(&[9; 16]).unwrap(), Group::read(&group).unwrap());
        !tree.flat([Member::called(name)]).is_empty()
    };
    for member in [
        "cn=Zoe\u{308} O\u{301}x,ou=staff,dc=x",
        "CN = zo\u{eb}  \u{f3}X , OU=Staff,DC=X",
        "cn=Zo\\c3\\ab \\c3\\b3x,ou=staff,dc=x",
    ] {
        assert!(of(member, "cn=Zo\u{eb} \u{f3}x,ou=staff,dc=x"), "{member}");
    }
    assert!(!of("uid=\u{212a}im,dc=x", "uid=kim,dc=x"), "a letter that was another character is nobody's right");
    assert!(!of("cn=Zoe \u{f3}x,ou=staff,dc=x", "cn=Zo\u{eb} \u{f3}x,ou=staff,dc=x"));
}
