//! The parts of Envoy's `CheckRequest` that are read, with Envoy's field numbers.
//!
//! The rest of a message is skipped, whatever it contains: ports, certificates, labels, a body. A message within
//! another that comes twice is merged, and of a text that comes twice the last counts, as everywhere in proto3. The tests
//! write these messages with Envoy's own types.

use super::fields::{Field, Fields, NotACheckRequest, Span};

/// The key in `context_extensions` by which a route names its service (contract section 3).
const SERVICE_EXTENSION: &[u8] = b"service";
/// Room for the headers of most requests.
const HEADERS: usize = 24;

/// What a `CheckRequest` says, as positions in it.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// `attributes.context_extensions["service"]`
    pub(super) extension: Option<Span>,
    /// `attributes.source`
    pub(super) source: Peer,
    /// `attributes.destination`
    pub(super) destination: Peer,
    /// `attributes.request.http`
    pub(super) http: Option<Http>,
}

/// `AttributeContext.Peer`
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// `principal`
    pub(super) principal: Span,
    /// `address.socket_address.address`
    pub(super) address: Span,
}

/// `AttributeContext.HttpRequest`
#[derive(Debug, Default)]
pub(super) struct Http {
    /// `method`
    pub(super) method: Span,
    /// `path`
    pub(super) path: Span,
    /// `host`
    pub(super) host: Span,
    /// The entries of the map `headers`, as they were sent: of several with one name, the last counts.
    pub(super) mapped: Vec<Pair>,
    /// The headers in `header_map`, from a proxy with `encode_raw_headers`: repeated ones separately, in order.
    pub(super) raw: Vec<Pair>,
}

/// The name and value of a header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    /// Its name.
    pub(super) name: Span,
    /// Its value.
    pub(super) value: Span,
}

/// `envoy.service.auth.v3.CheckRequest`
pub(super) fn check(message: &[u8]) -> Result<Check, NotACheckRequest> {
    let mut check = Check::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => attributes(message, fields.message(field)?, &mut check)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(check)
}

/// `envoy.service.auth.v3.AttributeContext`
fn attributes(message: &[u8], mut fields: Fields<'_>, check: &mut Check) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => peer(fields.message(field)?, &mut check.source)?,
            2 => peer(fields.message(field)?, &mut check.destination)?,
            4 => asked(fields.message(field)?, &mut check.http)?,
            10 => {
                let extension = entry(&mut fields, field)?;
                if extension.name.of(message) == SERVICE_EXTENSION {
                    check.extension = Some(extension.value);
                }
            }
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// `AttributeContext.Peer`
fn peer(mut fields: Fields<'_>, peer: &mut Peer) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => address(fields.message(field)?, &mut peer.address)?,
            4 => peer.principal = fields.text(field)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// `envoy.config.core.v3.Address`
fn address(mut fields: Fields<'_>, found: &mut Span) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => socket_address(fields.message(field)?, found)?,
            // A pipe, or a listener within Envoy: of the three, the last counts.
            2 | 3 => {
                skipped(fields.message(field)?)?;
                *found = Span::default();
            }
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// A message of which nothing is read.
fn skipped(mut fields: Fields<'_>) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        fields.skip(field)?;
    }
    Ok(())
}

/// `envoy.config.core.v3.SocketAddress`
fn socket_address(mut fields: Fields<'_>, found: &mut Span) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            2 => *found = fields.text(field)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// `AttributeContext.Request`
fn asked(mut fields: Fields<'_>, http: &mut Option<Http>) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            2 => attributes_of_http(fields.message(field)?, http.get_or_insert_default())?,
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

fn attributes_of_http(mut fields: Fields<'_>, http: &mut Http) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            2 => http.method = fields.text(field)?,
            3 => add(&mut http.mapped, entry(&mut fields, field)?),
            4 => http.path = fields.text(field)?,
            5 => http.host = fields.text(field)?,
            13 => raw_headers(fields.message(field)?, &mut http.raw)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// An entry of a `map<string, string>`.
fn entry(outer: &mut Fields<'_>, field: Field) -> Result<Pair, NotACheckRequest> {
    let mut fields = outer.message(field)?;
    let mut pair = Pair::default();
    while let Some(field) = fields.next()? {
        match field.number {
            1 => pair.name = fields.text(field)?,
            2 => pair.value = fields.text(field)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(pair)
}

/// `envoy.config.core.v3.HeaderMap`
fn raw_headers(mut fields: Fields<'_>, raw: &mut Vec<Pair>) -> Result<(), NotACheckRequest> {
    while let Some(field) = fields.next()? {
        match field.number {
            1 => add(raw, raw_header(fields.message(field)?)?),
            _ => fields.skip(field)?,
        }
    }
    Ok(())
}

/// `envoy.config.core.v3.HeaderValue`: the value is in one of two fields.
fn raw_header(mut fields: Fields<'_>) -> Result<Pair, NotACheckRequest> {
    let (mut name, mut text, mut bytes) = <(Span, Span, Span)>::default();
    while let Some(field) = fields.next()? {
        match field.number {
            1 => name = fields.text(field)?,
            2 => text = fields.text(field)?,
            3 => bytes = fields.value(field)?,
            _ => fields.skip(field)?,
        }
    }
    Ok(Pair { name, value: if bytes.is_empty() { text } else { bytes } })
}

fn add(pairs: &mut Vec<Pair>, pair: Pair) {
    if pairs.is_empty() {
        pairs.reserve(HEADERS);
    }
    pairs.push(pair);
}
