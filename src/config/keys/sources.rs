//! The keys of one source. Which of them a kind needs and which it does not know is said by [`crate::config::sources`].

use super::super::table::{Kind, Section, Words, optional, required};
use super::super::text::Format;
use super::{ALLOW_OR_DENY, CLAIM, DURATION, FILE, NAME, TEXT};

const URL: Kind = Kind::Text(Format::Url);
const PROVIDER: Kind = Kind::Text(Format::Provider);
const FLAVOR: Kind = Kind::Word(&Words { built: &["openldap", "ad"], later: &[] });
const SYNC: Kind = Kind::Word(&Words { built: &["syncrepl", "dirsync", "poll"], later: &[] });

pub(super) static SOURCE: Section = Section {
    name: "source",
    about: "A directory of people.",
    keys: &[
        required("name", NAME, "Name for metrics and commands."),
        required(
            "kind",
            Kind::Word(&Words {
                built: &["file", "keycloak", "ldap", "okta", "entra"],
                later: &["scim", "ssf", "webhook"],
            }),
            "Kind of the directory.",
        ),
        required("issuer", NAME, "Name of the issuer of these people's tokens."),
        optional("required", Kind::Flag, "true: until the first full sync, its people get not_ready. Default false."),
        optional("max_staleness", DURATION, "Data older than this is stale. Default 15m."),
        optional("when_stale", ALLOW_OR_DENY, "Decision while stale. Default allow."),
        optional("max_change", Kind::Section(&MAX_CHANGE), "When a listing that removes many is held back."),
        optional(
            "link",
            Kind::List(&Kind::Section(&LINK)),
            "How tokens are matched with people; the first link whose claim is present decides. Default by kind: file and \
             keycloak sub=id, ldap preferred_username=uid, okta uid=id then sub=login, entra oid=id.",
        ),
        optional(
            "poll",
            DURATION,
            "Interval between polls for changes. Default by kind: file, okta and entra 10s, ldap 5s, keycloak 1s.",
        ),
        optional("reconcile", DURATION, "Interval between full listings. Default 15m."),
        optional("timeout", DURATION, "Timeout of a request. Default 30s."),
        optional("ca_file", FILE, "PEM file with CAs, trusted in addition to the system's (ldap: instead of them)."),
        optional("path", FILE, "file: `people: [{id, email, username, status, groups}]`."),
        optional("url", PROVIDER, "keycloak, ldap, okta: base URL."),
        optional("realm", TEXT, "keycloak: name of the realm."),
        optional("tenant", TEXT, "entra: id of the tenant, or one of its domains."),
        optional(
            "client_id",
            TEXT,
            "keycloak: client with a service account. entra: id of the application. okta: service app, with \
             `private_key_file`.",
        ),
        optional("client_secret_file", FILE, "keycloak, entra: file with its secret."),
        optional("login_url", URL, "entra: URL where applications sign in. Default: the public cloud."),
        optional("graph_url", URL, "entra: URL of Microsoft Graph. Default: the public cloud."),
        optional("token_file", FILE, "okta: file with an API token (SSWS), instead of a service app."),
        optional("private_key_file", FILE, "okta: PEM file with the private key of the service app."),
        optional("key_id", TEXT, "okta: `kid` of that key, if the app has several."),
        optional("app", TEXT, "okta: id of an application; people not assigned to it count as suspended."),
        optional("start_tls", Kind::Flag, "ldap: STARTTLS on ldap://. Default false."),
        optional("base_dn", TEXT, "ldap: search base of people and groups."),
        optional("people_dn", TEXT, "ldap: search base of people. Default base_dn."),
        optional("people_filter", TEXT, "ldap: filter that selects people. Default by flavor."),
        optional("bind_dn", TEXT, "ldap: DN to bind as."),
        optional("bind_password_file", FILE, "ldap: file with the password."),
        optional("flavor", FLAVOR, "ldap: type of server. Default openldap."),
        optional("sync", SYNC, "ldap: how to learn of changes. Default by flavor: openldap syncrepl, ad dirsync."),
    ],
};

static MAX_CHANGE: Section = Section {
    name: "max_change",
    about: "The limit on what a listing removes.",
    keys: &[
        optional(
            "share",
            Kind::Text(Format::Share),
            "Share of the known people, or memberships, per day. Default 20%.",
        ),
        optional(
            "from",
            Kind::Count,
            "Fewer removals than this never hold a listing back, unless nobody would be left. Default 10.",
        ),
    ],
};

static LINK: Section = Section {
    name: "link",
    about: "How to match tokens with people.",
    keys: &[
        required("claim", CLAIM, "Claim of the token, named as in `claims`."),
        required("attribute", TEXT, "Attribute of the person: id, email, username, or what the provider calls it."),
    ],
};
