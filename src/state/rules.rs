//! The policy, indexed for checks: every question of `decide` is one look-up.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::fold::{Fold, note_of};
use super::revocations::{Entry, EntryFields, EntryKind, OwnerKind, entry, entry_of_ref};
use super::table::Table;
use crate::domain::binding::Binding;
use crate::domain::destination::{Destination, NamedBy};
use crate::domain::id::RevocationId;
use crate::domain::key::{GroupKey, Key, KeyKind, Keyer, RefKey};
use crate::domain::name::{Compare, Directory};
use crate::domain::policy::{ConfiguredRevocation, Enforcement, Policy, Service};
use crate::domain::revocation::Owner;
use crate::domain::time::{Now, Timestamp};
use crate::faults::{Fault, planted};

/// A hasher that passes keys through: they are keyed hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, part: u64) {
        self.0 ^= part;
    }
}

type ByKey<T> = HashMap<Key, T, BuildHasherDefault<AsIs>>;

/// Indices of bindings in the policy.
pub type Bindings = Vec<u32>;

/// A binding of a group, found by the folded name of the group.
#[derive(Clone, Copy, Debug)]
struct FoldedGroup {
    issuer: u16,
    strict: u64,
    binding: u32,
}

/// The service of a request.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Its index in the policy.
    pub index: u16,
    /// Its rules.
    pub service: &'a Service,
    /// What determined it.
    pub by: NamedBy,
}

/// The policy in force, and its indices.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What the configuration says.
    pub policy: Arc<Policy>,
    /// Counts configurations in this process; a check that spans two is repeated.
    pub generation: u64,
    default: Service,
    by_name: HashMap<Arc<str>, u16>,
    by_host: HashMap<String, u16>,
    by_suffix: Vec<(String, u16)>,
    by_principal: Vec<(PrincipalPattern, u16)>,
    by_group: ByKey<Bindings>,
    /// For groups of directories that compare them by a rule.
    by_folded_group: ByKey<Vec<FoldedGroup>>,
    by_client: ByKey<Bindings>,
    by_person: HashMap<(String, String), Bindings>,
    everyone: Bindings,
    issuer_sources: Vec<Vec<u16>>,
    configured: Table<Entry>,
}

impl Rules {
    /// Indexes a policy.
    #[must_use]
    pub fn new(policy: Arc<Policy>, generation: u64, keyer: &Keyer) -> Self {
        let mut rules = Self {
            default: default_service(&policy),
            generation,
            by_name: HashMap::new(),
            by_host: HashMap::new(),
            by_suffix: Vec::new(),
            by_principal: Vec::new(),
            by_group: ByKey::default(),
            by_folded_group: ByKey::default(),
            by_client: ByKey::default(),
            by_person: HashMap::new(),
            everyone: Vec::new(),
            issuer_sources: vec![Vec::new(); policy.issuers.len()],
            configured: configured_entries(&policy, keyer),
            policy: Arc::clone(&policy),
        };
        for (index, service) in (0_u16..).zip(&policy.services) {
            rules.add_service(index, service);
        }
        rules.by_suffix.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        for (index, binding) in (0_u32..).zip(&policy.bindings) {
            rules.add_binding(index, binding, keyer);
        }
        for (index, source) in (0_u16..).zip(&policy.sources) {
            if let Some(sources) = rules.issuer_sources.get_mut(usize::from(source.issuer)) {
                sources.push(index);
            }
        }
        rules
    }

    fn add_service(&mut self, index: u16, service: &Service) {
        self.by_name.insert(Arc::clone(&service.name), index);
        for host in &service.hosts {
            match host.strip_prefix('*') {
                Some(suffix) => self.by_suffix.push((suffix.to_owned(), index)),
                None => {
                    self.by_host.insert(host.clone(), index);
                }
            }
        }
        self.by_principal.extend(service.principals.iter().map(|pattern| (PrincipalPattern::new(pattern), index)));
    }

    fn add_binding(&mut self, index: u32, binding: &Binding, keyer: &Keyer) {
        if binding.everyone {
            self.everyone.push(index);
        }
        let Some(issuer) = binding.issuer.and_then(|issuer| self.policy.issuers.get(usize::from(issuer))) else {
            return;
        };
        let number = binding.issuer.unwrap_or_default();
        let sources = self.policy.sources.iter().filter(|source| source.issuer == number);
        let directories: BTreeSet<Directory> = sources.map(|source| source.directory).collect();
        for group in &binding.groups {
            self.by_group.entry(keyer.key(KeyKind::Group, &[&issuer.name, group])).or_default().push(index);
            for rule in directories.iter().map(|directory| directory.compares_group(group)) {
                if rule != Compare::Exact {
                    let GroupKey { folded, strict } = GroupKey::of(keyer, (rule, group));
                    let bound = FoldedGroup { issuer: number, strict, binding: index };
                    self.by_folded_group.entry(folded).or_default().push(bound);
                }
            }
        }
        for client in &binding.clients {
            self.by_client.entry(keyer.key(KeyKind::Client, &[&issuer.issuer, client])).or_default().push(index);
        }
        for person in &binding.people {
            self.by_person.entry((issuer.name.clone(), person.clone())).or_default().push(index);
        }
    }

