//! The table: every key of the configuration.

mod issuers;
mod sources;

use issuers::ISSUER;
use sources::SOURCE;

use super::table::{Kind, Section, Words, later, optional, required};
use super::text::Format;

const TEXT: Kind = Kind::Text(Format::Plain);
const CLAIM: Kind = Kind::Claim;
const NAME: Kind = Kind::Text(Format::Name);
const FILE: Kind = Kind::Text(Format::File);
const DURATION: Kind = Kind::Text(Format::Duration);
const TIME: Kind = Kind::Text(Format::Time);
const ADDRESS: Kind = Kind::Text(Format::Address);
const HEADER: Kind = Kind::Text(Format::Header);

const fn words(built: &'static [&'static str]) -> Words {
    Words { built, later: &[] }
}

const ENFORCEMENT: Kind = Kind::Word(&words(&["enforce", "observe"]));
const AUTHORIZATION: Kind = Kind::Word(&words(&["roles", "none"]));
const ALLOW_OR_DENY: Kind = Kind::Word(&words(&["allow", "deny"]));
const PASS_OR_DENY: Kind = Kind::Word(&words(&["pass", "deny"]));

/// The whole configuration.
pub static ROOT: Section = Section {
    name: "configuration",
    about: "Configuration of Offboard.",
    keys: &[
        optional(
            "enforcement",
            ENFORCEMENT,
            "enforce (default): deny. observe: allow every check, but count and record what it would have been.",
        ),
        optional(
            "authorization",
            AUTHORIZATION,
            "roles (default): a binding must permit the request. none: check only identity and revocation.",
        ),
        optional("no_credentials", PASS_OR_DENY, "Requests without credentials. Default deny."),
        optional(
            "foreign_credentials",
            PASS_OR_DENY,
            "Credentials of an issuer or scheme that is not configured. Default deny.",
        ),
        optional("preflight", PASS_OR_DENY, "CORS preflight requests. Default pass."),
        optional(
            "server",
            Kind::Section(&SERVER),
            "The listeners. Changes need a restart, except `control.audiences`.",
        ),
        optional("store", Kind::Section(&STORE), "Where the log is kept. Changes need a restart."),
        optional("issuers", Kind::List(&Kind::Section(&ISSUER)), "Token issuers."),
        optional(
            "sources",
            Kind::List(&Kind::Section(&SOURCE)),
            "Where people come from, and how Offboard learns that they left.",
        ),
        optional("services", Kind::List(&Kind::Section(&SERVICE)), "The protected services."),
        optional("roles", Kind::List(&Kind::Section(&ROLE)), "Named sets of permissions."),
        optional("bindings", Kind::List(&Kind::Section(&BINDING)), "Who holds which role."),
        optional("public", Kind::List(&Kind::Section(&PUBLIC)), "What needs no credential."),
        optional("credentials", Kind::Section(&CREDENTIALS), "Which credentials are accepted; bearer is on."),
        optional("people", Kind::Section(&PEOPLE), "Rules for all people."),
        optional("clients", Kind::Section(&CLIENTS), "Rules for all machines."),
        optional("response", Kind::Section(&RESPONSE), "What the response to the proxy contains."),
        optional(
            "revocations",
            Kind::ListOrEmpty(&Kind::Section(&REVOCATION)),
            "Denied while listed here. Without this key, everything listed before stays in force.",
        ),
        optional("exemptions", Kind::Section(&EXEMPTIONS), "Limits for break glass."),
        optional("audit", Kind::Section(&AUDIT), "The audit trail."),
    ],
};

static SERVER: Section = Section {
    name: "server",
    about: "Listeners.",
    keys: &[
        optional("authz", Kind::Section(&AUTHZ), "The listener for proxies."),
        optional("control", Kind::Section(&CONTROL), "The listener for operators."),
        optional("ops", Kind::Section(&OPS), "The listener for metrics and probes."),
        later("push"),
        optional("drain", DURATION, "How long shutdown may take. Default 20s."),
    ],
};

static AUTHZ: Section = Section {
    name: "authz",
    about: "The listener for proxies.",
    keys: &[
        optional("listen", ADDRESS, "Default `[::]:9191`."),
        optional("tls", Kind::Section(&TLS), "Default: plain text."),
    ],
};

