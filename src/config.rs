//! The configuration: files → a tree that keeps positions → our merge → the environment's layer → typed, with
//! every error at once.
//!
//! One table ([`keys`]) says which keys there are and how they are written: the check, the schema and the typed
//! stage go by it. Reading order: [`mod@read`] → [`tree`] → [`merge`] → [`environment`] → [`keys`] → [`check`] →
//! [`fields`] → the sections → [`watch`].
//!
//! Choices: a file holds one document. Names of files in the configuration are relative to the working
//! directory and are not opened here. `~` and empty values are errors. A configuration in which nothing stands
//! is an error, as is a directory without a `*.yaml` file: that is what a half-written one looks like.

pub mod problem;
pub mod text;
pub mod table;
pub mod keys;
pub mod read;
pub mod tree;
pub mod merge;
pub mod environment;
pub mod check;
pub mod fields;
pub mod settings;
pub mod issuers;
pub mod sources;
pub mod services;
pub mod roles;
pub mod revocations;
pub mod response;
pub mod schema;
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::issuer::IssuerRules;
use crate::domain::policy::Policy;
use crate::domain::source::SourceRules;

pub use problem::{Invalid, Problem};
pub use read::{Inputs, read};
pub use settings::{Settings, restart_required};

use fields::{Fields, Findings};
use tree::{Node, SourceLocation, Value};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// What only wiring needs.
    pub settings: Settings,
    /// The rules in force.
    pub policy: Policy,
    /// SHA-256 of the files and overrides, lower-case hex.
    pub hash: Arc<str>,
    /// What is dangerous in it, in order of file and line.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a configuration. `environment` may be everything that the process has.
///
/// # Errors
/// Everything that is wrong.
pub fn load(paths: &[PathBuf], environment: &BTreeMap<String, String>) -> Result<(Inputs, Configuration), Invalid> {
    let inputs = read(paths)?;
    let configuration = parse(&inputs, environment)?;
    Ok((inputs, configuration))
}

/// Judges what was read.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(inputs: &Inputs, environment: &BTreeMap<String, String>) -> Result<Configuration, Invalid> {
    let overrides = environment::overrides(environment.clone());
    let (root, mut problems) = tree(inputs, &overrides)?;
    problems.extend(check::check(&root, &keys::ROOT));
    let findings = Findings::default();
    let hash: Arc<str> = inputs.hash(&overrides).into();
    let (settings, policy) = typed(&Fields::root(&findings, &keys::ROOT, &root), &hash);
    problems.extend(findings.problems.take());
    if !problems.is_empty() {
        return Err(Invalid::sorted(problems));
    }
    let mut warnings = findings.warnings.take();
    problem::sort(&mut warnings);
    Ok(Configuration { settings, policy, hash, warnings })
}

/// Where the store is, as far as invalid files still say: there the last good configuration is looked for. A file
/// that is no YAML says nothing; then it is what the environment says, or the default.
#[must_use]
pub fn store_hint(paths: &[PathBuf], environment: &BTreeMap<String, String>) -> PathBuf {
    let files = read(paths).unwrap_or_default().files;
    let trees: Vec<_> = files.iter().filter_map(|file| tree::parse(&file.name, &file.text).ok()).collect();
    let (mut root, _) = merge::merge(trees);
    let _ = environment::lay_over(&mut root, &environment::overrides(environment.clone()));
    let findings = Findings::default();
    let settings = Settings::from_fields(&Fields::root(&findings, &keys::ROOT, &root), vec![]);
    let settings::StoreSettings::Embedded { path, .. } = settings.store;
    path
}

/// The merged tree, with the environment laid over it.
fn tree(inputs: &Inputs, overrides: &BTreeMap<String, String>) -> Result<(Node, Vec<Problem>), Invalid> {
    let mut trees = vec![];
    let mut problems = vec![];
    for file in &inputs.files {
        match tree::parse(&file.name, &file.text) {
            Ok(tree) => trees.push(tree),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        // Half a configuration would show errors that the whole does not have.
        return Err(Invalid::sorted(problems));
    }
    let (mut root, mut problems) = merge::merge(trees);
    problems.extend(environment::lay_over(&mut root, overrides));
    if root.value == Value::Map(vec![]) && problems.is_empty() {
        let file = inputs.files.first().map_or_else(|| "configuration".into(), |file| Arc::clone(&file.name));
        let what = "nothing is configured".to_owned();
        return Err(Invalid(vec![Problem { place: SourceLocation::whole(&file), key: String::new(), what }]));
    }
    Ok((root, problems))
}

fn typed(root: &Fields<'_>, hash: &Arc<str>) -> (Settings, Policy) {
    let sections = |name| root.sections(name).unwrap_or_default();
    let (issuer_fields, service_fields, role_fields) = (sections("issuers"), sections("services"), sections("roles"));
    let source_fields = sections("sources");
    let issuer_indices = Fields::indices(&issuer_fields, 0);
    let service_indices = Fields::indices(&service_fields, Policy::DEFAULT_SERVICE + 1);
    let role_indices = Fields::indices(&role_fields, 0);
    let _ = Fields::indices(&source_fields, 0);

    let issuers = issuers::issuers(&issuer_fields, &sources::keycloaks(&source_fields));
    let (sources, asked) = sources::sources(&source_fields, &issuer_indices, &issuers);
    warn_of_silence(root, &issuer_fields, &issuers, &sources);
    let bearer_header = response::bearer_header(root);
    let response = response::response(root, &bearer_header);
    let (unknown_people, unknown_clients) = response::unknown(root);
    let policy = Policy {
        retired: Vec::new(),
        hash: Arc::clone(hash),
        bearer_header,
        bearer_largest: response::bearer_largest(root),
        services: services::services(root, &service_fields, &issuers, &sources),
        roles: roles::roles(&role_fields, &service_indices),
        bindings: roles::bindings(root, &role_indices, &issuer_indices),
        public: roles::public(root, &service_indices),
        unknown_people,
        unknown_clients,
        revocations: revocations::revocations(root, &issuers),
        response,
        exemptions_max: exemptions_max(root),
        issuers,
        sources,
    };
    let configured = policy.services.iter().skip(usize::from(Policy::DEFAULT_SERVICE) + 1);
    let services: Vec<_> = service_fields.iter().zip(configured).collect();
    sources::warn_of_gaps((&source_fields, &policy.sources, &asked), &services);
    (Settings::from_fields(root, asked), policy)
}

fn exemptions_max(root: &Fields<'_>) -> Duration {
    const HOUR: u64 = 3600;
    let exemptions = root.section("exemptions");
    let max = exemptions.read("max", text::duration).unwrap_or(Duration::from_secs(8 * HOUR));
    if max > Duration::from_secs(24 * HOUR) {
        exemptions.warn("max", "is longer than a day: break glass is for an emergency");
    }
    max
}

/// Warns where nobody would ever be noticed to have left.
fn warn_of_silence(root: &Fields<'_>, fields: &[Fields<'_>], issuers: &[Arc<IssuerRules>], sources: &[SourceRules]) {
    if fields.is_empty() {
        root.warn("", "no issuer is configured: no token can be verified");
    }
    for ((fields, _), index) in fields.iter().zip(issuers).zip(0_u16..) {
        if !sources.iter().any(|source| source.issuer == index) {
            fields.warn("", "has no source: nobody of it is noticed to have left, only revocations count");
        }
    }
}

#[cfg(test)]
mod tests;
