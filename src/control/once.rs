//! Idempotency keys: which call may be sent again, and act only once.

use aws_lc_rs::digest::{Context, SHA256};
use prost::Message;
use tonic::{Request, Status};

use super::guard::Caller;
use crate::domain::call::Call;

/// Request metadata with the key of a changing call.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key, in bytes.
const LONGEST: usize = 128;

/// The call, if it bears a key. Only hashes are kept: the request may contain a credential (law 10).
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no key.
pub fn call<T: Message>(request: &Request<T>, caller: &Caller) -> Result<Option<Call>, Status> {
    let mut keys = request.metadata().get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.as_encoded_bytes();
    let fits = !key.is_empty() && key.len() <= LONGEST && key.iter().all(u8::is_ascii_graphic);
    if !fits || keys.next().is_some() {
        let why = format!("{IDEMPOTENCY_KEY} must be given once, as 1 to {LONGEST} visible ASCII characters");
        return Err(Status::invalid_argument(why));
    }
    Ok(Some(Call {
        name: hash(&[caller.actor.as_bytes(), key]),
        request: hash(&[caller.method.as_bytes(), &request.get_ref().encode_to_vec()]),
    }))
}

/// SHA-256 of some parts, lower-case hex. The length goes before each, so that ("ab", "c") and ("a", "bc") differ.
fn hash(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex::encode(context.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tonic::Code;

    use super::*;
    use crate::control::proto::RestoreRequest;

    fn keyed(actor: &str, keys: &[&str], reason: &str) -> Result<Option<Call>, Status> {
        let mut request = Request::new(RestoreRequest { id: "r5".to_owned(), reason: reason.to_owned() });
        for key in keys {
            request.metadata_mut().append(IDEMPOTENCY_KEY, key.parse().unwrap());
        }
        let method = "/offboard.v1.Control/Restore".into();
        call(&request, &Caller { actor: actor.into(), method, identified: Arc::default(), admission: None })
    }

    #[test]
    fn a_key_belongs_to_its_caller_and_to_one_request() {
        assert_eq!(keyed("olga", &[], "x").unwrap(), None);
        let first = keyed("olga", &["k-1"], "back").unwrap().unwrap();
        assert_eq!(keyed("olga", &["k-1"], "back").unwrap().unwrap(), first);
        assert_ne!(keyed("nick", &["k-1"], "back").unwrap().unwrap().name, first.name);
        let other = keyed("olga", &["k-1"], "a mistake").unwrap().unwrap();
        assert_eq!(other.name, first.name);
        assert_ne!(other.request, first.request);
        assert_ne!(keyed("olga", &["k-2"], "back").unwrap().unwrap().name, first.name);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for keys in [&[""][..], &["a b"], &["a", "b"], &[&"x".repeat(129)]] {
            assert_eq!(keyed("olga", keys, "back").unwrap_err().code(), Code::InvalidArgument, "{keys:?}");
        }
    }
}
