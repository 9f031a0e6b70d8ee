//! One member of `keys` as received (RFC 7517 section 4).

use serde_json::{Map, Value};

use super::unusable::{Unusable, quoted};

/// A JWK before it is checked.
pub(super) struct Jwk<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Jwk<'a> {
    /// A member that must be a string if present. `null` counts as absent: some libraries write every member they know.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Unusable> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Unusable::WrongType(name, "a string")),
        }
    }

    /// A member that must be present.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, Unusable> {
        self.text(name)?.ok_or(Unusable::Missing(name))
    }

    /// Whether a member is present.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// The error for an unsupported `alg`. For a symmetric key, that is the more useful reason.
    pub(super) fn foreign(&self, algorithm: &str) -> Unusable {
        if self.text("kty") == Ok(Some("oct")) {
            return Unusable::Symmetric;
        }
        Unusable::Algorithm(quoted(algorithm))
    }

    /// RFC 7517 sections 4.2 and 4.3.
    pub(super) fn is_for_signatures(&self) -> Result<(), Unusable> {
        if let Some(purpose) = self.text("use")?.filter(|purpose| *purpose != "sig") {
            return Err(Unusable::Use(quoted(purpose)));
        }
        match self.0.get("key_ops") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
            Some(Value::Array(_)) => Err(Unusable::KeyOps),
            Some(_) => Err(Unusable::WrongType("key_ops", "a list")),
        }
    }
}
