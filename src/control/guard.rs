//! Authenticates and authorizes callers, in front of every service on the `control` listener.
//!
//! So far, the only credential is the bootstrap token: the sealed emergency credential, which has every right and raises an
//! alarm with each use.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use aws_lc_rs::{constant_time, digest};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use super::rights::{Right, needed};

/// The caller, as records name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `bootstrap`, or an identity.
    pub actor: Arc<str>,
    /// The method's full path.
    pub method: Arc<str>,
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

/// Authenticates callers and checks their rights. A [`tower::Layer`] for the whole server.
#[derive(Clone)]
pub struct CallGuard {
    bootstrap: Option<Bootstrap>,
    call_audit: Arc<dyn CallAudit>,
}

impl fmt::Debug for CallGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallGuard")
    }
}

impl CallGuard {
    /// A guard; without a bootstrap token it rejects everybody.
    #[must_use]
    pub fn new(bootstrap: Option<Bootstrap>, call_audit: Arc<dyn CallAudit>) -> Self {
        Self { bootstrap, call_audit }
    }

    /// The caller, if it may call this method.
    async fn admit(&self, path: &str, headers: &http::HeaderMap) -> Result<Caller, Status> {
        let (actor, refused) = match (self.proven(headers), needed(path)) {
            (Err(why), _) => (None, Some((Code::Unauthenticated, why))),
            (Ok(actor), None) => (Some(actor), Some((Code::PermissionDenied, "no such method"))),
            (Ok(actor), Some(right)) if !holds(actor, right) => {
                (Some(actor), Some((Code::PermissionDenied, "no permission for this method")))
            }
            (Ok(actor), Some(_)) => (Some(actor), None),
        };
        if actor.is_some() {
            tracing::warn!(control.method = path, "the bootstrap token was used");
            self.call_audit.bootstrap_used();
        }
        match (actor, refused) {
            (Some(actor), None) => Ok(Caller { actor: actor.into(), method: path.into() }),
            (actor, refused) => {
                let (code, why) = refused.unwrap_or((Code::Unauthenticated, "not authenticated"));
                // The call is rejected whether or not this is recorded.
                let _recorded = self
                    .call_audit
                    .called(Call {
                        actor: actor.map(str::to_owned),
                        method: path.chars().take(LONGEST).collect(),
                        target: None,
                        refused: Some(why.to_owned()),
                        alarm: actor.is_some(),
                    })
                    .await;
                Err(Status::new(code, why))
            }
        }
    }

    fn proven(&self, headers: &http::HeaderMap) -> Result<&'static str, &'static str> {
        let mut shown = headers.get_all(http::header::AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return Err("exactly one authorization header with a bearer token is required");
        };
        let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len()).ok_or(WRONG)?;
        let right = self.bootstrap.as_ref().is_some_and(|bootstrap| bootstrap.is(token));
        if scheme.eq_ignore_ascii_case(SCHEME) && right { Ok(BOOTSTRAP) } else { Err(WRONG) }
    }
}

const SCHEME: &[u8] = b"bearer ";
const WRONG: &str = "the token is not valid here";
/// How records name the holder of the bootstrap token.
pub const BOOTSTRAP: &str = "bootstrap";
/// Longest method name recorded: ours are shorter, callers may send any.
const LONGEST: usize = 128;

/// Whether a caller has a right. The bootstrap token has all.
fn holds(actor: &str, _right: Right) -> bool {
    actor == BOOTSTRAP
}

/// Records an admitted call before anything is done.
pub(super) async fn note(call_audit: &dyn CallAudit, caller: &Caller, target: Option<String>) -> Result<(), Status> {
    let call = Call {
        actor: Some(caller.actor.to_string()),
        method: caller.method.to_string(),
        target,
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