static CONTROL: Section = Section {
    name: "control",
    about: "The listener for operators.",
    keys: &[
        optional("listen", ADDRESS, "Default `127.0.0.1:9192`."),
        optional("tls", Kind::Section(&TLS), "Required unless the address is a loopback address."),
        optional(
            "plaintext",
            Kind::Word(&words(&["allowed"])),
            "allowed: no TLS on a non-loopback address; a proxy in front must encrypt.",
        ),
        optional(
            "audiences",
            Kind::List(&TEXT),
            "Operators' tokens must be for one of these, and for none of the mesh's. Default: no token is accepted.",
        ),
        optional(
            "bootstrap_token_sha256_file",
            FILE,
            "File with the hex SHA-256 of the sealed emergency token. Default: no such token.",
        ),
    ],
};

static OPS: Section = Section {
    name: "ops",
    about: "The listener for metrics and probes.",
    keys: &[optional("listen", ADDRESS, "Default `[::]:9193`.")],
};

static TLS: Section = Section {
    name: "tls",
    about: "Certificate of a listener; reloaded when the files change.",
    keys: &[
        required("cert_file", FILE, "PEM file with the certificate chain."),
        required("key_file", FILE, "PEM file with the private key."),
        optional(
            "client_ca_file",
            FILE,
            "PEM file with CAs; clients must present a certificate signed by one of them.",
        ),
    ],
};

static STORE: Section = Section {
    name: "store",
    about: "Where the log is kept.",
    keys: &[
        optional("kind", Kind::Word(&Words { built: &["embedded"], later: &["nats"] }), "Default embedded."),
        optional("path", FILE, "A directory, used by one process only. Default /var/lib/offboard."),
        optional(
            "secret_file",
            FILE,
            "File with the installation's secret, 48 bytes in hex (`openssl rand -hex 48`). Default: drawn once, kept in the store.",
        ),
        later("nats"),
    ],
};

static SERVICE: Section = Section {
    name: "service",
    about: "A protected service. The top level supplies what is not set here.",
    keys: &[
        required("name", NAME, "Name for permissions and routes; not `default` or `offboard`."),
        optional(
            "hosts",
            Kind::List(&Kind::Text(Format::Host)),
            "Exact, or `*.` and a suffix, which matches any number of labels.",
        ),
        optional(
            "principals",
            Kind::List(&Kind::Text(Format::Principal)),
            "spiffe:// principals of the destination, exact or with one `*` at the end of a segment.",
        ),
        optional("enforcement", ENFORCEMENT, "Overrides the top level."),
        optional("authorization", AUTHORIZATION, "Overrides the top level."),
        optional("audiences", Kind::List(&TEXT), "Overrides the issuers'."),
        optional("max_staleness", DURATION, "Overrides the sources'."),
        optional("when_stale", ALLOW_OR_DENY, "Overrides the sources'."),
        optional("no_credentials", PASS_OR_DENY, "Overrides the top level."),
        optional("foreign_credentials", PASS_OR_DENY, "Overrides the top level."),
        optional("preflight", PASS_OR_DENY, "Overrides the top level."),
    ],
};

static ROLE: Section = Section {
    name: "role",
    about: "A named set of permissions.",
    keys: &[
        required("name", NAME, "Name for bindings."),
        required("permissions", Kind::List(&Kind::Section(&PERMISSION)), "What it permits."),
    ],
};

const PATHS: &str = "`*` is one segment, `**` any number. Encoding makes no difference: `%20` is a space, `%5b` is `[`, \
                     `%2A` is the character `*`.";

static PERMISSION: Section = Section {
    name: "permission",
    about: "What may be done where. An omitted list means all, except the service `offboard`.",
    keys: &[
        optional("services", Kind::List(&NAME), "Names of services, or `offboard` alone."),
        optional(
            "methods",
            Kind::List(&Kind::Text(Format::Method)),
            "HTTP methods; for `offboard`: read, revoke, restore, exempt, keys, admin.",
        ),
        optional("paths", Kind::List(&Kind::Text(Format::Path)), PATHS),
        later("when"),
    ],
};

static PUBLIC: Section = Section {
    name: "public",
    about: "What needs no credential. An omitted list means all.",
    keys: &[
        optional("services", Kind::List(&NAME), "Names of services."),
        optional("methods", Kind::List(&Kind::Text(Format::Method)), "HTTP methods."),
        optional("paths", Kind::List(&Kind::Text(Format::Path)), PATHS),
    ],
};

