//! `offboard source`: state of the directories, and commands about them.

mod sample;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Server, time};
use super::output::{Output, Report, Row, optional, text, texts};
use super::{Answer, Failure};
use crate::app::sources::{examine, try_sample};
use crate::config;
use crate::control::proto;
use crate::source::directory::Grade;

/// Show and manage the sources of people.
#[derive(Debug, Args)]
pub(super) struct Source {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List sources with their age, people and last error.
    List(List),
    /// Show one source and who is missing from a held-back listing.
    Show(Show),
    /// Sync a source now; return once the result is enforced.
    Sync(Sync),
    /// Test connection, permissions, paging and event settings; report what is missing.
    Check(Check),
    /// Accept a held-back listing and mark missing people departed.
    Confirm(Judge),
    /// Reject a held-back listing; keep current data.
    Discard(Judge),
    /// Temporarily raise the removal limit before planned offboarding.
    Expect(Expect),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard source list -o json")]
struct List {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard source show keycloak")]
struct Show {
    /// Name of the source
    name: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard source sync keycloak\n  offboard source sync keycloak --full")]
struct Sync {
    /// Name of the source
    name: String,
    /// List everybody, not only what changed since the last sync
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard source check keycloak\n  \
    offboard source check keycloak --config /etc/offboard\n  \
    offboard source check keycloak --token-sample alice.jwt\n\nWith --config, the test runs from here \
    without a server: use it before going live.\n\
    A running server also reports on `link`: which claims recent tokens had, and whether they matched anybody.\n\
    Exit code 1: the source cannot work like this.")]
struct Check {
    /// Name of the source
    name: String,
    /// File with a token of the source's issuer, as applications present it: shows whom it matches
    #[arg(long, value_name = "FILE")]
    token_sample: Option<PathBuf>,
    /// Test from here, with the source as these files configure it; repeatable
    #[arg(long = "config", value_name = "PATH", num_args = 1)]
    config: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "`offboard source show NAME` shows who is missing.\n\nExamples:\n  \
    offboard source confirm keycloak\n  offboard source discard keycloak")]
struct Judge {
    /// Name of the source
    name: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  offboard source expect keycloak --max 35% --until 2h")]
struct Expect {
    /// Name of the source
    name: String,
    /// Share of its people (and memberships) that a listing may remove
    #[arg(long, value_name = "SHARE")]
    max: String,
    /// When the limit ends: a timestamp (RFC 3339), or a duration from now such as 2h
    #[arg(long, value_name = "TIME")]
    until: String,
    #[command(flatten)]
    output: Report,
    #[command(flatten)]
    server: Server,
}

fn in_short(one: proto::SourceStatus) -> Row {
    let people = |status: &str| json!(one.people.get(status).copied().unwrap_or(0));
    let held = one.held.as_ref().map(|held| {
        let numbers =
            format!("{} of {} people, {} memberships missing", held.missing_count, held.known, held.memberships);
        match &held.because {
            Some(because) if held.unlisted => format!("{because}; a full listing is running"),
            Some(because) => format!("{because}; {numbers}"),
            None => numbers,
        }
    });
    vec![
        ("name", text(one.name.clone())),
        ("active", people("active")),
        ("suspended", people("suspended")),
        ("departed", people("departed")),
        ("last_sync", optional(one.last_sync.clone())),
        ("last_heard", optional(one.last_heard.clone())),
        ("stale", Value::Bool(one.stale)),
        ("held", optional(held)),
        ("trouble", optional(one.trouble.clone())),
    ]
}

fn in_full(one: proto::SourceStatus) -> Row {
    let mut row = in_short(one.clone());
    let expected = one
        .expected_until
        .map(|until| format!("up to {}.{:02} % until {until}", one.expected_share / 100, one.expected_share % 100));
    let listing = one.sweep_since.map(|since| format!("{} people since {since}", one.sweep_people));
    let left_out = one.left_out_since.map(|since| {
        format!("{} people and {} memberships since {since}", one.left_out_people, one.left_out_memberships)
    });
    row.extend([
        ("last_poll", optional(one.last_poll)),
        ("listing", optional(listing)),
        ("trouble_at", optional(one.trouble_at)),
        ("failures", json!(one.failures)),
        ("expected", optional(expected)),
        ("left_out", optional(left_out)),
        ("shared_names", texts(one.shared_names)),
    ]);
    let (held_at, held) = one.held.map_or((None, None), |held| (Some(held.at.clone()), Some(held)));
    let held = held.unwrap_or_default();
    row.extend([
        ("held_at", optional(held_at)),
        ("held_because", optional(held.because)),
        ("missing_memberships", json!(held.memberships)),
        ("emptied_groups", texts(held.emptied)),
        ("missing", texts(held.missing)),
    ]);
    row
}

impl Source {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        match self.what {
            What::List(list) => {
                let request = proto::ListSourcesRequest { name: String::new() };
                let found = list.server.ask(|mut client| async move { client.list_sources(request).await })?;
                list.output.rows(found.into_inner().sources.into_iter().map(in_short).collect())?;
            }
            What::Show(show) => {
                let request = proto::ListSourcesRequest { name: show.name };
                let found = show.server.ask(|mut client| async move { client.list_sources(request).await })?;
                for source in found.into_inner().sources {
                    show.output.one(in_full(source))?;
                }
            }
            What::Sync(sync) => {
                let request = proto::SyncSourceRequest { name: sync.name, full: sync.full };
                let found = sync.server.ask(|mut client| async move { client.sync_source(request).await })?;
                if let Some(source) = found.into_inner().source {
                    sync.output.one(in_full(source))?;
                }
            }
            What::Check(check) => return check.run(),
            What::Confirm(judge) => judge.run(true)?,
            What::Discard(judge) => judge.run(false)?,
            What::Expect(expect) => expect.run()?,
        }
        Ok(Answer::Yes)
    }
}

impl Judge {
    fn run(self, confirm: bool) -> Result<(), Failure> {
        let request = proto::JudgeSourceRequest { name: self.name, confirm };
        let done =
            self.server.change(request, |mut client, request| async move { client.judge_source(request).await })?;
        self.output.rows(done.people.into_iter().map(|person| vec![("left", text(person))]).collect())
    }
}

impl Expect {
    fn run(self) -> Result<(), Failure> {
        let share = config::text::share(&self.max).map_err(Failure::Usage)?;
        let share = format!("{:.0}", share * 10_000.0).parse().unwrap_or(10_000);
        let until = time(&self.until, true)?.to_string();
        let request = proto::ExpectSourceRequest { name: self.name.clone(), share, until: until.clone() };
        self.server.change(request, |mut client, request| async move { client.expect_source(request).await })?;
        let told = format!("a listing of {} may remove up to {} until {until}\n", self.name, self.max);
        let row = vec![("name", text(self.name)), ("max", text(self.max)), ("until", text(until))];
        self.output.told(&told, row)
    }
}

impl Check {
    fn run(self) -> Result<Answer, Failure> {
        let found: Vec<(String, String, String)> = if self.config.is_empty() {
            let token_sample = self.sample()?.unwrap_or_default();
            let request = proto::CheckSourceRequest { name: self.name, token_sample };
            let found = self.server.ask(|mut client| async move { client.check_source(request).await })?;
            found.into_inner().findings.into_iter().map(|found| (found.grade, found.what, found.text)).collect()
        } else {
            self.examine_here()?
        };
        let bad = found.iter().any(|(grade, ..)| grade == Grade::Bad.word());
        let row = |(grade, what, found): (String, String, String)| {
            vec![("grade", text(grade)), ("what", text(what)), ("found", text(found))]
        };
        self.output.rows(found.into_iter().map(row).collect())?;
        Ok(if bad { Answer::No } else { Answer::Yes })
    }

