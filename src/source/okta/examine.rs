//! `offboard source check`: tries everything that an organization must allow, and says in words what is missing.

use serde_json::Value;

use super::Okta;
use super::api::{Listed, Right, User};
use super::count::Counted;
use super::listing::every_status;
use crate::domain::settings::okta::Credential;
use crate::source::directory::{Finding, Grade};
use crate::source::error::SourceError;
use crate::source::report::CheckReport;
use crate::source::token::SignsIn as _;

/// The clock difference, in seconds, that is not worth a warning: our own cut-offs allow for it.
const SKEW: i64 = 5;

/// If more than one in this many is not assigned, it may be the wrong application; a listing would be held back for as
/// many.
const FEW: usize = 5;

/// Runs all tests.
pub(super) async fn examine(okta: &mut Okta) -> Vec<Finding> {
    let mut report = CheckReport::new(okta.api.proxies());
    if let Err(error) = reach(okta, &mut report).await {
        report.failed("connection", &error);
        return report.findings();
    }
    if let Credential::App { client_id, .. } = &okta.settings.credential {
        let client_id = client_id.clone();
        match okta.api.sign_in().await {
            Ok(()) => report.good("credential", format!("service app `{client_id}` gets a token")),
            Err(error) => {
                report.failed("credential", &error);
                return report.findings();
            }
        }
    }
    logs(okta, &mut report).await;
    users(okta, &mut report).await;
    groups(okta, &mut report).await;
    if let Some(app) = okta.settings.app.clone() {
        assigned(okta, &app, &mut report).await;
    }
    rates(okta, &mut report);
    report.findings()
}

async fn reach(okta: &mut Okta, report: &mut CheckReport) -> Result<(), SourceError> {
    let answer = okta.api.reach().await?.checked(|_| "no Okta organization answers there".to_owned())?;
    answer.json::<Value>()?;
    report.good("connection", format!("{} is an Okta organization", okta.api.url));
    let there = okta.api.now().await?;
    clock(report, there.as_millis() - (okta.time)().wall.as_millis());
    Ok(())
}

fn clock(report: &mut CheckReport, ahead: i64) {
    let seconds = ahead / 1000;
    let text = match seconds {
        0 => "the clocks agree to the second".to_owned(),
        1.. => format!("its clock is {seconds} s ahead of ours"),
        _ => format!("its clock is {} s behind ours", -seconds),
    };
    if seconds.abs() <= SKEW {
        return report.good("clock", text);
    }
    report.warn("clock", format!("{text}: one of them is wrong, and what is cut off depends on it"));
}

async fn logs(okta: &mut Okta, report: &mut CheckReport) {
    let filter = okta.wanted.filter();
    let found = match okta.api.address(&["api", "v1", "logs"], &[("filter", filter.as_str()), ("limit", "1")]) {
        Ok(url) => okta.api.list::<Value>("read the System Log", url, Right::Logs).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(Listed { next: Some(_), .. }) => report.good("logs", "the System Log can be followed"),
        Ok(_) => report.bad("logs", "the System Log has no `next` link, so it cannot be followed"),
        Err(error) => report.failed("logs", &error),
    }
}

async fn users(okta: &mut Okta, report: &mut CheckReport) {
    let filter = every_status();
    let found = match okta.api.address(&["api", "v1", "users"], &[("filter", filter.as_str()), ("limit", "1")]) {
        Ok(url) => okta.api.list::<User>("list users", url, Right::Users).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(page) if page.rows.is_empty() => {
            report.warn("users", "none can be seen: an empty listing is held back");
        }
        Ok(_) => report.good("users", "they can be listed"),
        Err(error) => report.failed("users", &error),
    }
}

async fn groups(okta: &mut Okta, report: &mut CheckReport) {
    let all = match okta.read_all_groups().await {
        Ok(all) => all,
        Err(error) => return report.failed("groups", &error),
    };
    let mut ask = all.to_ask();
    let members = match ask.pop() {
        Some(group) => {
            let path = ["groups", group.as_str(), "users"];
            okta.api.get::<Vec<Value>>("list members of a group", &path, Right::Groups).await.map(drop)
        }
        None => Ok(()),
    };
    match members {
        Ok(()) => {
            let many = all.many();
            report.good("groups", format!("{many} can be listed, with one request or more for each"));
        }
        Err(error) => report.failed("groups", &error),
    }
}

async fn assigned(okta: &mut Okta, id: &str, report: &mut CheckReport) {
    let app = match okta.app(id).await {
        Ok(app) => app,
        Err(error) => return report.failed("app", &error),
    };
    let name = format!("app `{}` ({id})", app.label);
    if let Err(error) = okta.somebody_is_assigned(id).await {
        return report.failed("app", &error);
    }
    if app.status != "ACTIVE" {
        report.warn("app", format!("{name} is inactive in Okta: nobody can sign in to it"));
    }
    match okta.count_unassigned(id).await {
        Err(error) => report.failed("app", &error),
        Ok(None) => {
            let text = "more people are assigned to it than are counted here; who is not counts as suspended";
            report.good("app", format!("{name}: {text}"));
        }
        Ok(Some(counted)) => {
            let (grade, text) = in_words(counted, &name);
            report.say(grade, "app", text);
        }
    }
}

fn in_words(Counted { active, unassigned, whole }: Counted, name: &str) -> (Grade, String) {
    let grade = match unassigned {
        0 => Grade::Good,
        // Nobody would be left.
        all if all == active && whole => Grade::Bad,
        some if some.saturating_mul(FEW) > active => Grade::Warning,
        _ => Grade::Good,
    };
    let of =
        if whole { "people who are active in Okta" } else { "people who are active in Okta, and were listed first," };
    let hint = if grade == Grade::Good { "" } else { ": is the id right?" };
    (grade, format!("{unassigned} of {active} {of} are not assigned to {name}, and count as suspended{hint}"))
}

fn rates(okta: &Okta, report: &mut CheckReport) {
    match okta.api.budget.scarcest() {
        Some((step, rate)) if rate.remaining.saturating_mul(10) < rate.limit => {
            let text = format!("to {step}, only {} of {} requests are left in this window", rate.remaining, rate.limit);
            report.warn("rate limit", text);
        }
        Some((step, rate)) => {
            report.good("rate limit", format!("at least {} requests in a window ({step})", rate.limit));
        }
        None => report.warn("rate limit", "no answer named a limit; 429 is obeyed all the same"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_assigned_is_counted_in_words() {
        let says = |unassigned, active, whole| in_words(Counted { active, unassigned, whole }, "app `x`");
        let (grade, text) = says(3, 20, true);
        assert_eq!(grade, Grade::Good);
        assert_eq!(text, "3 of 20 people who are active in Okta are not assigned to app `x`, and count as suspended");
        assert_eq!(says(0, 0, true).0, Grade::Good);
        assert_eq!(says(4, 20, true).0, Grade::Good);
        let (grade, text) = says(5, 20, true);
        assert!(grade == Grade::Warning && text.ends_with("is the id right?"), "{text}");
        assert_eq!(says(20, 20, true).0, Grade::Bad);
        let (grade, text) = says(20, 20, false);
        assert!(grade == Grade::Warning && text.contains("were listed first"), "a part is not everybody: {text}");
    }
}
