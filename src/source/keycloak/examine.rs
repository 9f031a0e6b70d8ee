//! `offboard source check`: everything that a realm must allow, tried once, and what is missing in words.

use super::Settings;
use super::api::Api;
use super::events::USER_EVENTS;
use super::shapes::{Client, EventsConfig, User};
use crate::source::directory::{Finding, Grade};
use crate::source::error::{SourceError, chain};

struct Report(Vec<Finding>);

impl Report {
    fn say(&mut self, grade: Grade, what: &'static str, text: impl Into<String>) {
        self.0.push(Finding { grade, what, text: text.into() });
    }

    fn failed(&mut self, grade: Grade, what: &'static str, error: &SourceError) {
        self.say(grade, what, chain(error));
    }
}

/// Tries everything.
pub(super) async fn examine(api: &mut Api, settings: &Settings) -> Vec<Finding> {
    let mut report = Report(api.proxies());
    if let Err(error) = api.sign_in().await {
        report.failed(Grade::Bad, "connection", &error);
        return report.0;
    }
    report.say(Grade::Good, "connection", "the service account gets a token");
    people(api, &mut report).await;
    events(api, &mut report).await;
    match api.get::<Vec<Client>>("list clients", &["clients"], &[("max", "1")], "view-clients").await {
        Ok(_) => report.say(Grade::Good, "clients", "disabled clients are followed"),
        Err(error) => {
            report.say(Grade::Warning, "clients", format!("a disabled client is not noticed: {}", chain(&error)))
        }
    }
    match api.realm_not_before().await {
        Ok(_) => report.say(Grade::Good, "realm", format!("`notBefore` of {} can be read", settings.issuer)),
        Err(error) => report.failed(Grade::Warning, "realm", &error),
    }
    report.0
}

async fn people(api: &mut Api, report: &mut Report) {
    let rows: Result<Vec<User>, _> = api.get("list users", &["users"], &[("max", "2")], "view-users").await;
    match (rows, api.count(&[]).await) {
        (Ok(rows), Ok(count)) if rows.is_empty() && count > 0 => {
            report.failed(Grade::Bad, "people", &api.void("list users", 0, count));
        }
        (Ok(_), Ok(0)) => report.say(Grade::Warning, "people", "the realm has no users: an empty listing is held back"),
        (Ok(_), Ok(count)) => report.say(Grade::Good, "people", format!("{count} users can be listed")),
        (Err(error), _) | (_, Err(error)) => report.failed(Grade::Bad, "people", &error),
    }
    match super::groups::read(api).await {
        Ok(tree) => report.say(Grade::Good, "groups", format!("{} groups can be listed", tree.ids().count())),
        Err(error) => report.failed(Grade::Bad, "groups", &error),
    }
}

async fn events(api: &mut Api, report: &mut Report) {
    let slow = "somebody disabled is out after 10 s or more, whoever is deleted or moves only with the next full listing; \
                and what is known is as old as the last one: `max_staleness` must be longer than `reconcile`, best twice \
                as long";
    let config: Result<EventsConfig, _> =
        api.get("read the settings of events", &["events", "config"], &[], "view-events").await;
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            return report.say(Grade::Warning, "admin events", format!("{}; without it {slow}", chain(&error)));
        }
    };
    if !config.admin_events_enabled {
        let what = format!("they are off (realm settings, Events, Admin events settings): {slow}");
        report.say(Grade::Warning, "admin events", what);
    } else if !config.admin_events_details_enabled {
        let what =
            "\"Include representation\" is off: who is disabled and enabled again within a second is not noticed";
        report.say(Grade::Warning, "admin events", what);
    } else {
        report.say(Grade::Good, "admin events", "they are on, with representations");
    }
    let off: Vec<&str> = match config.events_enabled {
        true => {
            USER_EVENTS.into_iter().filter(|kind| !config.enabled_event_types.iter().any(|on| on == kind)).collect()
        }
        false => USER_EVENTS.to_vec(),
    };
    if !config.events_enabled {
        let what = "they are off (realm settings, Events, User events settings): logouts by the people themselves are not \
                    followed, and lockouts only as disabled users";
        report.say(Grade::Warning, "user events", what);
    } else if off.is_empty() {
        report.say(Grade::Good, "user events", "they are on");
    } else {
        report.say(Grade::Warning, "user events", format!("of these types none are kept: {}", off.join(", ")));
    }
}
