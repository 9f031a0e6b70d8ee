//! `offboard revoke` of several people at once: all are judged first, then all or none are revoked, unless told to keep going.

use std::io::IsTerminal as _;

use super::client::Server;
use super::output::{print, shown};
use super::preview::{stands, state, told};
use super::{Answer, Failure, ambiguous, when};
use crate::control::input::refuse_token;
use crate::control::proto::{self, Judged, ListPeopleRequest, RevokeManyRequest, RevokeRequest, Target, target};

/// Somebody to revoke, perhaps with a reason of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) reference: String,
    pub(super) reason: Option<String>,
}

/// Several people to revoke; `request` is what is asked for each.
pub(super) struct Many {
    pub(super) people: Vec<Named>,
    pub(super) request: RevokeRequest,
    pub(super) keep_going: bool,
    pub(super) dry_run: bool,
}

/// The people in a file: one REF a line, perhaps with a comma and a reason. Empty lines and those that begin with `#` are
/// skipped.
pub(super) fn listed(text: &str) -> Result<Vec<Named>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let named = |line: &str| {
        let (reference, reason) = line.split_once(',').unwrap_or((line, ""));
        let bare = |text: &str| text.trim().trim_matches('"').trim().to_owned();
        Named { reference: bare(reference), reason: Some(bare(reason)).filter(|reason| !reason.is_empty()) }
    };
    let people: Vec<Named> = lines.map(named).collect();
    if let Some(refused) = people.iter().find_map(|one| refuse_token("person", &one.reference)) {
        return Err(Failure::No(refused));
    }
    if people.is_empty() { Err(Failure::No("there is nobody in the people file".to_owned())) } else { Ok(people) }
}

/// The members of a group now, in every source that has it.
pub(super) fn members(group: &str, server: &Server) -> Result<Vec<Named>, Failure> {
    let (mut people, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPeopleRequest { page_token, ..ListPeopleRequest::default() };
        let page = server.ask(|mut client| async move { client.list_people(request).await })?.into_inner();
        let here = |one: &proto::Person| one.status != "departed" && one.groups.iter().any(|name| name == group);
        people.extend(page.people.into_iter().filter(here).map(|one| Named { reference: one.id, reason: None }));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    if people.is_empty() {
        Err(Failure::No(format!("group `{group}` has no members in any source")))
    } else {
        Ok(people)
    }
}

/// People who are judged in one call: what would die with each of them fits into an answer.
const JUDGED: usize = 100;
/// People who are revoked in one call: all of them, or none.
const REVOKED: usize = 1_000;

impl Many {
    pub(super) fn run(mut self, server: &Server) -> Result<Answer, Failure> {
        let mut known = std::collections::BTreeSet::new();
        self.people.retain(|one| known.insert(one.reference.clone()));
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for some in self.people.chunks(JUDGED) {
            let judged = self.judge(some, server)?;
            self.progress("judged", accepted.len() + refused.len() + judged.len());
            for (one, found) in some.iter().zip(judged) {
                if found.refused.is_empty() {
                    self.tell(&found)?;
                    accepted.push(one);
                } else {
                    refused.push(why(&found));
                }
            }
        }
        let why = refused.iter().map(|why| format!("\n  {why}")).collect::<String>();
        let refused_of = format!("{} of {} were refused", refused.len(), self.people.len());
        if accepted.is_empty() || !(refused.is_empty() || self.keep_going) {
            return Err(Failure::No(format!(
                "nothing was revoked: {refused_of} (--keep-going revokes the others){why}"
            )));
        }
        if self.dry_run {
            print(&format!("dry run: nothing was revoked; {} of {} would be\n", accepted.len(), self.people.len()))?;
        } else {
            self.revoke(&accepted, server)?;
        }
        if refused.is_empty() { Ok(Answer::Yes) } else { Err(Failure::No(format!("{refused_of}{why}"))) }
    }

    /// What is asked for some of them.
    fn of<'a>(&self, some: impl IntoIterator<Item = &'a Named>) -> Vec<RevokeRequest> {
        let of = |one: &Named| {
            let target = Some(Target { target: Some(target::Target::Person(one.reference.clone())) });
            let reason = one.reason.clone().unwrap_or_else(|| self.request.reason.clone());
            RevokeRequest { target, reason, dry_run: false, ..self.request.clone() }
        };
        some.into_iter().map(of).collect()
    }

    fn judge(&self, some: &[Named], server: &Server) -> Result<Vec<Judged>, Failure> {
        let request = RevokeManyRequest { revocations: self.of(some), dry_run: true };
        let found = server.change(request, |mut client, request| async move { client.revoke_many(request).await })?;
        if found.judged.len() == some.len() {
            return Ok(found.judged);
        }
        Err(Failure::Unreachable("the server is of a version that judges one at a time: upgrade it".to_owned()))
    }

    /// What dies with one of them.
    fn tell(&self, found: &Judged) -> Result<(), Failure> {
        let issued_before = self.request.issued_before.as_deref();
        print(&found.preview.as_ref().map(|preview| told(preview, issued_before)).unwrap_or_default())?;
        if let Some(standing) = found.standing.as_ref().filter(|_| self.dry_run) {
            print(&format!("{}: nothing would be added\n", stands(standing)))?;
        }
        found.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok(())
    }

    fn progress(&self, what: &str, many: usize) {
        if std::io::stderr().is_terminal() || many < self.people.len() {
            eprintln!("[{many}/{}] {what}", self.people.len());
        }
    }

    /// Revokes all of them, in calls that each take all of theirs or none.
    fn revoke(&self, accepted: &[&Named], server: &Server) -> Result<(), Failure> {
        let (mut made, mut stood, mut epoch) = (0, 0, None);
        for some in accepted.chunks(REVOKED) {
            let request = RevokeManyRequest { revocations: self.of(some.iter().copied()), dry_run: false };
            let done = server.change(request, |mut client, request| async move { client.revoke_many(request).await });
            let done = done.map_err(|failure| unfinished(failure, made + stood, accepted.len()))?;
            for (id, one) in done.ids.iter().zip(some) {
                let reference = shown(&one.reference);
                if let Some(standing) = done.standing.iter().find(|standing| standing.id == *id) {
                    stood += 1;
                    print(&format!("revoked already: {reference}: {}\n", stands(standing)))?;
                } else {
                    made += 1;
                    print(&format!("revoked: {id} {reference}\n"))?;
                }
            }
            self.progress("revoked", made + stood);
            epoch = done.epoch;
        }
        let begins = self.request.effective.as_ref().and_then(|time| when::ahead(time, when::now()));
        let already = if stood > 0 { format!(", {stood} stood already") } else { String::new() };
        print(&format!("{made} revoked of {}{already} ({})\n", self.people.len(), state(begins.as_ref(), epoch)))
    }
}

