//! Attributes that people may edit themselves. Whoever takes another person's value can use that person's roles;
//! whoever changes their own is no longer found when they leave.

use crate::config::fields::Fields;
use crate::config::problem::quoted;

/// Attributes that people may edit with a provider's default or usual settings, and what prevents it.
struct Editable {
    kind: &'static str,
    attributes: &'static [&'static str],
    unless: &'static str,
}

/// Keycloak, "User profile": the account console edits these. Okta, "User permissions" of the default profile. Entra,
/// `user: update` of Microsoft Graph with `User.ReadWrite`; `mail` is not verified ("nOAuth"). Active Directory, property
/// set "Personal Information"; OpenLDAP, `by self write` in the ACL that most copy.
const ALL: [Editable; 5] = [
    Editable {
        kind: "keycloak",
        attributes: &["email", "unverified_email", "firstName", "lastName", "locale"],
        unless: "the realm's user profile lets only administrators edit it",
    },
    Editable {
        kind: "keycloak",
        attributes: &["username"],
        unless: "the realm keeps `Edit username` off (as it comes)",
    },
    Editable {
        kind: "okta",
        attributes: &["email", "secondEmail", "firstName", "lastName", "mobilePhone", "primaryPhone", "nickName"],
        unless: "the profile says `read-only` for the user",
    },
    Editable {
        kind: "entra",
        attributes: &[
            "email",
            "mail",
            "otherMails",
            "mobilePhone",
            "businessPhones",
            "displayName",
            "preferredLanguage",
        ],
        unless: "only administrators may write it, and addresses are verified",
    },
    Editable {
        kind: "ldap",
        attributes: &[
            "email",
            "mail",
            "displayName",
            "cn",
            "sn",
            "givenName",
            "description",
            "telephoneNumber",
            "mobile",
            "homePhone",
            "pager",
            "street",
            "streetAddress",
            "l",
            "st",
            "postalCode",
            "postalAddress",
            "labeledURI",
            "wWWHomePage",
            "url",
            "info",
            "preferredLanguage",
            "jpegPhoto",
            "userCertificate",
        ],
        unless: "the directory's ACL keeps people from writing it in their own entry",
    },
];

/// Warns about each link by such an attribute.
pub(super) fn warn(fields: &Fields<'_>) {
    let kind = fields.text("kind").unwrap_or_default();
    for link in fields.sections("link").unwrap_or_default() {
        let Some(attribute) = link.text("attribute") else { continue };
        // LDAP compares attribute names ignoring case (RFC 4512 section 2.5); for others this errs on the safe side.
        let fits = |editable: &&Editable| {
            editable.kind == kind && editable.attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute))
        };
        if let Some(editable) = ALL.iter().find(fits) {
            let what = format!(
                "people may edit {} themselves (`kind: {kind}`) unless {}; whoever takes another person's value is taken for \
                 that person; link by an id",
                quoted(attribute),
                editable.unless
            );
            link.warn("attribute", what);
        }
    }
}
