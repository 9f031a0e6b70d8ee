//! LDAP controls that the library does not know, or on which it panics if they are malformed.

use ldap3::asn1::{
    ASNTag as _, Integer, OctetString, Sequence, StructureTag, Tag, TagClass, Types, parse_tag, parse_uint, write,
};
use ldap3::controls::RawControl;

use super::entry::{Key, constructed, primitive};

/// Active Directory's control for reading changes.
pub(super) const DIRSYNC: &str = "1.2.840.113556.1.4.841";
/// Active Directory's control that makes deleted entries visible.
pub(super) const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// RFC 4533: the state of an entry.
pub(super) const SYNC_STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const SYNC_INFO: &[u8] = b"1.3.6.1.4.1.4203.1.9.1.4";
/// The most bytes of one answer.
const DIRSYNC_BYTES: i64 = 1 << 20;

fn sequence(value: &[u8]) -> Option<Vec<StructureTag>> {
    constructed(parse_tag(value).ok()?.1)
}

fn number(tag: StructureTag) -> Option<u64> {
    parse_uint(&primitive(tag)?).ok().map(|(_, number)| number)
}

fn is(tag: &StructureTag, kind: Types) -> bool {
    tag.class == TagClass::Universal && tag.id == kind as u64
}

/// Where the next page begins; empty after the last one.
pub(super) fn page_cookie(value: &[u8]) -> Option<Vec<u8>> {
    primitive(sequence(value)?.into_iter().nth(1)?)
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyncState {
    pub(super) key: Key,
    /// The entry is unchanged and only named, in a present phase.
    pub(super) present: bool,
    pub(super) deleted: bool,
    pub(super) cookie: Option<Vec<u8>>,
}

/// Reads the control that comes with an entry.
pub(super) fn sync_state(value: &[u8]) -> Option<SyncState> {
    let mut parts = sequence(value)?.into_iter();
    let state = number(parts.next()?)?;
    let key = Key::of_uuid(&primitive(parts.next()?)?)?;
    let cookie = match parts.next() {
        Some(tag) => Some(primitive(tag)?),
        None => None,
    };
    (state <= 3).then_some(SyncState { key, present: state == 0, deleted: state == 3, cookie })
}

/// What a server says between entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncInfo {
    pub(super) cookie: Option<Vec<u8>>,
    /// A phase ended: `true` for a present phase, `false` for one that names deletions.
    pub(super) phase: Option<bool>,
    /// The refresh ended with it.
    pub(super) done: bool,
    /// The keys of deleted entries.
    pub(super) deleted: Vec<Key>,
}

/// Reads an intermediate message; `None` if it is malformed. A message about something else yields nothing.
pub(super) fn sync_info(message: StructureTag) -> Option<SyncInfo> {
    let mut parts = constructed(message)?.into_iter();
    if primitive(parts.next()?)? != SYNC_INFO {
        return Some(SyncInfo::default());
    }
    let (_, choice) = parse_tag(&primitive(parts.next()?)?).ok().map(|(rest, tag)| (rest.len(), tag))?;
    if choice.id == 0 {
        return Some(SyncInfo { cookie: Some(primitive(choice)?), ..SyncInfo::default() });
    }
    let (id, mut cookie, mut flag, mut keys) = (choice.id, None, None, Vec::new());
    for part in constructed(choice)? {
        if is(&part, Types::OctetString) {
            cookie = Some(primitive(part)?);
        } else if is(&part, Types::Boolean) {
            flag = Some(primitive(part)?.first().is_some_and(|byte| *byte != 0));
        } else if is(&part, Types::Set) {
            keys =
                constructed(part)?.into_iter().map(|key| Key::of_uuid(&primitive(key)?)).collect::<Option<Vec<_>>>()?;
        } else {
            return None;
        }
    }
    Some(match id {
        1 | 2 => SyncInfo { cookie, phase: Some(id == 2), done: flag.unwrap_or(true), deleted: Vec::new() },
        // Without `refreshDeletes` these entries still exist.
        3 => SyncInfo { cookie, deleted: if flag == Some(true) { keys } else { Vec::new() }, ..SyncInfo::default() },
        _ => return None,
    })
}

/// Requests changes since a cookie; with an empty one, everything.
pub(super) fn dirsync(cookie: &[u8]) -> RawControl {
    let integer = |inner: i64| Tag::Integer(Integer { inner, ..Integer::default() });
    let cookie = Tag::OctetString(OctetString { inner: cookie.to_vec(), ..OctetString::default() });
    let inner = vec![integer(0), integer(DIRSYNC_BYTES), cookie];
    let value = Tag::Sequence(Sequence { inner, ..Sequence::default() }).into_structure();
    RawControl { ctype: DIRSYNC.to_owned(), crit: true, val: encoded(value) }
}

/// Whether there is more, and the cookie for that or for later changes.
pub(super) fn dirsync_answer(value: &[u8]) -> Option<(bool, Vec<u8>)> {
    let mut parts = sequence(value)?.into_iter();
    let more = number(parts.next()?)? != 0;
    Some((more, primitive(parts.nth(1)?)?))
}

/// Makes deleted entries visible.
pub(super) fn show_deleted() -> RawControl {
    RawControl { ctype: SHOW_DELETED.to_owned(), crit: true, val: None }
}

fn encoded(tag: StructureTag) -> Option<Vec<u8>> {
    let mut buffer = Default::default();
    write::encode_into(&mut buffer, tag).ok()?;
    Some(buffer.to_vec())
}
