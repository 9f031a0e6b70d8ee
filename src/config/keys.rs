//! The table: every key of the configuration.

mod sources;

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
            "enforce (default): denials are carried out. observe: every check is allowed, what it would have been is counted and recorded.",
        ),
        optional(
            "authorization",
            AUTHORIZATION,
            "roles (default): a binding must permit. none: only identity and revocation are judged.",
        ),
        optional("no_credentials", PASS_OR_DENY, "What becomes of a request that shows nothing. Default deny."),
        optional("foreign_credentials", PASS_OR_DENY, "… of an issuer or scheme that is not configured. Default deny."),
        optional("preflight", PASS_OR_DENY, "What becomes of a CORS preflight. Default pass."),
        optional("server", Kind::Section(&SERVER), "Where Offboard listens. Changes need a restart."),
        optional("store", Kind::Section(&STORE), "Where the log is kept. Changes need a restart."),
        optional("issuers", Kind::List(&Kind::Section(&ISSUER)), "Who signs tokens."),
        optional(
            "sources",
            Kind::List(&Kind::Section(&SOURCE)),
            "Where people come from, and how we learn that they left.",
        ),
        optional("services", Kind::List(&Kind::Section(&SERVICE)), "What is protected."),
        optional("roles", Kind::List(&Kind::Section(&ROLE)), "Named sets of permissions."),
        optional("bindings", Kind::List(&Kind::Section(&BINDING)), "Who holds which role."),
        optional("public", Kind::List(&Kind::Section(&PUBLIC)), "What needs no credential."),
        optional("credentials", Kind::Section(&CREDENTIALS), "Which schemes are read; bearer is on."),
        optional("people", Kind::Section(&PEOPLE), "What is said of people in general."),
        optional("clients", Kind::Section(&CLIENTS), "What is said of machines in general."),
        optional("response", Kind::Section(&RESPONSE), "What the answer to the proxy carries."),
        optional(
            "revocations",
            Kind::ListOrEmpty(&Kind::Section(&REVOCATION)),
            "Denied while it stands here. Without the key all that stood stays.",
        ),
        optional("exemptions", Kind::Section(&EXEMPTIONS), "Break glass the other way."),
        optional("audit", Kind::Section(&AUDIT), "The audit trail."),
    ],
};

static SERVER: Section = Section {
    name: "server",
    about: "Listeners.",
    keys: &[
        optional("authz", Kind::Section(&AUTHZ), "Where proxies ask."),
        optional("control", Kind::Section(&CONTROL), "Where operators ask."),
        optional("ops", Kind::Section(&OPS), "Metrics and probes."),
        later("push"),
        optional("drain", DURATION, "How long a stop may take. Default 20s."),
    ],
};

static AUTHZ: Section = Section {
    name: "authz",
    about: "The listener for proxies.",
    keys: &[
        optional("listen", ADDRESS, "Default `[::]:9191`."),
        optional("tls", Kind::Section(&TLS), "Without it, plain text."),
    ],
};

