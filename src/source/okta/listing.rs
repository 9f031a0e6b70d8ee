//! A full listing: groups, the members of each, assignments to the application, and all users. Each piece is one
//! request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::Okta;
use super::api::{Group, Listed, Right, User};
use super::groups::Groups;
use crate::domain::person::{Person, Status};
use crate::source::error::SourceError;
use crate::source::page::Page;
use crate::source::visited::Visited;

/// Rows per request: the most that Okta returns with users.
pub(super) const ROWS: &str = "200";
/// During a pause that is longer than this, other work gets its turn.
const REST: Duration = Duration::from_secs(1);
/// How many refusals of one piece in a row end the listing.
const REFUSALS: u32 = 5;
/// All statuses. Without a filter Okta omits deactivated users, and results of `search` may be out of date.
pub const STATUSES: [&str; 8] =
    ["ACTIVE", "DEPROVISIONED", "LOCKED_OUT", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY", "STAGED", "SUSPENDED"];

/// The progress of a listing. It is kept here and not in the page token, as memberships may be millions of rows.
#[derive(Debug, Default)]
pub(super) struct ListingState {
    /// The number of the listing, as in the page token.
    number: u64,
    stage: Stage,
    /// The next page of the stage; `None`: its first.
    pub(super) next: Option<Url>,
    /// The pages of the stage, by their first row and address.
    seen: Visited,
    groups: Vec<Group>,
    /// Each user's groups.
    members: HashMap<String, Vec<Arc<str>>>,
    /// Who is assigned to the application, and who was since read as not assigned.
    pub(super) assigned: HashMap<String, bool>,
    refusals: u32,
    rest_until: Option<Instant>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Groups,
    /// The members of the last of these groups.
    Members(Vec<String>),
    Assigned,
    Users,
    Over,
}

/// A record that has only an id.
#[derive(Deserialize)]
struct Member {
    id: String,
}

impl Stage {
    fn step(&self) -> &'static str {
        match self {
            Self::Groups => "list groups",
            Self::Members(_) => "list members of a group",
            Self::Assigned => "list who is assigned",
            Self::Users | Self::Over => "list users",
        }
    }
}

impl ListingState {
    /// Goes to the next page. None may repeat.
    pub(super) fn went_on(&mut self, next: Option<Url>, first: Option<&str>) -> Result<bool, SourceError> {
        let step = self.stage.step();
        for sign in next.as_ref().map(Url::as_str).into_iter().chain(first) {
            self.seen.note(step, sign)?;
        }
        self.next = next;
        Ok(self.next.is_none())
    }

    /// A user was read since, and is assigned to the application or not.
    pub(super) fn correct(&mut self, id: &str, assigned: bool) {
        // What was read before the list of assignments is older than it; outside a listing nothing needs it.
        if matches!(self.stage, Stage::Assigned | Stage::Users) {
            self.assigned.insert(id.to_owned(), assigned);
        }
    }

    fn turn_to(&mut self, stage: Stage) {
        self.stage = stage;
        self.seen = Visited::default();
    }
}

/// The users of a piece.
#[derive(Default)]
struct Users {
    /// Users whose state is certain.
    people: Vec<Person>,
    /// Users who are active but in no list of assignments. A list may omit somebody by mistake.
    doubted: Vec<Person>,
}

fn piece(users: Users, listing: &ListingState) -> Page {
    let next = (!matches!(listing.stage, Stage::Over)).then_some(listing.number);
    Page { doubted: users.doubted, ..Page::of(users.people, next) }
}

impl Okta {
    /// The next piece. If Okta makes us wait, it is empty, so that events get their turn in the meantime.
    pub(super) async fn piece(&mut self, place: Option<u64>) -> Result<Page, SourceError> {
        let mut listing = std::mem::take(&mut self.listing);
        if place != Some(listing.number) {
            listing = ListingState { number: listing.number + 1, ..ListingState::default() };
        }
        let read = self.piece_of(&mut listing).await;
        self.listing = listing;
        read
    }

    async fn piece_of(&mut self, listing: &mut ListingState) -> Result<Page, SourceError> {
        let now = Instant::now();
        let low = self.api.budget.pause(listing.stage.step(), now).map(|pause| now + pause);
        if let Some(until) = listing.rest_until.or(low).filter(|until| *until > now) {
            sleep(until.duration_since(now).min(REST)).await;
            // The pause ends once; the window may still be low.
            listing.rest_until = Some(until).filter(|until| *until > Instant::now());
            if listing.rest_until.is_some() {
                return Ok(piece(Users::default(), listing));
            }
        }
        match self.read_piece(listing).await {
            Ok(users) => {
                (listing.refusals, listing.rest_until) = (0, None);
                Ok(piece(users, listing))
            }
            Err(SourceError::RateLimited { wait, step }) if listing.refusals < REFUSALS => {
                tracing::info!(source.name = %self.settings.name, step, wait = ?wait, "the listing waits: too many requests");
                listing.refusals += 1;
                listing.rest_until = Some(Instant::now() + wait);
                Ok(piece(Users::default(), listing))
            }
            Err(error) => Err(error),
        }
    }

