//! Authenticates and authorizes callers, in front of every service on the `control` listener.
//!
//! Operators show a bearer token of their own (see [`super::admission`]). The bootstrap token is the sealed emergency
//! credential, which needs no provider: it has every right and raises an alarm with each use.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::{constant_time, digest};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use super::admission::{Admission, Identified, Operators, Rates, Rejected};
use super::rights::{Right, needed};
use crate::domain::jwt;
use crate::domain::time::Timestamp;

/// The caller, as records name it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `bootstrap`, or an identity.
    pub actor: Arc<str>,
    /// The method's full path.
    pub method: Arc<str>,
    /// Who it is: nobody decides what concerns themself.
    pub identified: Arc<Identified>,
    /// What a long call is checked by again; `None` for the bootstrap token.
    pub admission: Option<Admission>,
}

/// One call, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The caller; `None`: unknown.
    pub actor: Option<String>,
    /// The method's full path.
    pub method: String,
    /// What it was about, if anything.
    pub target: Option<String>,
    /// Why it was rejected; `None`: it was admitted.
    pub refused: Option<String>,
    /// The emergency credential was used.
    pub alarm: bool,
}

/// Records calls.
#[async_trait]
pub trait CallAudit: Send + Sync + 'static {
    /// Records a call. If this fails, the call is not carried out: the implementation decides which records are essential.
    ///
    /// # Errors
    /// Why the call could not be recorded.
    async fn called(&self, call: Call) -> Result<(), String>;

    /// Somebody presented the bootstrap token: counts it, whatever becomes of the call.
    fn bootstrap_used(&self);
}

/// A text that is not a hex SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bootstrap token's hash is not a SHA-256 of 64 hex digits")]
pub struct NotAHash;

/// The hash that the bootstrap token must have.
#[derive(Clone)]
pub struct Bootstrap([u8; 32]);

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bootstrap")
    }
}

impl Bootstrap {
    /// Parses the hex SHA-256 of the token; trailing white space is ignored.
    ///
    /// # Errors
    /// [`NotAHash`].
    pub fn from_hex(text: &str) -> Result<Self, NotAHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.trim_end(), &mut hash).map_err(|_| NotAHash)?;
        Ok(Self(hash))
    }

    fn is(&self, token: &[u8]) -> bool {
        let shown = digest::digest(&digest::SHA256, token);
        constant_time::verify_slices_are_equal(shown.as_ref(), &self.0).is_ok()
    }
}

/// The time, for rates.
pub type Time = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Authenticates callers and checks their rights. A [`tower::Layer`] for the whole server.
#[derive(Clone)]
pub struct CallGuard {
    bootstrap: Option<Bootstrap>,
    operators: Arc<dyn Operators>,
    call_audit: Arc<dyn CallAudit>,
    time: Time,
    rates: Arc<Mutex<Rates>>,
    /// When the log last said that the bootstrap token is in use, in milliseconds.
    alarmed: Arc<AtomicI64>,
}

impl fmt::Debug for CallGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallGuard")
    }
}

/// Why a call is rejected: what the caller hears, and what the audit trail says.
struct Refusal {
    code: Code,
    said: &'static str,
    actor: Option<Arc<str>>,
    why: String,
}

impl Refusal {
    /// To somebody who is not authenticated: nothing but that.
    fn unauthenticated(said: &'static str) -> Self {
        Self { code: Code::Unauthenticated, said, actor: None, why: said.to_owned() }
    }

    fn of(rejected: Rejected) -> Self {
        let (code, said) = match rejected.lacks_right {
            true => (Code::PermissionDenied, NO_RIGHT),
            false => (Code::Unauthenticated, WRONG),
        };
        Self { code, said, actor: rejected.actor.map(Into::into), why: rejected.why }
    }
}

impl CallGuard {
    /// A guard. Without a bootstrap token only operators may call, by their own tokens.
    #[must_use]
    pub fn new(
        bootstrap: Option<Bootstrap>,
        operators: Arc<dyn Operators>,
        call_audit: Arc<dyn CallAudit>,
        time: Time,
    ) -> Self {
        let (rates, alarmed) = (Arc::new(Rates::new(time())), Arc::new(AtomicI64::new(i64::MIN)));
        Self { bootstrap, operators, call_audit, time, rates, alarmed }
    }

    /// The caller, if it may call this method.
    async fn admit(&self, path: &str, headers: &http::HeaderMap) -> Result<Caller, Status> {
        let refusal = match self.find(path, headers).await {
            Ok(caller) if self.is_too_much(&caller, path) => Refusal {
                code: Code::ResourceExhausted,
                said: "too many changes a second; put them into one call, or slow down",
                actor: Some(caller.actor),
                why: "more changes a second than one caller may make".to_owned(),
            },
            Ok(caller) => return Ok(caller),
            Err(refusal) => refusal,
        };
        // Whoever sends many wrong tokens fills no trail with them, and the right one is never refused for it. Each use of the
        // emergency credential is recorded.
        let alarm = refusal.actor.as_deref() == Some(BOOTSTRAP);
        if !alarm && !Rates::may_reject(&self.rates, (self.time)()) {
            return Err(Status::new(refusal.code, refusal.said));
        }
        let call = Call {
            alarm,
            actor: refusal.actor.as_deref().map(str::to_owned),
            method: path.chars().take(LONGEST).collect(),
            target: None,
            refused: Some(refusal.why),
        };
        // The call is rejected whether or not this is recorded.
        let _recorded = self.call_audit.called(call).await;
        Err(Status::new(refusal.code, refusal.said))
    }

