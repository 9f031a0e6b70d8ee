//! `offboard revocations`, `person` and `people`: queries.

use std::collections::BTreeSet;

use clap::Args;

use super::client::Server;
use super::output::{Output, Row, optional, text, texts};
use super::{Answer, Failure, when};
use crate::control::proto;

/// List revocations, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard revocations\n  \
    offboard revocations --person mallory@example.com --all")]
pub(super) struct Revocations {
    /// Only revocations of this person: SOURCE/KEY, e-mail, user name, IdP id, or ISS|SUB
    #[arg(long, value_name = "REF")]
    person: Option<String>,
    /// Include revocations that have ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

fn revocation(one: proto::Revocation) -> Row {
    vec![
        ("id", text(one.id)),
        ("target", text(one.target)),
        ("shape", text(one.shape)),
        ("issued_before", optional(one.issued_before)),
        ("owner", text(one.owner)),
        ("actor", text(one.actor)),
        ("effective", text(one.effective.clone())),
        ("begins", optional(when::ahead(&one.effective, when::now()))),
        ("expires", optional(one.expires)),
        ("ended", optional(one.ended)),
        ("ended_by", optional(one.ended_by)),
        ("left_cut_off", optional(one.left_cut_off)),
        ("people", texts(one.people)),
        ("reason", text(one.reason)),
    ]
}

impl Revocations {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let (mut rows, mut page_token) = (Vec::new(), String::new());
        loop {
            let person = self.person.clone().unwrap_or_default();
            let request = proto::ListRevocationsRequest { person, all: self.all, page_token };
            let answer = self.server.ask(|mut client| async move { client.list_revocations(request).await })?;
            let found = answer.into_inner();
            rows.extend(found.revocations.into_iter().map(revocation));
            page_token = found.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        self.output.rows(rows)?;
        Ok(Answer::Yes)
    }
}

fn person(one: proto::Person) -> Row {
    let begins = |one: &proto::Revocation| Some(format!("{} {}", one.id, when::ahead(&one.effective, when::now())?));
    let begins: Vec<String> = one.revocations.iter().filter_map(begins).collect();
    let cut_offs = one.cut_offs.into_iter().map(|left| {
        format!(
            "issued at or before {} (left by {} of {}: {})",
            left.issued_before, left.left_by, left.owner, left.reason
        )
    });
    let cut_offs: Vec<String> = cut_offs.collect();
    let standing = one.revocations.into_iter().map(|one| format!("{} {} ({})", one.id, one.shape, one.reason));
    let further = one.attributes.into_iter().map(|(name, value)| (name, vec![value]));
    let further = further.chain(one.more.into_iter().map(|more| (more.attribute, more.values)));
    let further: BTreeSet<String> =
        further.flat_map(|(name, values)| values.into_iter().map(move |value| format!("{name}: {value}"))).collect();
    let seen = one.last_allows.into_iter().map(|last| format!("{} {}", last.service, last.time));
    vec![
        ("id", text(one.id)),
        ("status", text(one.status)),
        ("email", optional(one.email)),
        ("username", optional(one.username)),
        ("further_names", texts(further)),
        ("groups", texts(one.groups)),
        ("roles", texts(one.roles)),
        ("revocations", texts(standing)),
        ("begins", texts(begins)),
        ("cut_offs", texts(cut_offs)),
        ("last_allowed", texts(seen)),
        ("exempted_until", optional(one.exempted_until)),
    ]
}

/// Show one person.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard person alice@example.com\n  \
    offboard person 'https://idp.example.com/realms/corp|0ff60a2d'\n\n\
    Prints one entry per source that knows the person. Exit code 1: no match, or several people in one source.")]
pub(super) struct Person {
    /// SOURCE/KEY, e-mail, user name, IdP id, or ISS|SUB
    #[arg(value_name = "REF")]
    person: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Person {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let request = proto::GetPersonRequest { person: self.person };
        let found = self.server.ask(|mut client| async move { client.get_person(request).await })?.into_inner();
        for one in found.people {
            self.output.one(person(one))?;
        }
        Ok(Answer::Yes)
    }
}

/// List people.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard people --status departed --source hr")]
pub(super) struct People {
    /// Only people with this status
    #[arg(long, value_parser = ["active", "suspended", "departed"])]
    status: Option<String>,
    /// Only people of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl People {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let mut rows = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = proto::ListPeopleRequest {
                status: self.status.clone().unwrap_or_default(),
                source: self.source.clone().unwrap_or_default(),
                page_size: 0,
                page_token,
            };
            let found = self.server.ask(|mut client| async move { client.list_people(request).await })?.into_inner();
            rows.extend(found.people.into_iter().map(person));
            page_token = found.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        self.output.rows(rows)?;
        Ok(Answer::Yes)
    }
}
