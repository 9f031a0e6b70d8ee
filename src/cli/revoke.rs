//! `offboard revoke`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::client::{Server, time};
use super::many::{self, Many, Named};
use super::output::print;
use super::preview::{stands, state, told};
use super::{Answer, Failure, when};
use crate::control::input::refuse_token;
use crate::control::proto::{IssuerValue, RevokeRequest, Target, target};

/// What to revoke: exactly one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target (exactly one)")]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// SOURCE/KEY, e-mail, user name, IdP id, or ISS|SUB: everyone with this identifier, now and later; repeatable
    #[arg(long, value_name = "REF", allow_hyphen_values = true, value_parser = identifier)]
    person: Vec<String>,
    /// Everybody who is a member of this group now
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Everybody in this file (`-`: standard input), one REF a line, perhaps with a comma and a reason
    #[arg(long, value_name = "FILE")]
    people_file: Option<PathBuf>,
    /// One account, by `iss` and `sub`
    #[arg(long, num_args = 2, value_names = ["ISS", "SUB"], allow_hyphen_values = true, value_parser = identifier)]
    subject: Option<Vec<String>>,
    /// One login session, by `sid`: everything issued in it
    #[arg(long, num_args = 2, value_names = ["ISS", "SID"], allow_hyphen_values = true, value_parser = identifier)]
    session: Option<Vec<String>>,
    /// One token, by `jti` or `uti`
    #[arg(long, num_args = 2, value_names = ["ISS", "JTI"], allow_hyphen_values = true, value_parser = identifier)]
    token: Option<Vec<String>>,
    /// One client, by `azp`, `client_id`, `cid` or `appid`: every token issued to it
    #[arg(long, num_args = 2, value_names = ["ISS", "ID"], allow_hyphen_values = true, value_parser = identifier)]
    client: Option<Vec<String>>,
    /// Everything that an issuer signs, for everyone
    #[arg(long, value_name = "ISS")]
    issuer: Option<String>,
    /// One API key, by its id
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = identifier)]
    key: Option<String>,
    /// One client certificate, by the hex SHA-256 of its DER encoding
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// One token as it was found, in a file (`-`: standard input). The server verifies it and never keeps it; its id and
    /// what it signs are denied
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
}

/// A provider's identifier. Many are random base64url, so one in 64 begins with a hyphen; an option in its place is a
/// mistake.
fn identifier(text: &str) -> Result<String, String> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_option = text.strip_prefix("--").is_some_and(is_name) || (text.len() == 2 && text.starts_with('-'));
    if is_option { Err("expected an identifier, found an option".to_owned()) } else { Ok(text.to_owned()) }
}

impl TargetArgs {
    /// Refuses a token in place of an identifier, before it goes anywhere.
    fn refuse_tokens(&self) -> Result<(), Failure> {
        let pairs =
            [("subject", &self.subject), ("session", &self.session), ("token", &self.token), ("client", &self.client)];
        let second = pairs.into_iter().filter_map(|(name, pair)| Some((name, pair.as_ref()?.get(1)?)));
        let alone = self.person.iter().map(|person| ("person", person)).chain(self.key.iter().map(|key| ("key", key)));
        let refused = second.chain(alone).find_map(|(name, value)| refuse_token(name, value));
        refused.map_or(Ok(()), |refused| Err(Failure::No(refused)))
    }

    fn into_target(self) -> Result<Option<Target>, Failure> {
        if let Some(path) = &self.credential_file {
            let credential = read(path, "credential file")?.trim().to_owned();
            return Ok(Some(Target { target: Some(target::Target::Credential(credential)) }));
        }
        self.refuse_tokens()?;
        Ok(self.named())
    }

    /// Who is meant, if it may be several people.
    fn people(&self, server: &Server) -> Result<Option<Vec<Named>>, Failure> {
        self.refuse_tokens()?;
        if let Some(group) = &self.group {
            return many::members(group, server).map(Some);
        }
        if let Some(path) = &self.people_file {
            return many::listed(&read(path, "people file")?).map(Some);
        }
        let named = |person: &String| Named { reference: person.clone(), reason: None };
        Ok((self.person.len() > 1).then(|| self.person.iter().map(named).collect()))
    }

    fn named(self) -> Option<Target> {
        let pair = |values: Vec<String>| {
            let mut values = values.into_iter();
            Some(IssuerValue { issuer: values.next()?, value: values.next()? })
        };
        let target = if let Some(person) = self.person.into_iter().next() {
            target::Target::Person(person)
        } else if let Some(values) = self.subject {
            target::Target::Subject(pair(values)?)
        } else if let Some(values) = self.session {
            target::Target::Session(pair(values)?)
        } else if let Some(values) = self.token {
            target::Target::Token(pair(values)?)
        } else if let Some(values) = self.client {
            target::Target::Client(pair(values)?)
        } else if let Some(issuer) = self.issuer {
            target::Target::Issuer(issuer)
        } else if let Some(key) = self.key {
            target::Target::Key(key)
        } else {
            target::Target::Certificate(self.certificate?)
        };
        Some(Target { target: Some(target) })
    }
}