    /// Which service a request is for (contract section 3).
    #[must_use]
    pub fn service(&self, destination: &Destination) -> Chosen<'_> {
        let (index, by) = self.service_index(destination);
        let service = self.policy.services.get(usize::from(index)).unwrap_or(&self.default);
        Chosen { index, service, by }
    }

    fn service_index(&self, destination: &Destination) -> (u16, NamedBy) {
        if let Some(name) = &destination.extension {
            return match self.by_name.get(name.as_str()) {
                Some(index) => (*index, NamedBy::Route),
                None => (Policy::DEFAULT_SERVICE, NamedBy::UnknownRoute),
            };
        }
        if let Some(principal) = &destination.principal {
            let named = self.by_principal.iter().filter(|(pattern, _)| pattern.matches(principal));
            let best = named.max_by_key(|(pattern, _)| pattern.literal_len());
            if best.is_some() || principal.starts_with("spiffe://") {
                return (best.map_or(Policy::DEFAULT_SERVICE, |(_, index)| *index), NamedBy::Principal);
            }
        }
        let Some(host) = &destination.host else { return (Policy::DEFAULT_SERVICE, NamedBy::Nothing) };
        let exact = self.by_host.get(host.as_str()).copied();
        let wild = || {
            let fits = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
            self.by_suffix.iter().find(|(suffix, _)| fits(suffix)).map(|(_, index)| *index)
        };
        (exact.or_else(wild).unwrap_or(Policy::DEFAULT_SERVICE), NamedBy::Host)
    }

    /// The strictest enforcement of any service.
    #[must_use]
    pub fn strictest_enforcement(&self) -> Enforcement {
        let mut services = self.policy.services.iter().chain([&self.default]);
        let enforces = services.any(|service| service.enforcement == Enforcement::Enforce);
        if enforces { Enforcement::Enforce } else { Enforcement::Observe }
    }

    /// The bindings of a group.
    #[must_use]
    pub fn of_group(&self, group: Key) -> &[u32] {
        self.by_group.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Whether a binding names a group that a directory compares by a rule.
    #[must_use]
    pub fn compares_groups(&self) -> bool {
        !self.by_folded_group.is_empty()
    }

    /// The bindings of a group of an issuer, by its folded name.
    pub fn of_folded_group(&self, issuer: u16, group: GroupKey) -> impl Iterator<Item = u32> {
        let bound = self.by_folded_group.get(&group.folded).map_or(&[][..], Vec::as_slice);
        let same = move |bound: &&FoldedGroup| (bound.issuer, bound.strict) == (issuer, group.strict);
        bound.iter().filter(same).map(|bound| bound.binding)
    }

    /// The bindings of a client.
    #[must_use]
    pub fn of_client(&self, client: Key) -> &[u32] {
        self.by_client.get(&client).map_or(&[], Vec::as_slice)
    }

    /// The bindings with this name of a person.
    #[must_use]
    pub fn of_name(&self, name: &(String, String)) -> &[u32] {
        self.by_person.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every name of a person in a binding, with its issuer's name.
    pub fn names(&self) -> impl Iterator<Item = &(String, String)> {
        self.by_person.keys()
    }

    /// The bindings of every verified credential.
    #[must_use]
    pub fn of_everyone(&self) -> &[u32] {
        &self.everyone
    }

    /// Whether a binding names the client with this key.
    #[must_use]
    pub fn names_client(&self, client: Key) -> bool {
        self.by_client.contains_key(&client)
    }

    /// The indices of the sources of an issuer.
    #[must_use]
    pub fn sources_of(&self, issuer: u16) -> &[u16] {
        self.issuer_sources.get(usize::from(issuer)).map_or(&[], Vec::as_slice)
    }

    /// Whether `revocations:` of this configuration has entries.
    #[must_use]
    #[inline]
    pub fn configures_revocations(&self) -> bool {
        !self.configured.is_empty()
    }

    /// The entries of `revocations:` in this configuration under a key, whether or not they are noted in the log. The
    /// id of an entry is its index there.
    #[must_use]
    #[inline]
    pub fn configured(&self, key: Key) -> &[Entry] {
        if self.configured.is_empty() { &[] } else { self.configured.get(key) }
    }

    /// The entries of `revocations:` that are not noted in the log, and the notes without an entry.
    ///
    /// An entry whose `effective` was edited is noted again, and its old note ends; if that had taken effect, it leaves
    /// its residual cut-off. A configuration without the key changes no notes.
    #[must_use]
    pub fn unnoted<'a>(&'a self, fold: &Fold, now: Now) -> (Vec<&'a ConfiguredRevocation>, Vec<RevocationId>) {
        let said = self.policy.revocations.as_deref();
        let none: &[ConfiguredRevocation] = &[];
        let Some(entries) = said.or(planted(Fault::ReloadForgets).then_some(none)) else {
            return (Vec::new(), Vec::new());
        };
        let notes: Vec<String> = entries.iter().map(|entry| note_of(&entry.target, entry.shape)).collect();
        let mut seen = std::collections::BTreeSet::new();
        let fresh = entries
            .iter()
            .zip(&notes)
            .filter(|(entry, note)| !is_noted(fold, entry, note, now) && seen.insert((*note).clone()))
            .map(|(entry, _)| entry)
            .collect();
        let stands = |note: &String| {
            let entry = entries.iter().zip(&notes).find(|(_, other)| *other == note);
            entry.is_some_and(|(entry, note)| is_noted(fold, entry, note, now))
        };
        let gone = fold.noted.iter().filter(|(note, _)| !stands(note)).map(|(_, id)| *id).collect();
        (fresh, gone)
    }
}

