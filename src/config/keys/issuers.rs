//! The keys of one issuer.

use super::super::table::{Kind, Section, later, optional, required};
use super::super::text::Format;
use super::{CLAIM, FILE, NAME, TEXT, words};

pub(super) static ISSUER: Section = Section {
    name: "issuer",
    about: "A token issuer.",
    keys: &[
        required("name", NAME, "Name for other keys."),
        required("issuer", TEXT, "Must equal `iss` exactly."),
        required("audiences", Kind::ListOr(&TEXT, "any"), "A token must have one of them; `any` accepts all."),
        required("jwks", Kind::Section(&JWKS), "Where its keys come from: exactly one of the three."),
        optional("algorithms", Kind::List(&Kind::Text(Format::Algorithm)), "Default: all asymmetric ones."),
        optional(
            "token_types",
            Kind::List(&Kind::Word(&words(&["at+jwt", "JWT", "absent"]))),
            "Which `typ` its tokens may have. Default: all.",
        ),
        optional(
            "id_tokens",
            Kind::Word(&words(&["refuse", "accept"])),
            "accept: allow tokens that look like ID tokens (`nonce`, `at_hash`, `c_hash`, `typ: ID`, `token_use: id`), for \
             providers whose access tokens look like that. Default refuse.",
        ),
        optional("leeway", Kind::Text(Format::DurationOrZero), "Tolerated clock skew. Default 30s."),
        optional("claims", Kind::Section(&CLAIMS), "Which claim holds what."),
        optional(
            "machines",
            Kind::Section(&MACHINES),
            "Which tokens belong to a client itself: exactly one of the three.",
        ),
        later("introspection"),
    ],
};

static JWKS: Section = Section {
    name: "jwks",
    about: "Where keys come from.",
    keys: &[
        optional("discovery", Kind::Flag, "true: use `jwks_uri` of `ISSUER/.well-known/openid-configuration`."),
        optional("uri", Kind::Text(Format::Url), "URL of a JWKS."),
        optional("file", FILE, "File with a JWKS."),
        optional(
            "ca_file",
            FILE,
            "PEM file with CAs, trusted in addition to the system's when keys are fetched; reloaded when it changes.",
        ),
    ],
};

static CLAIMS: Section = Section {
    name: "claims",
    about: "Which claim holds what: a name; dots lead into nested objects; use a list if a name contains dots.",
    keys: &[
        optional(
            "groups",
            CLAIM,
            "A list of strings, a string (one group), or an object with the groups as keys. Default groups.",
        ),
        optional("email", CLAIM, "Default email."),
        optional("username", CLAIM, "Default preferred_username."),
        optional("session", CLAIM, "Default sid."),
        optional(
            "client",
            CLAIM,
            "Default azp, else client_id, cid, appid. If set, only it grants and is shown; revocations match all of them.",
        ),
        optional("token", CLAIM, "Default jti, else uti; as for `client`."),
        optional("audience", CLAIM, "Default aud. If another one is set, an `aud` that is present must match as well."),
    ],
};

static MACHINES: Section = Section {
    name: "machines",
    about: "Which tokens belong to a client itself.",
    keys: &[
        optional("when", Kind::Word(&words(&["client_is_subject"])), "The client is the subject (default)."),
        optional("username_prefix", TEXT, "Prefix of the user name."),
        optional("claim", CLAIM, "Name of a claim, as in `claims`; needs `equals`."),
        optional("equals", TEXT, "Required value of the claim."),
    ],
};
