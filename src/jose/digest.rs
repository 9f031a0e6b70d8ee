//! SHA-256, which identifies keys and documents.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 hash, as an array.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}
