//! The reader beside generated ones: on messages of Envoy's types, on the same damaged, and on bytes made up field by field.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::{
    Address, HeaderMap, HeaderValue, Metadata, SocketAddress, address, socket_address,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest, Peer, TlsSession};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::Request;
use super::reference::{by_envoys_types, by_parts};

/// Reads a message in every way.
///
/// The reader accepts what types with only the fields that it reads accept, and finds the same. Envoy's own types may
/// refuse more: the reader looks at nothing in a part that it skips, and nothing there can change a decision.
fn compare(message: &[u8]) -> Result<(), TestCaseError> {
    let ours = Request::decode(&message.to_vec().into());
    let (by_parts, by_envoys_types) = (by_parts(message), by_envoys_types(message));
    match (&ours, &by_parts, &by_envoys_types) {
        (Ok(request), Some(said), by_envoys_types) => {
            said.is_said_by(request).map_err(TestCaseError::fail)?;
            if let Some(by_envoys_types) = by_envoys_types {
                prop_assert_eq!(said, by_envoys_types);
            }
        }
        (Err(_), None, None) => {}
        _ => prop_assert!(false, "{ours:?} / {by_parts:?} / {by_envoys_types:?} of {message:02x?}"),
    }
    Ok(())
}

/// Names that meet one another: in other case, with `_`, as pseudo headers; and any text.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => proptest::sample::select(vec![
            "authorization", "Authorization", "x-api-key", "x_api_key", "X_api-key", ":path", ":authority", ":method",
            "cookie", "accept", "service", "",
        ]).prop_map(str::to_owned),
        1 => "[a-z_-]{1,8}",
        1 => "\\PC{0,6}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,12}", 1 => "\\PC{0,12}", 1 => "[\\x00-\\x1f]{0,3}", 1 => "[a-z]{120,140}"]
}

fn entries() -> impl Strategy<Value = HashMap<String, String>> {
    hash_map(name(), value(), 0..6)
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    let raw_value = vec(any::<u8>(), 0..6);
    let header = (name(), value(), raw_value).prop_map(|(key, value, raw_value)| HeaderValue { key, value, raw_value });
    vec(header, 0..6).prop_map(|headers| HeaderMap { headers })
}

fn peer() -> impl Strategy<Value = Peer> {
    let place = prop_oneof![Just("192.0.2.7".to_owned()), Just("2001:db8::7".to_owned()), value()];
    let address = option::of((any::<u32>(), place)).prop_map(|place| {
        place.map(|(port, address)| Address {
            address: Some(address::Address::SocketAddress(SocketAddress {
                address,
                port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
                ..SocketAddress::default()
            })),
        })
    });
    (address, value(), entries(), value(), value()).prop_map(|(address, service, labels, principal, certificate)| {
        Peer { address, service, labels, principal, certificate }
    })
}

fn http() -> impl Strategy<Value = HttpRequest> {
    let texts = (value(), name(), value(), value(), value(), value());
    let rest = (entries(), option::of(header_map()), any::<i64>(), vec(any::<u8>(), 0..8));
    (texts, rest).prop_map(|((id, method, path, host, query, body), (headers, header_map, size, raw_body))| {
        HttpRequest {
            id,
            method,
            path,
            host,
            query,
            body,
            headers,
            header_map,
            size,
            raw_body,
            scheme: "https".to_owned(),
            fragment: String::new(),
            protocol: "HTTP/2".to_owned(),
        }
    })
}

fn message() -> impl Strategy<Value = CheckRequest> {
    let request = (any::<bool>(), option::of(http())).prop_map(|(timed, http)| attribute_context::Request {
        time: timed.then_some(Timestamp { seconds: 1_800_000_000, nanos: 1 }),
        http,
    });
    let parts = (option::of(peer()), option::of(peer()), option::weighted(0.9, request), entries(), any::<bool>());
    parts.prop_map(|(source, destination, request, context_extensions, more)| CheckRequest {
        attributes: Some(AttributeContext {
            source,
            destination,
            request,
            context_extensions,
            metadata_context: more.then(Metadata::default),
            route_metadata_context: more.then(Metadata::default),
            tls_session: more.then(|| TlsSession { sni: "sni.example.com".to_owned() }),
        }),
    })
}