static BINDING: Section = Section {
    name: "binding",
    about: "Who holds a role.",
    keys: &[
        required("role", NAME, "Name of the role."),
        optional("issuer", NAME, "Issuer of the groups, people and clients; optional if only one is configured."),
        optional("groups", Kind::List(&TEXT), "Groups."),
        optional("people", Kind::List(&TEXT), "Names of people in the directory."),
        optional("clients", Kind::List(&TEXT), "Clients, with their own tokens."),
        optional("everyone", Kind::Flag, "true: every verified credential; must stand alone."),
        optional("expires", TIME, "From then on the binding grants nothing."),
    ],
};

static CREDENTIALS: Section = Section {
    name: "credentials",
    about: "Which credentials are accepted.",
    keys: &[
        optional("bearer", Kind::Section(&BEARER), "Tokens."),
        later("api_keys"),
        later("basic"),
        later("certificate"),
        later("custom"),
        later("unused_after"),
    ],
};

static BEARER: Section = Section {
    name: "bearer",
    about: "Tokens.",
    keys: &[
        optional("header", HEADER, "Header with the token. Default authorization."),
        optional(
            "largest",
            Kind::Text(Format::TokenSize),
            "Longer tokens are malformed_credentials; 1KiB to 512KiB. Default 16KiB.",
        ),
    ],
};

static PEOPLE: Section = Section {
    name: "people",
    about: "Rules for all people.",
    keys: &[optional("unknown", ALLOW_OR_DENY, "People whom no source of the issuer knows. Default deny.")],
};

static CLIENTS: Section = Section {
    name: "clients",
    about: "Rules for all machines.",
    keys: &[optional("unknown", ALLOW_OR_DENY, "Machines. Default allow.")],
};

static RESPONSE: Section = Section {
    name: "response",
    about: "What the response to the proxy contains.",
    keys: &[
        optional(
            "headers",
            Kind::Names(Format::Header, &HEADER_VALUE),
            "Headers added for upstream, and what each holds.",
        ),
        optional("remove_headers", Kind::List(&HEADER), "Headers removed before upstream."),
        optional("reveal_reason", Kind::Flag, "true: the body of a denial names its reason. Default false."),
    ],
};

static HEADER_VALUE: Kind = Kind::Word(&words(&[
    "person",
    "issuer",
    "subject",
    "session",
    "token_id",
    "client",
    "roles",
    "service",
    "epoch",
    "decision_id",
]));

static REVOCATION: Section = Section {
    name: "revocation",
    about: "One target: person, key, certificate, or issuer, alone or with one of subject, session, token, client.",
    keys: &[
        optional("person", TEXT, "E-mail, user name, provider id, or `ISS|SUB`."),
        optional("issuer", TEXT, "Name of a configured issuer, or an `iss`."),
        optional("subject", TEXT, "`sub` at the issuer."),
        optional("session", TEXT, "`sid` at the issuer."),
        optional("token", TEXT, "`jti` or `uti` at the issuer."),
        optional("client", TEXT, "`azp`, `client_id`, `cid` or `appid` at the issuer."),
        optional("key", TEXT, "Id of an API key."),
        optional("certificate", Kind::Text(Format::Certificate), "SHA-256 of a client certificate, hex."),
        required("reason", TEXT, "Why."),
        optional("issued_before", TIME, "Deny only credentials issued at or before this time. Default: all."),
        optional("effective", TIME, "Deny from this time on. Default: immediately."),
    ],
};

static EXEMPTIONS: Section = Section {
    name: "exemptions",
    about: "Break glass for people whom a source reports as gone.",
    keys: &[optional("max", DURATION, "Longest duration of an exemption. Default 8h.")],
};

static AUDIT: Section = Section {
    name: "audit",
    about: "The audit trail.",
    keys: &[
        optional("decisions", Kind::Text(Format::Decisions), "denied (default), all, or sampled(0.01)."),
        optional("path", FILE, "Its directory. Changes need a restart. Default: `audit` in the store's directory."),
        optional("retention", DURATION, "How long records are kept. Default 400d."),
        later("review"),
    ],
};