    fn sample(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token_sample else { return Ok(None) };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::Unreachable(format!("read `{}`: {error}", path.display())))?;
        let text = text.trim();
        Ok(Some(text.strip_prefix("Bearer ").unwrap_or(text).trim().to_owned()))
    }

    fn examine_here(&self) -> Result<Vec<(String, String, String)>, Failure> {
        let (_, config::Configuration { settings, policy, .. }) =
            config::load(&self.config, &std::env::vars().collect())
                .map_err(|invalid| Failure::No(invalid.to_string()))?;
        let mut sources = settings.sources;
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        sources.retain(|source| source.name == self.name);
        let unknown = || Failure::No(format!("unknown source `{}`; configured are: {}", self.name, names.join(", ")));
        let source = sources.pop().ok_or_else(unknown)?;
        let rules = policy.sources.iter().find(|rules| rules.name == self.name);
        let link = rules.map(|rules| rules.link.clone()).unwrap_or_default();
        let issuer = rules.and_then(|rules| policy.issuers.get(usize::from(rules.issuer)));
        let issuer = issuer.map(|issuer| issuer.issuer.to_string()).unwrap_or_default();
        let sample = self.sample()?.map(|token| sample::read(&token, &issuer, &link));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(format!("start: {error}")))?;
        let mut found = runtime.block_on(examine(source.clone()));
        match sample {
            None => {}
            Some(Ok((link, value))) => found.push(runtime.block_on(try_sample(source, &link, &value))),
            Some(Err(finding)) => found.push(finding),
        }
        Ok(found.into_iter().map(|found| (found.grade.word().to_owned(), found.what.to_owned(), found.text)).collect())
    }
}