    /// Authenticates the caller and checks the right.
    async fn find(&self, path: &str, headers: &http::HeaderMap) -> Result<Caller, Refusal> {
        let token = shown(headers).map_err(Refusal::unauthenticated)?;
        if self.bootstrap.as_ref().is_some_and(|bootstrap| bootstrap.is(token)) {
            self.alarm(path);
            let actor: Arc<str> = BOOTSTRAP.into();
            if needed(path).is_none() {
                return Err(no_such_method(actor));
            }
            return Ok(Caller { actor, method: path.into(), identified: Arc::default(), admission: None });
        }
        let token = std::str::from_utf8(token).map_err(|_| Refusal::unauthenticated(WRONG))?;
        // For a method that does not exist, the least right proves who it is.
        let right = needed(path).unwrap_or(Right::Read);
        let identified = self.operators.admit(token, right).await.map_err(Refusal::of)?;
        let actor: Arc<str> = identified.actor.as_str().into();
        if needed(path).is_none() {
            return Err(no_such_method(actor));
        }
        let admission = Admission { operators: Arc::clone(&self.operators), token: token.into(), right };
        Ok(Caller { actor, method: path.into(), identified: Arc::new(identified), admission: Some(admission) })
    }

    /// Whether this call is one change too many. The emergency credential has no limit: it is for when everything hurries.
    fn is_too_much(&self, caller: &Caller, path: &str) -> bool {
        let changes = needed(path).is_some_and(|right| right != Right::Read);
        caller.admission.is_some() && changes && !Rates::may_change(&self.rates, &caller.actor, (self.time)())
    }

    /// The bootstrap token was shown: each use is counted, and the log says so once a minute.
    fn alarm(&self, path: &str) {
        self.call_audit.bootstrap_used();
        let now = (self.time)();
        let last = Timestamp::from_millis(self.alarmed.load(Ordering::Relaxed));
        if now.since(last) >= ALARMED_EVERY {
            self.alarmed.store(now.as_millis(), Ordering::Relaxed);
            tracing::warn!(call.method = path, "the bootstrap token was used");
        }
    }
}

/// The bearer token of a call.
fn shown(headers: &http::HeaderMap) -> Result<&[u8], &'static str> {
    let mut shown = headers.get_all(http::header::AUTHORIZATION).iter();
    let (Some(value), None) = (shown.next(), shown.next()) else {
        return Err("exactly one authorization header with a bearer token is required");
    };
    let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len()).ok_or(WRONG)?;
    if scheme.eq_ignore_ascii_case(SCHEME) { Ok(token) } else { Err(WRONG) }
}

fn no_such_method(actor: Arc<str>) -> Refusal {
    let said = "no such method";
    Refusal { code: Code::PermissionDenied, said, actor: Some(actor), why: said.to_owned() }
}

const SCHEME: &[u8] = b"bearer ";
const WRONG: &str = "the token is not valid here";
const NO_RIGHT: &str = "no permission for this method";
/// How records name the holder of the bootstrap token.
pub const BOOTSTRAP: &str = "bootstrap";
/// Longest method name recorded: ours are shorter, callers may send any.
const LONGEST: usize = 128;
/// Interval between log lines about uses of the bootstrap token.
const ALARMED_EVERY: Duration = Duration::from_secs(60);

/// Rejects a call that was admitted, and records that.
pub(super) async fn refuse(call_audit: &dyn CallAudit, caller: &Caller, target: Option<String>, why: &str) -> Status {
    let call = Call {
        actor: Some(caller.actor.to_string()),
        method: caller.method.to_string(),
        target: target.map(|target| without_tokens(&target)),
        refused: Some(why.to_owned()),
        alarm: false,
    };
    // It is rejected whether or not this is recorded.
    let _recorded = call_audit.called(call).await;
    Status::permission_denied(why)
}

/// What a call is about, without a token that somebody took for a REF (law 10).
fn without_tokens(target: &str) -> String {
    let word = |word| if jwt::has_its_form(word) { "(a token)" } else { word };
    target.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Records an admitted call before anything is done.
pub(super) async fn note(call_audit: &dyn CallAudit, caller: &Caller, target: Option<String>) -> Result<(), Status> {
    let call = Call {
        actor: Some(caller.actor.to_string()),
        method: caller.method.to_string(),
        target: target.map(|target| without_tokens(&target)),
        refused: None,
        alarm: &*caller.actor == BOOTSTRAP,
    };
    call_audit.called(call).await.map_err(Status::unavailable)
}

impl<S> tower::Layer<S> for CallGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind a [`CallGuard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    guard: CallGuard,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let guard = self.guard.clone();
        // The ready service answers; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match guard.admit(request.uri().path(), request.headers()).await {
                Ok(caller) => {
                    request.headers_mut().remove(http::header::AUTHORIZATION);
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}