/// Whether an entry of `revocations:` is noted as it is configured now.
fn is_noted(fold: &Fold, entry: &ConfiguredRevocation, note: &str, now: Now) -> bool {
    let Some(id) = fold.noted.get(note) else { return false };
    let noted = fold.revocations.under(entry.target.key(&fold.keyer)).iter().find(|noted| noted.id == *id);
    noted.is_some_and(|noted| entry.effective.map_or(noted.effective <= now.steady, |wanted| wanted == noted.effective))
}

fn default_service(policy: &Policy) -> Service {
    policy.services.first().cloned().unwrap_or_else(|| Service::strict("default"))
}

fn configured_entries(policy: &Policy, keyer: &Keyer) -> Table<Entry> {
    let entries = policy.revocations.iter().flatten().zip(0_u64..).flat_map(|(configured, index)| {
        let effective = configured.effective.unwrap_or(Timestamp::MIN);
        let (kind, shape) = (configured.target.kind(), configured.shape);
        let fields = EntryFields { kind, shape, effective, owner: &Owner::Configuration, owner_hash: 0 };
        match configured.target.reference() {
            Some(reference) => RefKey::of(keyer, reference)
                .iter()
                .map(|name| entry_of_ref(name, RevocationId::from_number(index), &fields, None))
                .collect(),
            None => vec![entry(configured.target.key(keyer), RevocationId::from_number(index), &fields, None)],
        }
    });
    debug_assert_eq!(OwnerKind::from(&Owner::Configuration), OwnerKind::Configuration);
    Table::build(entries.filter(|entry| entry.effect != EntryKind::ResidualCutoff).collect())
}

/// A pattern for principals: `*` matches any text without `/`; at the end of the pattern any text at all.
#[derive(Clone, Debug)]
struct PrincipalPattern(Vec<String>);

impl PrincipalPattern {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    fn literal_len(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    fn matches(&self, principal: &str) -> bool {
        let mut parts = self.0.iter();
        let Some(mut rest) = parts.next().and_then(|first| principal.strip_prefix(first.as_str())) else {
            return false;
        };
        while let Some(part) = parts.next() {
            if part.is_empty() && parts.len() == 0 {
                return !rest.is_empty();
            }
            let Some(at) = rest.find(part.as_str()) else { return false };
            if rest.as_bytes().iter().take(at).any(|byte| *byte == b'/') || at == 0 {
                return false;
            }
            let after = rest.get(at + part.len()..).unwrap_or("");
            if parts.len() == 0 && !after.is_empty() {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_pattern_has_stars_within_and_at_the_end() {
        let matches = |pattern: &str, principal: &str| PrincipalPattern::new(pattern).matches(principal);
        assert!(matches("spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/c"));
        assert!(!matches("spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/cc"));
        assert!(matches("spiffe://a/ns/b/sa/*", "spiffe://a/ns/b/sa/c"));
        assert!(!matches("spiffe://a/ns/b/sa/*", "spiffe://a/ns/b/sa/"));
        assert!(matches("spiffe://a/ns/*/sa/c", "spiffe://a/ns/b/sa/c"));
        assert!(!matches("spiffe://a/ns/*/sa/c", "spiffe://a/ns/b/x/sa/c"));
    }
}
