//! The rules that operators are judged by.
//!
//! They are a policy of their own, so that an operator's token takes the same path as a token in the mesh: nothing is
//! decided twice. It has one service, and none of the settings that soften the mesh (contract section 7).

use std::sync::Arc;

use super::{Policy, Service, Unknown};
use crate::domain::binding::{Binding, Permission, Right, Role};
use crate::domain::issuer::IssuerRules;
use crate::domain::source::{SourceRules, WhenStale};

impl Policy {
    /// The name of the control API among services.
    pub const CONTROL_SERVICE: &'static str = "offboard";

    /// The rules for callers of the control API: a right is a method there. `None` if no audience is configured for it:
    /// then no token is accepted.
    #[must_use]
    pub fn for_control(&self) -> Option<Self> {
        let audiences = self.control_audiences.as_ref()?;
        let issuer = |rules: &Arc<IssuerRules>| {
            let audiences = Some(Arc::clone(audiences));
            Arc::new(IssuerRules { audiences, accepts_id_tokens: false, ..IssuerRules::clone(rules) })
        };
        // The staleness of a directory never locks an operator out: whom it says to have left is denied by that.
        let source = |rules: &SourceRules| SourceRules {
            required: false,
            when_stale: WhenStale::Allow,
            ..SourceRules::clone(rules)
        };
        Some(Self {
            services: vec![Service::strict(Self::CONTROL_SERVICE)],
            issuers: self.issuers.iter().map(issuer).collect(),
            sources: self.sources.iter().map(source).collect(),
            roles: self.roles.iter().map(role).collect(),
            bindings: self.bindings.iter().map(|binding| Binding { everyone: false, ..binding.clone() }).collect(),
            public: Vec::new(),
            bearer_header: "authorization".to_owned(),
            unknown_people: Unknown::Deny,
            unknown_clients: Unknown::Deny,
            ..self.clone()
        })
    }

    /// Every audience of the mesh: no token of an operator may have one, since each service there could use it.
    pub fn mesh_audiences(&self) -> impl Iterator<Item = &String> {
        let of_issuers = self.issuers.iter().filter_map(|issuer| issuer.audiences.as_deref());
        let of_services = self.services.iter().filter_map(|service| service.audiences.as_deref());
        of_issuers.chain(of_services).flatten()
    }
}

/// A role with its rights as the methods of the only service.
fn role(role: &Role) -> Role {
    let permission = |rights: &[Right]| Permission {
        services: Some(vec![Policy::DEFAULT_SERVICE]),
        methods: Some(rights.iter().map(|right| right.word().to_owned()).collect()),
        paths: None,
    };
    Role {
        name: Arc::clone(&role.name),
        permissions: (!role.rights.is_empty()).then(|| permission(&role.rights)).into_iter().collect(),
        rights: Vec::new(),
    }
}
