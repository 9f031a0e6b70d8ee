//! Decides by a configuration alone: `explain --config`.

use std::sync::Arc;

use super::{Knowledge, Story};
use crate::app::clock::Clock;
use crate::authenticate::Authenticator;
use crate::authenticate::cache::CacheCounters;
use crate::control::views::Explanation;
use crate::decide::decide;
use crate::domain::key::Keyer;
use crate::domain::policy::{Policy, Unknown};
use crate::domain::source::WhenStale;
use crate::jose::fetch::Fetcher;
use crate::jose::keys::KeyRings;
use crate::request::Request;
use crate::state::State;
use crate::state::fold::Fold;
use crate::state::rules::Rules;

/// A request as described on the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path, with query.
    pub path: String,
    /// The service that the route names, if it does.
    pub service: Option<String>,
    /// Headers, which may contain credentials.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// The request as a proxy would send it.
    ///
    /// # Errors
    /// The route names a service that is not configured; in words.
    pub fn request(&self, policy: &Policy) -> Result<Request, String> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut request = Request::synthetic(&self.method, &self.host, &self.path, headers);
        if let Some(service) = &self.service {
            policy.service_named(service)?;
            request.destination.extension = Some(service.clone());
        }
        Ok(request)
    }
}

/// Nobody is known here, so nobody counts as unknown and no source as stale. The claims that sources link by still count.
fn knowing_nobody(mut policy: Policy) -> Policy {
    for source in &mut policy.sources {
        (source.required, source.when_stale) = (false, WhenStale::Allow);
    }
    for service in &mut policy.services {
        service.when_stale = None;
    }
    Policy { unknown_people: Unknown::Allow, ..policy }
}

/// Decides by a configuration alone, with the issuers' keys fetched now. Also returns notes on what could not be fetched.
///
/// # Errors
/// The service is not configured; in words.
pub async fn by_configuration(policy: Policy, asked: &Asked) -> Result<(Explanation, Vec<String>), String> {
    let request = asked.request(&policy)?;
    let policy = Arc::new(knowing_nobody(policy));
    let fetcher = Fetcher::new();
    let (fresh, _kept) = tokio::sync::mpsc::channel(64);
    let rings = KeyRings::build(&policy.issuers, &KeyRings::default(), &fetcher, &fresh, |_, _| None);
    let now = Clock::start(None).now();
    let mut notes = Vec::new();
    for ring in rings.iter() {
        if let Err(error) = ring.refresh(now).await {
            notes.push(format!("cannot get the keys of issuer {}: {error}", ring.name()));
        }
    }
    let keyer = Keyer::new([0; 16]);
    let rules = Arc::new(Rules::new(Arc::clone(&policy), 1, &keyer));
    let state = State { fold: Fold::empty(keyer.clone(), 0), rules };
    let authenticator = Authenticator::new(policy, keyer, rings.clone(), Arc::new(CacheCounters::default()));
    let outcomes = authenticator.authenticate(&request, now).await;
    let decision = decide(&state, &request, &outcomes, now);
    let (destination, knowledge) = (Some(&request.destination), Knowledge::ConfigurationOnly);
    let story = Story { decision: &decision, at: now.wall, destination, knowledge, rings: &rings };
    Ok((story.tell(), notes))
}
