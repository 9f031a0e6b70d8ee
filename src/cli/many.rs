//! `offboard revoke` of several people at once: all or none, unless told to keep going.

use std::io::IsTerminal as _;

use super::client::Server;
use super::output::{print, shown};
use super::preview::{state, told};
use super::{Answer, Failure, when};
use crate::control::input::refuse_token;
use crate::control::proto::{self, ListPeopleRequest, RevokeManyRequest, RevokeRequest, Target, target};

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

impl Many {
    pub(super) fn run(mut self, server: &Server) -> Result<Answer, Failure> {
        let mut known = std::collections::BTreeSet::new();
        self.people.retain(|one| known.insert(one.reference.clone()));
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for (number, one) in self.people.iter().enumerate() {
            if std::io::stderr().is_terminal() {
                eprintln!("[{}/{}] {}", number + 1, self.people.len(), shown(&one.reference));
            }
            let request = self.of(one);
            let asked = request.clone();
            match server.ask(|mut client| async move { client.revoke(asked).await }) {
                Ok(found) => {
                    let found = found.into_inner();
                    print(
                        &found
                            .preview
                            .map(|found| told(&found, self.request.issued_before.as_deref()))
                            .unwrap_or_default(),
                    )?;
                    found.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                    accepted.push((&one.reference, RevokeRequest { dry_run: false, ..request }));
                }
                Err(Failure::No(why) | Failure::Usage(why)) => refused.push(why),
                Err(failure) => return Err(failure),
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
            self.revoke(accepted, server)?;
        }
        if refused.is_empty() { Ok(Answer::Yes) } else { Err(Failure::No(format!("{refused_of}{why}"))) }
    }

    /// What is asked for one of them, as a dry run.
    fn of(&self, one: &Named) -> RevokeRequest {
        let target = Some(Target { target: Some(target::Target::Person(one.reference.clone())) });
        let reason = one.reason.clone().unwrap_or_else(|| self.request.reason.clone());
        RevokeRequest { target, reason, ..self.request.clone() }
    }

    fn revoke(&self, accepted: Vec<(&String, RevokeRequest)>, server: &Server) -> Result<(), Failure> {
        let (references, revocations): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
        let request = RevokeManyRequest { revocations };
        let done = server.ask(|mut client| async move { client.revoke_many(request).await })?.into_inner();
        for (id, reference) in done.ids.iter().zip(references) {
            print(&format!("revoked: {id} {}\n", shown(reference)))?;
        }
        let begins = self.request.effective.as_ref().and_then(|time| when::ahead(time, when::now()));
        print(&format!(
            "{} revoked of {} ({})\n",
            done.ids.len(),
            self.people.len(),
            state(begins.as_ref(), done.epoch)
        ))
    }
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
}
