//! The configuration: files → a tree with source locations → merged → environment overrides → typed settings, with
//! every error at once.
//!
//! One table ([`keys`]) defines the keys and their formats; the check, the schema and the typed stage use it. Reading
//! order: [`mod@read`] → [`tree`] → [`merge`] → [`environment`] → [`keys`] → [`check`] → [`fields`] → the sections →
//! [`watch`].
//!
//! Choices: a file holds one document. File names in the configuration are relative to the working directory and are
//! not opened here. `~` and empty values are errors. So are an empty configuration and a directory without `*.yaml`
//! files: a half-written configuration looks like that.

pub mod location;
pub mod problem;
pub mod text;
pub mod table;
pub mod keys;
pub mod read;
pub mod tree;
pub mod merge;
pub mod environment;
mod absent;
pub mod check;
pub mod fields;
pub mod settings;
pub mod issuers;
pub mod sources;
pub mod services;
pub mod roles;
pub mod control;
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
use location::SourceLocation;
use tree::{Node, Value};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// What only the wiring needs.
    pub settings: Settings,
    /// The rules in force.
    pub policy: Policy,
    /// SHA-256 of the files and overrides, lower-case hex.
    pub hash: Arc<str>,
    /// Dangerous settings, ordered by file and line.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a configuration. `environment` may be the whole environment of the process.
///
/// # Errors
/// All errors.
pub fn load(paths: &[PathBuf], environment: &BTreeMap<String, String>) -> Result<(Inputs, Configuration), Invalid> {
    let inputs = read(paths)?;
    let configuration = parse(&inputs, environment)?;
    Ok((inputs, configuration))
}

/// Checks what was read.
///
/// # Errors
/// All errors.
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

/// Warnings about files that a valid configuration names and that do not exist here.
#[must_use]
pub fn absent_files(inputs: &Inputs, environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let overrides = environment::overrides(environment.clone());
    let mut absent = tree(inputs, &overrides).map(|(root, _)| absent::files(&root)).unwrap_or_default();
    problem::sort(&mut absent);
    absent
}

/// The path of the store, as far as it can be told from invalid files; the last good configuration is kept there. A
/// file that is not YAML is ignored; then the environment or the default decides.
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

/// The merged tree, with the environment's overrides applied.
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
        // A partial configuration would show errors that the whole does not have.
        return Err(Invalid::sorted(problems));
    }
    let (mut root, mut problems) = merge::merge(trees);
    problems.extend(environment::lay_over(&mut root, overrides));
    if root.value == Value::Map(vec![]) && problems.is_empty() {
        let file = inputs.files.first().map_or_else(|| "configuration".into(), |file| Arc::clone(&file.name));
        let what = "the configuration is empty".to_owned();
        return Err(Invalid(vec![Problem { location: SourceLocation::whole(&file), key: String::new(), what }]));
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
    let mut policy = Policy {
        control_audiences: None,
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
    policy.control_audiences = control::audiences(root, &policy);
    if policy.control_audiences.is_none() {
        control::warn_of_unusable_rights(&role_fields, &policy.roles);
    }
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
        exemptions.warn("max", "is longer than a day; exemptions are for emergencies");
    }
    max
}

/// Warns about issuers whose departures would not be detected.
fn warn_of_silence(root: &Fields<'_>, fields: &[Fields<'_>], issuers: &[Arc<IssuerRules>], sources: &[SourceRules]) {
    if fields.is_empty() {
        root.warn("", "no issuer is configured; no token can be verified");
    }
    for ((fields, _), index) in fields.iter().zip(issuers).zip(0_u16..) {
        if !sources.iter().any(|source| source.issuer == index) {
            fields.warn("", "no source: departures will not be detected; only explicit revocations apply");
        }
    }
}

#[cfg(test)]
mod tests;