/// Why one of them is refused; of an ambiguous one, which commands would say who is meant.
fn why(found: &Judged) -> String {
    let arguments = || std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let commands = found.ambiguous.as_ref().and_then(|ambiguous| ambiguous::told(ambiguous, &arguments()));
    found.refused.clone() + &commands.unwrap_or_default()
}

/// Says what was done before a call failed.
fn unfinished(failure: Failure, done: usize, of: usize) -> Failure {
    if done == 0 {
        return failure;
    }
    Failure::Unreachable(format!(
        "{done} of {of} were revoked, those printed above, and then: {failure}; the same command again revokes the others"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_people_may_have_reasons_and_remarks() {
        let named = |reference: &str, reason: Option<&str>| Named {
            reference: reference.to_owned(),
            reason: reason.map(str::to_owned),
        };
        let text = "# contractors\nhr/e1\n\n \"ann@example.com\" , \"HR-7, late\"\nhttps://idp|sub-1,\n";
        let people = listed(text).unwrap();
        let expected =
            [named("hr/e1", None), named("ann@example.com", Some("HR-7, late")), named("https://idp|sub-1", None)];
        assert_eq!(people, expected);
        assert!(matches!(listed("# nobody\n"), Err(Failure::No(_))));
        assert!(matches!(listed("eyJhbGciOiJFUzI1NiJ9.e30.x"), Err(Failure::No(_))), "a token");
    }

    #[test]
    fn what_was_done_before_a_call_failed_is_told() {
        let failure = || Failure::Unreachable("http://x: gone".to_owned());
        assert_eq!(unfinished(failure(), 0, 1_205).to_string(), "http://x: gone");
        let told = unfinished(failure(), 1_000, 1_205);
        assert!(
            told.to_string().starts_with("1000 of 1205 were revoked, those printed above, and then: http://x: gone")
        );
        assert_eq!(told.code(), 3);
    }
}