static CONTROL: Section = Section {
    name: "control",
    about: "The listener for operators.",
    keys: &[
        optional("listen", ADDRESS, "Default `127.0.0.1:9192`."),
        optional("tls", Kind::Section(&TLS), "Needed where the address is not a loopback one."),
        optional(
            "plaintext",
            Kind::Word(&words(&["allowed"])),
            "`allowed` lets a non-loopback address do without TLS: something in front of it must encrypt.",
        ),
        optional(
            "bootstrap_token_sha256_file",
            FILE,
            "File with the hex SHA-256 of the sealed emergency token. Default: there is none.",
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
    about: "Certificate of a listener; read again when the files change.",
    keys: &[
        required("cert_file", FILE, "PEM file with the chain."),
        required("key_file", FILE, "PEM file with the private key."),
        optional("client_ca_file", FILE, "PEM file: callers must show a certificate that it signed."),
    ],
};

static STORE: Section = Section {
    name: "store",
    about: "Where the log is kept.",
    keys: &[
        optional("kind", Kind::Word(&Words { built: &["embedded"], later: &["nats"] }), "Default embedded."),
        optional("path", FILE, "A directory; a second process is refused. Default /var/lib/offboard."),
        optional(
            "secret_file",
            FILE,
            "File with the installation's secret, 48 bytes in hex (`openssl rand -hex 48`). Default: drawn once, kept in the store.",
        ),
        later("nats"),
    ],
};

static ISSUER: Section = Section {
    name: "issuer",
    about: "One who signs tokens.",
    keys: &[
        required("name", NAME, "What other keys call it."),
        required("issuer", TEXT, "Must equal `iss` exactly."),
        required("audiences", Kind::ListOr(&TEXT, "any"), "A token must carry one of them; `any` must be said."),
        required("jwks", Kind::Section(&JWKS), "Where its keys come from: one of the three."),
        optional("algorithms", Kind::List(&Kind::Text(Format::Algorithm)), "Default: all asymmetric ones."),
        optional(
            "token_types",
            Kind::List(&Kind::Word(&words(&["at+jwt", "JWT", "absent"]))),
            "Which `typ` its tokens may have. Default: all.",
        ),
        optional(
            "id_tokens",
            Kind::Word(&words(&["refuse", "accept"])),
            "accept: tokens with the marks of an ID token (`nonce`, `at_hash`, `c_hash`, `typ: ID`, `token_use: id`) \
             pass, for providers whose access tokens have them. Default refuse.",
        ),
        optional("leeway", Kind::Text(Format::DurationOrZero), "How far its clock may be off. Default 30s."),
        optional("claims", Kind::Section(&CLAIMS), "Which claims hold what."),
        optional("machines", Kind::Section(&MACHINES), "Whose token is a client's own: one of the three."),
        later("introspection"),
    ],
};

static JWKS: Section = Section {
    name: "jwks",
    about: "Where keys come from.",
    keys: &[
        optional("discovery", Kind::Flag, "true: `ISSUER/.well-known/openid-configuration` names the place."),
        optional("uri", Kind::Text(Format::Url), "A JWKS at this address."),
        optional("file", FILE, "A JWKS in this file."),
        optional(
            "ca_file",
            FILE,
            "PEM file: trusted beside the system's roots where the keys are fetched; read again when it changes.",
        ),
    ],
};

static CLAIMS: Section = Section {
    name: "claims",
    about: "Which claims hold what: a name, else dots lead into nested objects; a list does where names contain dots.",
    keys: &[
        optional(
            "groups",
            CLAIM,
            "A list of texts, one text (one group), or an object whose keys they are. Default groups.",
        ),
        optional("email", CLAIM, "Default email."),
        optional("username", CLAIM, "Default preferred_username."),
        optional("session", CLAIM, "Default sid."),
        optional(
            "client",
            CLAIM,
            "Default azp, else client_id, cid, appid. Given, it alone is granted to and shown; each of them is denied by.",
        ),
        optional("token", CLAIM, "Default jti, else uti; likewise."),
        optional("audience", CLAIM, "Default aud. With another one, an `aud` that is there must fit too."),
    ],
};

static MACHINES: Section = Section {
    name: "machines",
    about: "Whose token is a client's own.",
    keys: &[
        optional("when", Kind::Word(&words(&["client_is_subject"])), "The client is its own subject (default)."),
        optional("username_prefix", TEXT, "The user name begins so."),
        optional("claim", CLAIM, "A claim, named as in `claims`, with `equals`."),
        optional("equals", TEXT, "What the claim must be."),
    ],
};

static SERVICE: Section = Section {
    name: "service",
    about: "One protected service. What it does not say, the top level says.",
    keys: &[
        required("name", NAME, "What permissions and routes call it; not `default` or `offboard`."),
        optional("hosts", Kind::List(&Kind::Text(Format::Host)), "Exact, or `*.` and a suffix, which spans labels."),
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
        required("name", NAME, "What bindings call it."),
        required("permissions", Kind::List(&Kind::Section(&PERMISSION)), "What it permits."),
    ],
};

const PATHS: &str = "`*` is one segment, `**` any number. Spelling is no difference: `%20` is a space, `%5b` is `[`, \
                     `%2A` is the character.";

static PERMISSION: Section = Section {
    name: "permission",
    about: "What may be done where; an omitted list means all, but never the service `offboard`.",
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
    about: "What needs no credential; an omitted list means all.",
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
        optional(
            "issuer",
            NAME,
            "To which groups, people and clients belong; may be left out where only one is configured.",
        ),
        optional("groups", Kind::List(&TEXT), "Groups."),
        optional("people", Kind::List(&TEXT), "Names of people in the directory."),
        optional("clients", Kind::List(&TEXT), "Clients, whose own tokens are meant."),
        optional("everyone", Kind::Flag, "true: every verified credential, and nothing else beside it."),
        optional("expires", TIME, "It grants nothing from then on."),
    ],
};

static CREDENTIALS: Section = Section {
    name: "credentials",
    about: "Which schemes are read.",
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
        optional("header", HEADER, "The header that bears them. Default authorization."),
        optional(
            "largest",
            Kind::Text(Format::TokenSize),
            "Longer tokens are malformed_credentials; from 1KiB to 512KiB. Default 16KiB.",
        ),
    ],
};

static PEOPLE: Section = Section {
    name: "people",
    about: "People in general.",
    keys: &[optional("unknown", ALLOW_OR_DENY, "A person whom no listing source of the issuer knows. Default deny.")],
};

static CLIENTS: Section = Section {
    name: "clients",
    about: "Machines in general.",
    keys: &[optional("unknown", ALLOW_OR_DENY, "A machine's own token. Default allow.")],
};

static RESPONSE: Section = Section {
    name: "response",
    about: "What the answer to the proxy carries.",
    keys: &[
        optional(
            "headers",
            Kind::Names(Format::Header, &HEADER_VALUE),
            "Headers that upstream gets, and what each holds.",
        ),
        optional("remove_headers", Kind::List(&HEADER), "Headers that upstream must not see."),
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
        optional("issued_before", TIME, "Denies only what was issued at or before this time. Default: everything."),
        optional("effective", TIME, "Denies from then on. Default: at once."),
    ],
};

static EXEMPTIONS: Section = Section {
    name: "exemptions",
    about: "Break glass for people whom a source has reported gone.",
    keys: &[optional("max", DURATION, "The longest that one may last. Default 8h.")],
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
