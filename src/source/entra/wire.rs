//! The answers of Microsoft Graph, as far as we use them.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::domain::time::Timestamp;

/// User properties that are always requested.
pub const PROPERTIES: [&str; 5] = ["id", "accountEnabled", "userPrincipalName", "mail", VALID_FROM];
/// Tokens from before this time are invalid.
const VALID_FROM: &str = "signInSessionsValidFromDateTime";

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    pub value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
}

/// A page of a delta query. It has one of the two links.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub value: Vec<T>,
    /// The round has more pages.
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    /// The round is over; the next one continues here.
    #[serde(rename = "@odata.deltaLink")]
    pub delta: Option<String>,
}

/// A user: complete, only the changes, or a removal.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub id: String,
    #[serde(rename = "@removed")]
    removed: Option<Removed>,
    #[serde(flatten)]
    properties: Map<String, Value>,
}

/// `changed`: can be restored; `deleted`: cannot. Both are gone.
#[derive(Clone, Debug, Deserialize)]
struct Removed {
    #[serde(rename = "reason")]
    _reason: Option<IgnoredAny>,
}

impl User {
    /// Whether they are deleted, temporarily or permanently.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.is_some()
    }

    /// Whether they may sign in, if the record says so.
    #[must_use]
    pub fn enabled(&self) -> Option<bool> {
        self.properties.get("accountEnabled")?.as_bool()
    }

    /// Whether the record has everything that we request. These two are never empty in a directory; others may be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.enabled().is_some() && self.text("userPrincipalName").is_some()
    }

    /// The text of a property.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// All texts of a property, which may be a list.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        let values = match self.properties.get(name) {
            Some(serde_json::Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        let texts = values.iter().filter_map(serde_json::Value::as_str).filter(|text| !text.is_empty());
        texts.map(str::to_owned).collect()
    }

    /// When all sessions were last ended.
    #[must_use]
    pub fn valid_from(&self) -> Option<Timestamp> {
        self.text(VALID_FROM)?.parse().ok()
    }

    /// Whether the record says when all sessions were last ended, or that they never were.
    #[must_use]
    pub fn says_valid_from(&self) -> bool {
        self.properties.contains_key(VALID_FROM)
    }

    /// Whether it contradicts another record of the same user, in the properties that both have.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let null = Value::Null;
        self.is_removed() != other.is_removed()
            || self.properties.iter().filter(|(name, _)| !name.starts_with('@')).any(|(name, value)| {
                // A property that was never set is omitted.
                value != other.properties.get(name).unwrap_or(&null)
            })
    }
}

/// A group, with the changes of its direct members.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: String,
    pub display_name: Option<String>,
    #[serde(rename = "@removed")]
    removed: Option<Removed>,
    #[serde(rename = "members@delta")]
    pub members: Option<Vec<Member>>,
}

impl Group {
    /// Whether it is deleted, temporarily or permanently.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.is_some()
    }
}

/// A member of a group, or a former one.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    pub id: String,
    #[serde(rename = "@odata.type")]
    kind: Option<String>,
    #[serde(rename = "@removed")]
    removed: Option<Removed>,
}

impl Member {
    /// Whether it is a user or a group. Devices, contacts and applications may be members too; they do not count.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| self.is_group() || kind == "#microsoft.graph.user")
    }

    /// Whether it is a group.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.kind.as_deref() == Some("#microsoft.graph.group")
    }

    /// Whether the membership has ended.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.is_some()
    }
}

/// `01234567-89ab-cdef-0123-456789abcdef`
#[must_use]
pub fn is_guid(text: &str) -> bool {
    let at_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| if at_dash(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> User {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_page_of_the_documentation() {
        let page = r#"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users(id,accountEnabled)",
            "@odata.deltaLink":"https://graph.microsoft.com/v1.0/users/delta?$deltatoken=oEcOySpF",
            "value":[{"id":"8b1ee412","accountEnabled":false},
                     {"id":"86462606","@removed":{"reason":"changed"}},
                     {"id":"86462607","@removed":{"reason":"deleted"}}]}"#;
        let page: Page<User> = serde_json::from_str(page).unwrap();
        assert_eq!((page.next.is_some(), page.delta.is_some()), (false, true));
        assert_eq!(page.value.iter().map(User::is_removed).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(page.value[0].enabled(), Some(false));
        assert_eq!(page.value[1].enabled(), None, "absent is not enabled, nor disabled");
        assert!(page.value.iter().all(|user| !user.is_whole()));
    }

    #[test]
    fn members_of_the_documentation() {
        let group = r##"{"id":"2e5807ce","displayName":"TestGroup3","members@delta":[
            {"@odata.type":"#microsoft.graph.user","id":"632f6bb2","@removed":{"reason":"deleted"}},
            {"@odata.type":"#microsoft.graph.group","id":"37de1ae3"},
            {"@odata.type":"#microsoft.graph.device","id":"37de1ae4"},
            {"id":"37de1ae5"}]}"##;
        let group: Group = serde_json::from_str(group).unwrap();
        let members = group.members.unwrap();
        assert_eq!(members.iter().map(Member::is_removed).collect::<Vec<_>>(), [true, false, false, false]);
        assert_eq!(members.iter().map(Member::counts).collect::<Vec<_>>(), [true, true, false, true]);
        let renamed: Group = serde_json::from_str(r#"{"id":"2","displayName":"x"}"#).unwrap();
        assert!(renamed.members.is_none() && !renamed.is_removed());
    }

    #[test]
    fn a_part_of_a_record_may_agree_with_the_whole() {
        let whole = user(r#"{"id":"1","accountEnabled":true,"userPrincipalName":"a@x","@odata.etag":"2"}"#);
        assert!(whole.is_whole());
        assert!(!user(r#"{"id":"1","accountEnabled":true,"mail":null,"@odata.etag":"1"}"#).contradicts(&whole));
        assert!(user(r#"{"id":"1","accountEnabled":false}"#).contradicts(&whole));
        assert!(user(r#"{"id":"1","mail":"a@x"}"#).contradicts(&whole));
        assert!(user(r#"{"id":"1","@removed":{}}"#).contradicts(&whole));
    }

    #[test]
    fn the_time_of_a_revocation_is_read() {
        let user = user(r#"{"id":"1","signInSessionsValidFromDateTime":"2026-11-25T13:00:05Z"}"#);
        assert_eq!(user.valid_from().map(|time| time.to_string()), Some("2026-11-25T13:00:05.000Z".to_owned()));
    }
}
