//! `offboard source check`: tries everything that a tenant must allow, and says in words what is missing.

use super::Entra;
use super::api::{Delta, GROUPS, USERS};
use super::wire::{Group, Member, User};
use crate::source::directory::Finding;
use crate::source::error::SourceError;
use crate::source::report::CheckReport;
use crate::source::token::SignsIn as _;

/// Runs all tests.
pub(super) async fn examine(entra: &mut Entra) -> Vec<Finding> {
    let mut report = CheckReport::new(entra.api.proxies());
    if let Err(error) = entra.api.sign_in().await {
        report.failed("connection", &error);
        return report.findings();
    }
    report.good("connection", "the application can get a token");
    users(entra, &mut report).await;
    groups(entra, &mut report).await;
    report.findings()
}

async fn users(entra: &mut Entra, report: &mut CheckReport) {
    let select = entra.select.clone();
    let query = [("$select", select.as_str()), ("$top", "1")];
    let page: Result<super::wire::List<User>, _> = entra.api.get("list users", &["users"], &query, USERS).await;
    match page.map(|page| page.value.into_iter().next()) {
        Err(error) => return report.failed("users", &error),
        Ok(None) => report.warn("users", "the tenant has none: an empty listing is held back"),
        Ok(Some(user)) if user.enabled().is_none() => {
            let text = format!("their `accountEnabled` is not shown: the application needs `{USERS}`");
            return report.bad("users", text);
        }
        Ok(Some(user)) => {
            report.good("users", "they can be listed");
            if user.says_valid_from() {
                report.good("sessions", "revoked sessions are followed");
            } else {
                let text = "`signInSessionsValidFromDateTime` is not shown: revoked sessions are not followed";
                report.warn("sessions", text);
            }
        }
    }
    let latest = entra.users_url(true);
    match follow::<User>(entra, latest, USERS).await {
        Ok(()) => report.good("changes of users", "they can be followed"),
        Err(error) => report.failed("changes of users", &error),
    }
}

async fn groups(entra: &mut Entra, report: &mut CheckReport) {
    let query = [("$select", "id,displayName"), ("$top", "1")];
    let page: Result<super::wire::List<Group>, _> = entra.api.get("list groups", &["groups"], &query, GROUPS).await;
    match page.map(|page| page.value.into_iter().next()) {
        Err(error) => return report.failed("groups", &error),
        Ok(None) => report.good("groups", "they can be listed; there are none"),
        Ok(Some(group)) => {
            let (path, query) = (["groups", group.id.as_str(), "members"], [("$select", "id"), ("$top", "1")]);
            let members: Result<super::wire::List<Member>, _> =
                entra.api.get("read the members of a group", &path, &query, GROUPS).await;
            match members {
                Err(error) => return report.failed("groups", &error),
                Ok(_) => report.good("groups", "they and their members can be listed"),
            }
        }
    }
    let query = [("$select", "id,displayName,members"), ("$deltatoken", "latest")];
    let latest = entra.api.url(&["groups", "delta"], &query);
    match follow::<Group>(entra, latest, GROUPS).await {
        Ok(()) => report.good("changes of groups", "they can be followed"),
        Err(error) => report.failed("changes of groups", &error),
    }
}

async fn follow<T: serde::de::DeserializeOwned>(
    entra: &mut Entra,
    url: Result<reqwest::Url, SourceError>,
    right: &str,
) -> Result<(), SourceError> {
    match entra.api.delta::<T>(("follow changes", right), url?, false).await? {
        Delta::Page(_) => Ok(()),
        Delta::Reset => Err(SourceError::Status { step: "follow changes", status: 410 }),
    }
}
