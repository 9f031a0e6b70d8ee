//! Reads the fields of a Protocol Buffers message one by one, and leaves their values where they are.
//!
//! Written by hand because a value that nobody reads should cost nothing: built by generated code, the names and values of
//! a request's headers alone are dozens of allocations per check. What is accepted and refused is what `prost` accepts
//! and refuses; the tests compare the two. Source: Protocol Buffers, "Encoding".

/// How deep messages and groups may be nested, as in `prost`.
const DEEPEST: u32 = 100;
/// The most bytes of a number.
const LONGEST_NUMBER: u32 = 10;

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message is not a CheckRequest")]
pub struct NotACheckRequest;

/// Where a name or value is among the bytes that hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// The first byte.
    pub(super) start: usize,
    /// The byte after the last.
    pub(super) end: usize,
}

impl Span {
    /// The bytes themselves; none if it belongs to other bytes.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The same as text; empty if it is none, which no reader of text lets through.
    pub(super) fn text_of(self, bytes: &[u8]) -> &str {
        std::str::from_utf8(self.of(bytes)).unwrap_or_default()
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The form of a value ("wire type").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    EightBytes,
    Length,
    GroupStart,
    GroupEnd,
    FourBytes,
}

impl Form {
    fn of(key: u32) -> Result<Self, NotACheckRequest> {
        match key & 7 {
            0 => Ok(Self::Number),
            1 => Ok(Self::EightBytes),
            2 => Ok(Self::Length),
            3 => Ok(Self::GroupStart),
            4 => Ok(Self::GroupEnd),
            5 => Ok(Self::FourBytes),
            _ => Err(NotACheckRequest),
        }
    }
}

/// A field whose value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its number in the message type.
    pub(super) number: u32,
    form: Form,
}

/// The fields of a message, or of one within it.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// The outermost message, up to the end of this one: positions are the same at every depth.
    bytes: &'a [u8],
    at: usize,
    /// How much deeper a field may be nested.
    left: u32,
}

impl<'a> Fields<'a> {
    /// The fields of a whole message.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { bytes: message, at: 0, left: DEEPEST }
    }

    /// The next field; `None` at the end. Its value must be read or skipped before the one after it.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field>, NotACheckRequest> {
        if self.at == self.bytes.len() { Ok(None) } else { self.key().map(Some) }
    }

    /// Reads a message.
    pub(super) fn message(&mut self, field: Field) -> Result<Self, NotACheckRequest> {
        let Span { start, end } = self.value(field)?;
        let left = self.left.checked_sub(1).ok_or(NotACheckRequest)?;
        Ok(Self { bytes: self.bytes.get(..end).ok_or(NotACheckRequest)?, at: start, left })
    }

    /// Reads bytes.
    #[inline]
    pub(super) fn value(&mut self, field: Field) -> Result<Span, NotACheckRequest> {
        if field.form != Form::Length {
            return Err(NotACheckRequest);
        }
        let length = self.number()?;
        self.advance(length)
    }

    /// Reads a text, which must be UTF-8.
    #[inline]
    pub(super) fn text(&mut self, field: Field) -> Result<Span, NotACheckRequest> {
        let span = self.value(field)?;
        match std::str::from_utf8(span.of(self.bytes)) {
            Ok(_) => Ok(span),
            Err(_) => Err(NotACheckRequest),
        }
    }

    /// Skips a field that nobody reads.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), NotACheckRequest> {
        self.skip_within(field, self.left)
    }

    fn skip_within(&mut self, field: Field, left: u32) -> Result<(), NotACheckRequest> {
        let deeper = left.checked_sub(1).ok_or(NotACheckRequest)?;
        let length = match field.form {
            Form::Number => self.number().map(|_| 0)?,
            Form::FourBytes => 4,
            Form::EightBytes => 8,
            Form::Length => self.number()?,
            Form::GroupEnd => return Err(NotACheckRequest),
            Form::GroupStart => loop {
                let inner = self.key()?;
                match inner.form {
                    Form::GroupEnd if inner.number == field.number => break 0,
                    // Refused there: the end of another group.
                    _ => self.skip_within(inner, deeper)?,
                }
            },
        };
        self.advance(length).map(drop)
    }

    #[inline]
    fn key(&mut self) -> Result<Field, NotACheckRequest> {
        let key = u32::try_from(self.number()?).map_err(|_| NotACheckRequest)?;
        match key >> 3 {
            0 => Err(NotACheckRequest),
            number => Ok(Field { number, form: Form::of(key)? }),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<u64, NotACheckRequest> {
        match self.bytes.get(self.at) {
            Some(byte @ ..0x80) => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, NotACheckRequest> {
        let mut number = 0;
        for place in 0..LONGEST_NUMBER {
            let byte = *self.bytes.get(self.at).ok_or(NotACheckRequest)?;
            self.at += 1;
            // Only one bit of the last byte fits into 64 bits.
            if place == LONGEST_NUMBER - 1 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(NotACheckRequest)
    }

    /// Passes over `length` bytes of this message.
    #[inline]
    fn advance(&mut self, length: u64) -> Result<Span, NotACheckRequest> {
        let start = self.at;
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length)).ok_or(NotACheckRequest)?;
        if end > self.bytes.len() {
            return Err(NotACheckRequest);
        }
        self.at = end;
        Ok(Span { start, end })
    }
}