/// The text of a small file, or of standard input.
fn read(path: &Path, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().take(LARGEST).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::Unreachable(format!("{what} `{}`: {error}", path.display())))?;
    Ok(text)
}

/// Most bytes that are read of a file: no header is longer, and a thousand people fit.
const LARGEST: u64 = 256 * 1024;

/// Revoke a person, subject, session, token, client, issuer, API key or certificate.
#[derive(Debug, Args)]
#[command(
    override_usage = "offboard revoke <TARGET> --reason <TEXT> [OPTIONS]",
    after_help = "Examples:\n  \
    offboard revoke --person mallory@example.com --reason \"HR-12\"\n  \
    offboard revoke --session https://idp.example.com/realms/corp 8f2c --reason \"stolen laptop\"\n  \
    offboard revoke --person alice --issued-before 2026-11-20T09:00:00Z --reason \"password leaked\"\n  \
    offboard revoke --credential-file leaked.txt --reason \"token in a log\"\n  \
    offboard revoke --people-file contractors.csv --expires 2027-01-31T00:00:00Z --reason \"contract ended\"\n  \
    offboard revoke --person bob --effective 2026-12-01T17:00:00+01:00 --reason \"last day\"\n\n\
    A time T is a timestamp such as 2027-01-31T09:00:00Z, or a duration such as 15m: ago for --issued-before, from\n\
    now for the others. The command first prints what the revocation affects; --dry-run stops there. When it\n\
    returns, the revocation is durable and enforced by the process that answered, or will be from --effective on.\n\
    Your same revocation twice (target, times) is one. `offboard restore` ends it."
)]
pub(super) struct Revoke {
    /// Reason, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Deny only credentials issued at or before this time; newer ones work [default: deny all]
    #[arg(long, value_name = "T")]
    issued_before: Option<String>,
    /// Deny from this time on [default: immediately]
    #[arg(long, value_name = "T")]
    effective: Option<String>,
    /// End automatically at this time [default: never]
    #[arg(long, value_name = "T")]
    expires: Option<String>,
    /// Only print what the revocation would affect; refused where the revocation would be
    #[arg(long)]
    dry_run: bool,
    /// Deny a REF that means nobody all the same: the name itself, and whoever has it later
    #[arg(long)]
    allow_unknown: bool,
    /// Deny everybody whom an ambiguous REF may mean
    #[arg(long)]
    all_candidates: bool,
    /// With several people: revoke the others if some are refused [default: all or none]
    #[arg(long)]
    keep_going: bool,
    /// Wait until every replica enforces it; the embedded store has only the one that answers
    #[arg(long)]
    wait: bool,
    // After the options, which would otherwise appear under its heading.
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: Server,
}

fn at(text: Option<&String>, ahead: bool) -> Result<Option<String>, Failure> {
    text.map(|text| time(text, ahead).map(|time| time.to_string())).transpose()
}

impl Revoke {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let people = self.target.people(&self.server)?;
        let request = RevokeRequest {
            reason: self.reason,
            issued_before: at(self.issued_before.as_ref(), false)?,
            effective: at(self.effective.as_ref(), true)?,
            expires: at(self.expires.as_ref(), true)?,
            dry_run: true,
            allow_unknown: self.allow_unknown,
            all_candidates: self.all_candidates,
            target: if people.is_some() { None } else { self.target.into_target()? },
        };
        if let Some(people) = people {
            return Many { people, request, keep_going: self.keep_going, dry_run: self.dry_run }.run(&self.server);
        }
        let issued_before = request.issued_before.clone();
        let effective = request.effective.clone();
        let server = self.server;
        let asked = request.clone();
        let shown = server.ask(|mut client| async move { client.revoke(asked).await })?.into_inner();
        print(&shown.preview.map(|preview| told(&preview, issued_before.as_deref())).unwrap_or_default())?;
        let begins = effective.and_then(|time| when::ahead(&time, when::now()));
        if let Some(begins) = &begins {
            print(&format!("comes into force {begins}\n"))?;
        }
        shown.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        if self.dry_run {
            if let Some(standing) = &shown.standing {
                print(&format!("{}: nothing would be added\n", stands(standing)))?;
            }
            print("dry run: nothing was revoked\n")?;
            return Ok(Answer::Yes);
        }
        let request = RevokeRequest { dry_run: false, ..request };
        let done = server.change(request, |mut client, request| async move { client.revoke(request).await })?;
        let state = state(begins.as_ref(), done.epoch);
        print(&match &done.standing {
            Some(standing) => format!("revoked already: {}; nothing was added ({state})\n", stands(standing)),
            None => format!("revoked: {} ({state})\n", done.id),
        })?;
        Ok(Answer::Yes)
    }
}
