//! An outgoing message: the prefix of gRPC, then protobuf, written straight into the bytes that are sent.
//!
//! Written by hand because answers are only written here, never read: built as a tree of maps and strings, one cost more
//! than the decision. The tests read it with Envoy's own types. Source: Protocol Buffers, "Encoding".

/// The bytes before a message: a compression flag (1) and the length (4).
pub(super) const PREFIX: usize = 5;

/// The wire type of numbers.
const VARINT: u32 = 0;
/// The wire type of everything with a length.
const LENGTH: u32 = 2;

/// A message that is being written.
#[derive(Debug)]
pub struct Wire {
    bytes: Vec<u8>,
}

impl Wire {
    /// An empty message.
    pub(super) fn new() -> Self {
        // Nearly every answer fits: the configured headers and the metadata.
        let mut bytes = Vec::with_capacity(1024);
        bytes.resize(PREFIX, 0);
        Self { bytes }
    }

    /// A message encoded by its generated type.
    pub(super) fn encoded(message: &impl prost::Message) -> Self {
        let mut wire = Self::new();
        wire.bytes.extend_from_slice(&message.encode_to_vec());
        wire
    }

    /// A text field.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.key(field, LENGTH);
        self.varint(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A text field of several pieces, one behind the other.
    pub(super) fn pieces(&mut self, field: u32, pieces: &[&str]) {
        self.key(field, LENGTH);
        self.varint(pieces.iter().map(|piece| piece.len()).sum());
        for piece in pieces {
            self.bytes.extend_from_slice(piece.as_bytes());
        }
    }

    /// A number, or a value of an enum.
    pub(super) fn number(&mut self, field: u32, number: usize) {
        self.key(field, VARINT);
        self.varint(number);
    }

    /// A nested message, whose fields `write` writes.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, LENGTH);
        let at = self.bytes.len();
        // Room for a length below 128, as most are; a longer one moves the content.
        self.bytes.push(0);
        let start = self.bytes.len();
        write(self);
        let length = self.bytes.len().saturating_sub(start);
        match (u8::try_from(length), self.bytes.get_mut(at)) {
            (Ok(short @ ..0x80), Some(room)) => *room = short,
            _ => {
                let (digits, many) = varint(length);
                self.bytes.splice(at..start, digits.into_iter().take(many));
            }
        }
    }

    /// The message, without prefix.
    #[cfg(test)]
    pub(super) fn message_bytes(&self) -> &[u8] {
        &self.bytes[PREFIX..]
    }

    /// The message after a prefix with its length.
    pub(super) fn framed(mut self) -> Vec<u8> {
        // An answer has a few kilobytes at most: the configured headers and one body.
        let length = u32::try_from(self.bytes.len().saturating_sub(PREFIX)).unwrap_or(u32::MAX).to_be_bytes();
        for (to, from) in self.bytes.iter_mut().skip(1).zip(length) {
            *to = from;
        }
        self.bytes
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint((field << 3 | kind) as usize);
    }

    fn varint(&mut self, number: usize) {
        if let Ok(short @ ..0x80) = u8::try_from(number) {
            return self.bytes.push(short);
        }
        let (digits, many) = varint(number);
        self.bytes.extend(digits.into_iter().take(many));
    }
}

/// A number in its shortest form, and the length of that.
fn varint(mut number: usize) -> ([u8; 10], usize) {
    let mut digits = [0; 10];
    let mut many = 0;
    for digit in &mut digits {
        many += 1;
        *digit = low(number);
        number >>= 7;
        if number == 0 {
            break;
        }
        *digit |= 0x80;
    }
    (digits, many)
}

/// The seven lowest bits.
fn low(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::rpc::Status;
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_is_written_is_what_the_types_encode() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, 100_000] {
            let status = Status { code: 70_000, message: "x".repeat(length), ..Status::default() };
            let mut wire = Wire::new();
            wire.number(1, 70_000);
            wire.text(2, &status.message);
            assert_eq!(Status::decode(wire.message_bytes()).unwrap(), status);
            let mut outer = Wire::new();
            outer.message(3, |inner| inner.text(2, &"y".repeat(length)));
            let mut by_types = Vec::new();
            let inner = Status { message: "y".repeat(length), ..Status::default() };
            prost::encoding::message::encode(3, &inner, &mut by_types);
            if length > 0 {
                assert_eq!(outer.message_bytes(), by_types, "{length}");
            }
            let framed = outer.framed();
            assert_eq!(framed[0], 0);
            assert_eq!(u32::from_be_bytes(framed[1..5].try_into().unwrap()) as usize, framed.len() - PREFIX);
        }
    }
}
