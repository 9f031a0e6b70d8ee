//! One link of the chain: the hash of a batch and of the hash before it.
//!
//! `SHA-256(hash before ‖ events)`; each event counts with its time, provider time, id and stored JSON, and their
//! lengths. Every log computes it at each append, and again when it reads whole batches.

use aws_lc_rs::digest::{Context, SHA256};

use crate::domain::chain::ChainHash;
use crate::domain::event::NewEvent;
use crate::domain::time::Timestamp;

/// A batch whose events are being added.
pub(super) struct Link(Context);

impl Link {
    /// The batch behind the one with this hash.
    pub(super) fn behind(before: ChainHash) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&before.0);
        Self(context)
    }

    /// Adds the next event, stored as `json`.
    pub(super) fn add(&mut self, time: Timestamp, happened: Option<Timestamp>, id: Option<&str>, json: &[u8]) {
        let fields = [
            u64::from(happened.is_some()) | u64::from(id.is_some()) << 1,
            time.as_millis().cast_unsigned(),
            happened.map_or(0, |happened| happened.as_millis().cast_unsigned()),
            id.map_or(0, |id| id.len() as u64),
            json.len() as u64,
        ];
        let mut head = [0; 40];
        for (into, from) in head.iter_mut().zip(fields.iter().flat_map(|field| field.to_le_bytes())) {
            *into = from;
        }
        self.0.update(&head);
        self.0.update(id.unwrap_or_default().as_bytes());
        self.0.update(json);
    }

    /// Adds an event that is to be appended.
    pub(super) fn add_new(&mut self, new: &NewEvent, json: &[u8]) {
        self.add(new.time, new.happened, new.id.as_deref(), json);
    }

    /// The hash at the end of the batch.
    pub(super) fn finish(self) -> ChainHash {
        let mut hash = [0; 32];
        for (into, from) in hash.iter_mut().zip(self.0.finish().as_ref()) {
            *into = *from;
        }
        ChainHash(hash)
    }
}
