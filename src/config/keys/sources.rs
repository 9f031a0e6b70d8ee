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
    about: "One directory of people.",
    keys: &[
        required("name", NAME, "What metrics and commands call it."),
        required(
            "kind",
            Kind::Word(&Words {
                built: &["file", "keycloak", "ldap", "okta", "entra"],
                later: &["scim", "ssf", "webhook"],
            }),
            "What speaks there.",
        ),
        required("issuer", NAME, "Name of the issuer whose people they are."),
        optional("required", Kind::Flag, "true: its people get not_ready before the first full sync. Default false."),
        optional("max_staleness", DURATION, "Older than this is stale. Default 15m."),
        optional("when_stale", ALLOW_OR_DENY, "What then. Default allow."),
        optional("max_change", Kind::Section(&MAX_CHANGE), "When a listing that leaves out many is held back."),
        optional(
            "link",
            Kind::List(&Kind::Section(&LINK)),
            "How tokens are matched with people: the first whose claim is present decides. Default by kind: file and \
             keycloak sub=id, ldap preferred_username=uid, okta uid=id then sub=login, entra oid=id.",
        ),
        optional(
            "poll",
            DURATION,
            "How often it is asked what changed. Default by kind: file, okta and entra 10s, ldap 5s, keycloak 1s.",
        ),
        optional("reconcile", DURATION, "How often everybody is listed. Default 15m."),
        optional("timeout", DURATION, "For one answer. Default 30s."),
        optional("ca_file", FILE, "PEM file: trusted beside the system's roots (ldap: in place of them)."),
        optional("path", FILE, "file: `people: [{id, email, username, status, groups}]`."),
        optional("url", PROVIDER, "keycloak, ldap, okta: where it answers."),
        optional("realm", TEXT, "keycloak: name of the realm."),
        optional("tenant", TEXT, "entra: id of the tenant, or one of its domains."),
        optional(
            "client_id",
            TEXT,
            "keycloak: client with a service account. entra: id of the application. okta: service app, with \
             `private_key_file`.",
        ),
        optional("client_secret_file", FILE, "keycloak, entra: file with its secret."),
        optional("login_url", URL, "entra: where applications sign in. Default that of the public cloud."),
        optional("graph_url", URL, "entra: where Microsoft Graph answers. Default that of the public cloud."),
        optional("token_file", FILE, "okta: file with an API token (SSWS), instead of a service app."),
        optional("private_key_file", FILE, "okta: PEM file with the private key of the service app."),
        optional("key_id", TEXT, "okta: `kid` of that key, where the app has several."),
        optional("app", TEXT, "okta: id of an application; who is not assigned to it counts as suspended."),
        optional("start_tls", Kind::Flag, "ldap: TLS before anything else on ldap://. Default false."),
        optional("base_dn", TEXT, "ldap: below it are people and groups."),
        optional("people_dn", TEXT, "ldap: below it are people. Default base_dn."),
        optional("people_filter", TEXT, "ldap: which entries there are people. Default by flavor."),
        optional("bind_dn", TEXT, "ldap: as whom it is asked."),
        optional("bind_password_file", FILE, "ldap: file with the password."),
        optional("flavor", FLAVOR, "ldap: whose rules its entries go by. Default openldap."),
        optional("sync", SYNC, "ldap: how changes are heard of. Default by flavor: openldap syncrepl, ad dirsync."),
    ],
};

static MAX_CHANGE: Section = Section {
    name: "max_change",
    about: "The guard on what a listing leaves out.",
    keys: &[
        optional(
            "share",
            Kind::Text(Format::Share),
            "Share of the known people, or memberships, within a day. Default 20%.",
        ),
        optional(
            "from",
            Kind::Count,
            "Fewer than this many never hold a listing back, unless nobody is left. Default 10.",
        ),
    ],
};

static LINK: Section = Section {
    name: "link",
    about: "One way to match tokens with people.",
    keys: &[
        required("claim", CLAIM, "Claim of the token, named as in `claims`."),
        required("attribute", TEXT, "Attribute of the person: id, email, username, or what the provider calls it."),
    ],
};