    async fn read_piece(&mut self, listing: &mut ListingState) -> Result<Users, SourceError> {
        match &listing.stage {
            Stage::Groups => {
                if let Some(groups) = self.piece_of_groups(listing).await? {
                    listing.turn_to(Stage::Members(groups.to_ask()));
                    self.groups.begin(groups);
                    self.groups.complete();
                }
                Ok(Users::default())
            }
            Stage::Members(left) => match left.last().cloned() {
                Some(group) => self.piece_of_members(listing, &group).await.map(|()| Users::default()),
                None => {
                    let app = self.settings.app.is_some();
                    listing.turn_to(if app { Stage::Assigned } else { Stage::Users });
                    Ok(Users::default())
                }
            },
            Stage::Assigned => {
                let app = self.settings.app.clone().unwrap_or_default();
                self.piece_of_assignments(listing, &app).await?;
                if listing.next.is_none() {
                    listing.turn_to(Stage::Users);
                }
                Ok(Users::default())
            }
            Stage::Users | Stage::Over => self.piece_of_users(listing).await,
        }
    }

    /// The next piece of all groups; returns them once all were read.
    async fn piece_of_groups(&mut self, listing: &mut ListingState) -> Result<Option<Groups>, SourceError> {
        let url = self.page_or(listing.next.as_ref(), &["groups"], &[("limit", ROWS)])?;
        let page: Listed<Group> = self.api.list("list groups", url, Right::Groups).await?;
        let over = listing.went_on(page.next, page.rows.first().map(|group| group.id.as_str()))?;
        listing.groups.extend(page.rows);
        Ok(over.then(|| Groups::of(&std::mem::take(&mut listing.groups))))
    }

    async fn piece_of_members(&mut self, listing: &mut ListingState, group: &str) -> Result<(), SourceError> {
        let url = self.page_or(listing.next.as_ref(), &["groups", group, "users"], &[("limit", ROWS)])?;
        let page: Listed<Member> = match self.api.list("list members of a group", url, Right::Groups).await {
            // The group was deleted meanwhile; its event reports it.
            Err(SourceError::NotFound { .. }) => Listed { rows: vec![], next: None },
            found => found?,
        };
        let over = listing.went_on(page.next, page.rows.first().map(|member| member.id.as_str()))?;
        if let Some(name) = self.groups.reading().and_then(|groups| groups.name(group)) {
            for member in page.rows {
                listing.members.entry(member.id).or_default().push(Arc::clone(&name));
            }
        }
        if let Stage::Members(left) = &mut listing.stage
            && over
        {
            left.pop();
            listing.seen = Visited::default();
        }
        Ok(())
    }

    async fn piece_of_users(&mut self, listing: &mut ListingState) -> Result<Users, SourceError> {
        let filter = every_status();
        let url = self.page_or(listing.next.as_ref(), &["users"], &[("filter", filter.as_str()), ("limit", ROWS)])?;
        let page: Listed<User> = self.api.list("list users", url, Right::Users).await?;
        if listing.went_on(page.next, page.rows.first().map(|user| user.id.as_str()))? {
            listing.turn_to(Stage::Over);
        }
        let everyone = self.groups.reading().and_then(Groups::everyone);
        let mut users = Users::default();
        for user in page.rows {
            let groups = listing.members.remove(&user.id).unwrap_or_default();
            let groups = groups.into_iter().chain(everyone.clone()).map(|name| name.to_string());
            let mut person = self.person(user)?;
            let assigned = match self.settings.app {
                Some(_) => listing.assigned.get(&person.id.key).copied(),
                None => Some(true),
            };
            let of = match (person.status, assigned) {
                (Status::Active, Some(true)) => {
                    person.groups = groups.collect();
                    &mut users.people
                }
                (Status::Active, Some(false)) => {
                    person.status = Status::Suspended;
                    &mut users.people
                }
                (Status::Active, None) => {
                    person.status = Status::Suspended;
                    &mut users.doubted
                }
                (Status::Suspended | Status::Departed, _) => &mut users.people,
            };
            of.push(person);
        }
        if matches!(listing.stage, Stage::Over) {
            (listing.assigned, listing.members) = (HashMap::new(), HashMap::new());
        }
        Ok(users)
    }

    pub(super) fn page_or(
        &self,
        next: Option<&Url>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Url, SourceError> {
        match next {
            Some(next) => Ok(next.clone()),
            None => self.api.address(&[&["api", "v1"], path].concat(), query),
        }
    }

    /// Reads all groups, outside a listing.
    pub(super) async fn read_all_groups(&mut self) -> Result<Groups, SourceError> {
        let mut listing = ListingState::default();
        loop {
            if let Some(groups) = self.piece_of_groups(&mut listing).await? {
                return Ok(groups);
            }
        }
    }
}

/// A filter with which every user comes exactly once, even if their status changes meanwhile.
pub fn every_status() -> String {
    STATUSES.map(|status| format!("status eq \"{status}\"")).join(" or ")
}
