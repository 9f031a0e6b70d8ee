//! What verifies credentials, by the configuration that it was made for.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::authenticate::Authenticator;
use crate::domain::policy::Policy;
use crate::state::State;
use crate::state::rules::Rules;

/// An authenticator for one configuration.
#[derive(Debug)]
pub struct Active {
    /// The policy it was made for.
    pub policy: Arc<Policy>,
    /// The authenticator.
    pub authenticator: Authenticator,
    /// What callers of the control API are judged by; `None` if no token is accepted there.
    pub control: Option<ControlRules>,
}

/// The authenticators of the current configuration and of the one before or after it, so that a check finds the one for
/// the state that it loaded.
#[derive(Debug)]
pub struct Authenticators(ArcSwap<Vec<Arc<Active>>>);

impl Authenticators {
    /// Starts with the authenticator of the first configuration.
    #[must_use]
    pub fn new(first: Active) -> Self {
        Self(ArcSwap::from_pointee(vec![Arc::new(first)]))
    }

    /// Adds one for a configuration that is about to come into force, and drops those of outdated configurations.
    pub fn add(&self, active: Active, in_force: &Arc<Policy>) {
        let mut kept: Vec<Arc<Active>> =
            self.0.load().iter().filter(|active| Arc::ptr_eq(&active.policy, in_force)).cloned().collect();
        kept.push(Arc::new(active));
        self.0.store(Arc::new(kept));
    }

    pub(super) fn of(&self, state: &State) -> Option<Arc<Active>> {
        self.0.load().iter().find(|active| Arc::ptr_eq(&active.policy, &state.rules.policy)).cloned()
    }
}

/// The rules of the control API in one configuration, and what verifies tokens by them.
#[derive(Debug)]
pub struct ControlRules {
    /// See [`Policy::for_control`].
    pub rules: Arc<Rules>,
    /// Verifies tokens by them.
    pub authenticator: Authenticator,
}