/// One damage to a message.
#[derive(Clone, Debug)]
enum Damage {
    /// Another byte in this place.
    Byte(usize, u8),
    /// Nothing behind this place.
    Cut(usize),
    /// These bytes more in this place.
    Insert(usize, Vec<u8>),
    /// So many bytes fewer from this place on.
    Remove(usize, usize),
    /// The bytes from one place to another, in a third once more.
    Repeat(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = 0_usize..4096;
    prop_oneof![
        4 => (place.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => place.clone().prop_map(Damage::Cut),
        2 => (place.clone(), field(2)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place.clone(), 1_usize..8).prop_map(|(at, many)| Damage::Remove(at, many)),
        1 => (place.clone(), place.clone(), place).prop_map(|(from, to, at)| Damage::Repeat(from, to, at)),
    ]
}

fn damaged(mut message: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let places = message.len() + 1;
    match damage {
        Damage::Byte(at, byte) => {
            if let Some(place) = message.get_mut(at % places) {
                *place = *byte;
            }
        }
        Damage::Cut(at) => message.truncate(at % places),
        Damage::Insert(at, bytes) => drop(message.splice(at % places..at % places, bytes.iter().copied())),
        Damage::Remove(at, many) => {
            let start = at % places;
            message.drain(start..(start + many).min(places - 1));
        }
        Damage::Repeat(from, to, at) => {
            let (from, to) = (from % places, to % places);
            let again = message[from.min(to)..from.max(to)].to_vec();
            message.splice(at % places..at % places, again);
        }
    }
    message
}

fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

fn keyed(field: u64, form: u64, value: Vec<u8>) -> Vec<u8> {
    [number(field << 3 | form), value].concat()
}

fn with_length(bytes: Vec<u8>) -> Vec<u8> {
    [number(bytes.len() as u64), bytes].concat()
}

/// A number of a field, mostly one that is read somewhere.
fn field_number() -> impl Strategy<Value = u64> {
    prop_oneof![9 => proptest::sample::select(vec![1_u64, 2, 3, 4, 5, 10, 13]), 2 => 0_u64..20, 1 => any::<u32>().prop_map(u64::from)]
}

/// A field with up to `depth` more within it; its length, form or number may be wrong.
fn field(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let leaf = prop_oneof![
        3 => (field_number(), "[a-z:_-]{0,9}").prop_map(|(at, text)| keyed(at, 2, with_length(text.into_bytes()))),
        1 => field_number().prop_map(|at| keyed(at, 2, with_length(b"service".to_vec()))),
        1 => (field_number(), vec(any::<u8>(), 0..4)).prop_map(|(at, bytes)| keyed(at, 2, with_length(bytes))),
        1 => (field_number(), any::<u64>()).prop_map(|(at, value)| keyed(at, 0, number(value))),
        1 => (field_number(), vec(0x7e_u8.., 1..12)).prop_map(|(at, bytes)| keyed(at, 0, bytes)),
        1 => (field_number(), any::<[u8; 8]>()).prop_map(|(at, bytes)| keyed(at, 1, bytes.to_vec())),
        1 => (field_number(), any::<[u8; 4]>()).prop_map(|(at, bytes)| keyed(at, 5, bytes.to_vec())),
        1 => (field_number(), 0_u64..8, vec(any::<u8>(), 0..4)).prop_map(|(at, form, bytes)| keyed(at, form, bytes)),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let within = vec(field(depth - 1), 0..5).prop_map(|fields| fields.concat());
    prop_oneof![
        1 => leaf,
        4 => (field_number(), within.clone()).prop_map(|(at, fields)| keyed(at, 2, with_length(fields))),
        1 => (field_number(), field_number(), within).prop_map(|(start, end, fields)| {
            let end = if end % 2 == 0 { end } else { start };
            [keyed(start, 3, fields), keyed(end, 4, Vec::new())].concat()
        }),
    ]
    .boxed()
}

/// Fields that are in the place where they are read, so that more of them is read than of others.
fn placed() -> impl Strategy<Value = Vec<u8>> {
    let at = |path: &'static [u64]| {
        field(2).prop_map(move |bytes| path.iter().rev().fold(bytes, |bytes, at| keyed(*at, 2, with_length(bytes))))
    };
    let paths: [&'static [u64]; 7] = [&[], &[1], &[1, 1], &[1, 10], &[1, 4, 2], &[1, 4, 2, 3], &[1, 4, 2, 13]];
    vec(proptest::sample::select(paths.to_vec()).prop_flat_map(at), 0..8).prop_map(|fields| fields.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn messages_of_envoys_types_are_read_alike(messages in vec(message(), 1..3)) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| message.encode_to_vec()).collect();
        prop_assert!(by_envoys_types(&bytes).is_some(), "one behind the other they are one, merged");
        compare(&bytes)?;
    }

    #[test]
    fn damaged_messages_are_read_alike(message in message(), damages in vec(damage(), 1..4)) {
        compare(&damages.iter().fold(message.encode_to_vec(), damaged))?;
    }

    #[test]
    fn fields_in_any_order_and_form_are_read_alike(message in placed()) {
        compare(&message)?;
    }

    #[test]
    fn any_bytes_are_read_alike(bytes in vec(any::<u8>(), 0..64)) {
        compare(&bytes)?;
    }
}

#[test]
fn what_is_wrong_is_refused_where_it_is_read_and_skipped_where_it_is_not() {
    let bad_text = || with_length(vec![0xff]);
    let within =
        |path: &[u64], bytes: Vec<u8>| path.iter().rev().fold(bytes, |all, at| keyed(*at, 2, with_length(all)));
    let accepts = |bytes: &[u8]| {
        compare(bytes).unwrap();
        Request::decode(&bytes.to_vec().into()).is_ok()
    };
    for read in [&[1, 1, 4][..], &[1, 2, 4], &[1, 10, 1], &[1, 10, 2], &[1, 4, 2, 2], &[1, 4, 2, 4], &[1, 4, 2, 5]] {
        let (last, path) = read.split_last().unwrap();
        assert!(!accepts(&within(path, keyed(*last, 2, bad_text()))), "not UTF-8: {read:?}");
        assert!(!accepts(&within(path, keyed(*last, 0, number(1)))), "a number: {read:?}");
        assert!(!accepts(&within(path, keyed(*last, 2, number(1)))), "longer than what it is in: {read:?}");
    }
    for skipped in [&[1, 1, 2][..], &[1, 1, 5], &[1, 4, 2, 1], &[1, 4, 2, 11], &[1, 12, 1], &[2, 1], &[1, 4, 2, 3, 3]] {
        let (last, path) = skipped.split_last().unwrap();
        assert!(accepts(&within(path, keyed(*last, 2, bad_text()))), "not UTF-8: {skipped:?}");
        let in_what_is_read = !matches!(path, [2] | [1, 12]);
        let longer = accepts(&within(path, keyed(*last, 2, number(1))));
        assert_eq!(longer, !in_what_is_read, "longer than what it is in: {skipped:?}");
    }
}

#[test]
fn numbers_and_groups_end_where_they_must() {
    for length in 1..12 {
        for last in [0, 1, 2, 0x7f, 0x80] {
            let mut bytes = vec![0xff; length];
            bytes.push(last);
            compare(&keyed(9, 0, bytes.clone())).unwrap();
            compare(&[bytes, vec![0]].concat()).unwrap();
        }
    }
    for depth in 95..105 {
        let groups = [vec![keyed(9, 3, Vec::new()); depth].concat(), vec![keyed(9, 4, Vec::new()); depth].concat()];
        compare(&groups.concat()).unwrap();
        let within = keyed(1, 2, with_length(keyed(4, 2, with_length(groups.concat()))));
        compare(&within).unwrap();
        assert_eq!(Request::decode(&groups.concat().into()).is_ok(), depth <= 100);
    }
}
