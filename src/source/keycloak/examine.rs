//! `offboard source check`: tries everything that a realm must allow, and says in words what is missing.

use super::Settings;
use super::api::Api;
use super::events::USER_EVENTS;
use super::shapes::{Client, EventsConfig, User};
use crate::source::directory::Finding;
use crate::source::error::chain;
use crate::source::report::CheckReport;
use crate::source::token::SignsIn as _;

/// Runs all tests.
pub(super) async fn examine(api: &mut Api, settings: &Settings) -> Vec<Finding> {
    let mut report = CheckReport::new(api.proxies());
    if let Err(error) = api.sign_in().await {
        report.failed("connection", &error);
        return report.findings();
    }
    report.good("connection", "the service account can get a token");
    people(api, &mut report).await;
    events(api, &mut report).await;
    match api.get::<Vec<Client>>("list clients", &["clients"], &[("max", "1")], "view-clients").await {
        Ok(_) => report.good("clients", "disabled clients are followed"),
        Err(error) => report.warn("clients", format!("disabled clients are not noticed: {}", chain(&error))),
    }
    match api.realm_not_before().await {
        Ok(_) => report.good("realm", format!("`notBefore` of {} can be read", settings.issuer)),
        Err(error) => report.warn("realm", chain(&error)),
    }
    report.findings()
}

async fn people(api: &mut Api, report: &mut CheckReport) {
    let rows: Result<Vec<User>, _> = api.get("list users", &["users"], &[("max", "2")], "view-users").await;
    match (rows, api.count(&[]).await) {
        (Ok(rows), Ok(count)) if rows.is_empty() && count > 0 => {
            report.failed("people", &api.void("list users", 0, count));
        }
        (Ok(_), Ok(0)) => report.warn("people", "the realm has no users: an empty listing is held back"),
        (Ok(_), Ok(count)) => report.good("people", format!("{count} users can be listed")),
        (Err(error), _) | (_, Err(error)) => report.failed("people", &error),
    }
    match super::groups::read(api).await {
        Ok(tree) => report.good("groups", format!("{} groups can be listed", tree.ids().count())),
        Err(error) => report.failed("groups", &error),
    }
}

async fn events(api: &mut Api, report: &mut CheckReport) {
    let slow = "somebody disabled is out after 10 s or more, whoever is deleted or moves only with the next full listing; \
                and what is known is as old as the last one: `max_staleness` must be longer than `reconcile`, best twice \
                as long";
    let config: Result<EventsConfig, _> =
        api.get("read the settings of events", &["events", "config"], &[], "view-events").await;
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            return report.warn("admin events", format!("{}; without it {slow}", chain(&error)));
        }
    };
    if !config.admin_events_enabled {
        let what = format!("they are off (realm settings, Events, Admin events settings): {slow}");
        report.warn("admin events", what);
    } else if !config.admin_events_details_enabled {
        let what = "\"Include representation\" is off: a user who is disabled and enabled again within a second is not noticed";
        report.warn("admin events", what);
    } else {
        report.good("admin events", "they are on, with representations");
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
        report.warn("user events", what);
    } else if off.is_empty() {
        report.good("user events", "they are on");
    } else {
        report.warn("user events", format!("these event types are not saved: {}", off.join(", ")));
    }
}
