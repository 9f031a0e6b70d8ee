use std::collections::HashMap;
use std::sync::Mutex;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use prost::Message as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Server};

use super::*;
use crate::domain::policy::Enforcement;
use crate::domain::reason::Reason;
use crate::envoy::fixtures::{decision, of_alice};

/// How the handler of a test behaves, by the path of the request.
#[derive(Default)]
struct Planned {
    observe: bool,
    breaks_books: bool,
    answered: Mutex<Vec<(Reason, Option<CheckFailure>, bool)>>,
}

fn outcome(reason: Reason, observe: bool) -> CheckOutcome {
    let mut decision = if reason.allows() { of_alice(reason) } else { decision(reason) };
    if observe {
        decision.enforcement = Enforcement::Observe;
    }
    CheckOutcome { decision: decision.into(), decision_id: "0123456789abcdef0123456789abcdef".parse().unwrap() }
}

impl CheckHandler for Planned {
    async fn check(&self, request: &Request, _: Instant, _: Option<Instant>) -> CheckOutcome {
        let crate::request::Path::Forms(forms) = &request.path else { panic!("no forms") };
        match forms[0].as_str() {
            "/allow" => outcome(Reason::Allowed, self.observe),
            "/deny" => outcome(Reason::RevokedPerson, self.observe),
            "/slow" => std::future::pending().await,
            "/panic" => panic!("planned"),
            "/late-panic" => {
                tokio::task::yield_now().await;
                panic!("planned")
            }
            other => panic!("{other}"),
        }
    }

    fn failed(&self, trouble: CheckFailure, _: Option<&Request>) -> CheckOutcome {
        outcome(trouble.reason(), self.observe)
    }

    fn answered(&self, answered: Answered<'_>) {
        assert!(!self.breaks_books, "planned");
        let reason = answered.outcome.decision.reason;
        self.answered.lock().unwrap().push((reason, answered.failure, answered.request.is_some()));
    }
}

/// Sends bytes as they are, reads an answer.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = CheckResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        prost::bytes::BufMut::put_slice(into, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = CheckResponse;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<CheckResponse>, tonic::Status> {
        Ok(Some(CheckResponse::decode(from).unwrap()))
    }
}

fn message(path: &str) -> Vec<u8> {
    let http = HttpRequest {
        method: "GET".into(),
        path: path.into(),
        headers: HashMap::from([(":method".to_owned(), "GET".to_owned())]),
        ..HttpRequest::default()
    };
    let request = attribute_context::Request { time: None, http: Some(http) };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

/// Serves `gate` on a free port while `client` talks to it.
async fn with_server<T>(handler: &Arc<Planned>, client: impl AsyncFnOnce(Channel) -> T) -> T {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server =
        Server::builder().add_service(AuthorizationService::new(Arc::clone(handler))).serve_with_incoming(incoming);
    tokio::select! {
        ended = server => panic!("server ended: {ended:?}"),
        done = async { client(endpoint.connect().await.unwrap()).await } => done,
    }
}

async fn call(
    channel: Channel,
    path: &'static str,
    timeout: Option<&str>,
    message: Vec<u8>,
) -> Result<CheckResponse, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(message);
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    }
    client.unary(request, PathAndQuery::from_static(path), Raw).await.map(tonic::Response::into_inner)
}

/// The HTTP status of the answer to one message.
async fn ask(handler: &Arc<Planned>, timeout: Option<&str>, message: Vec<u8>) -> i32 {
    let response = with_server(handler, async |channel| call(channel, CHECK, timeout, message).await.unwrap()).await;
    let code = response.status.unwrap().code;
    let status = match response.http_response.unwrap() {
        HttpResponse::OkResponse(_) => 200,
        HttpResponse::DeniedResponse(denied) => denied.status.unwrap().code,
        HttpResponse::ErrorResponse(_) => panic!("an error is no answer"),
    };
    assert_eq!(code == 0, status == 200, "Envoy allows by one and only one of them");
    status
}

fn answered(handler: &Planned) -> Vec<(Reason, Option<CheckFailure>, bool)> {
    handler.answered.lock().unwrap().clone()
}

#[tokio::test]
async fn what_the_gate_decides_is_answered_and_counted_once() {
    let handler = Arc::new(Planned::default());
    assert_eq!(ask(&handler, None, message("/allow")).await, 200);
    assert_eq!(ask(&handler, Some("1S"), message("/deny")).await, 403);
    assert_eq!(answered(&handler), [(Reason::Allowed, None, true), (Reason::RevokedPerson, None, true)]);
}

#[tokio::test]
async fn what_does_not_decode_is_denied_as_malformed() {
    let bad_utf8 = [&b"\x0a\x08\x22\x06\x12\x04\x22\x02"[..], b"\xff\xfe"].concat();
    assert!(CheckRequest::decode(bad_utf8.as_slice()).is_err(), "CVE-2023-27488: a path that is not UTF-8");
    for bad in [bad_utf8, b"\xff\xff\xff".to_vec(), b"not protobuf at all".to_vec()] {
        let handler = Arc::new(Planned::default());
        assert_eq!(ask(&handler, None, bad).await, 400);
        let trouble = Some(CheckFailure::Undecodable("message is not a CheckRequest"));
        assert_eq!(answered(&handler), [(Reason::MalformedRequest, trouble, false)]);
    }
}

#[tokio::test]
async fn what_is_too_large_is_denied_as_malformed() {
    for size in [MAX_MESSAGE + 1, 5 * MAX_MESSAGE] {
        let handler = Arc::new(Planned::default());
        assert_eq!(ask(&handler, None, vec![0; size]).await, 400);
        let trouble = Some(CheckFailure::Undecodable("message is too large"));
        assert_eq!(answered(&handler), [(Reason::MalformedRequest, trouble, false)]);
    }
}

#[tokio::test]
async fn a_panic_is_a_denial_and_the_next_check_is_judged() {
    let handler = Arc::new(Planned::default());
    for path in ["/panic", "/late-panic"] {
        assert_eq!(ask(&handler, Some("60S"), message(path)).await, 503);
    }
    assert_eq!(ask(&handler, None, message("/allow")).await, 200);
    let panicked = (Reason::Internal, Some(CheckFailure::Panicked), true);
    assert_eq!(answered(&handler), [panicked, panicked, (Reason::Allowed, None, true)]);
}

#[tokio::test]
async fn a_gate_slower_than_the_deadline_is_a_denial_before_it() {
    let handler = Arc::new(Planned::default());
    let started = Instant::now();
    assert_eq!(ask(&handler, Some("60m"), message("/slow")).await, 503);
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(answered(&handler), [(Reason::Internal, Some(CheckFailure::Late), true)]);
}

/// What a handler answers to a body, by the reason that it recorded.
async fn asked_with(handler: &Arc<Planned>, timeout: &str, body: Pieces) -> Reason {
    let call = http::Request::post(CHECK).header("grpc-timeout", timeout).body(body).unwrap();
    let _ = AuthorizationService::new(Arc::clone(handler)).answer(call, Instant::now()).await;
    answered(handler).last().unwrap().0
}

#[tokio::test]
async fn a_deadline_shorter_than_the_margin_still_hears_a_gate_that_need_not_wait() {
    let handler = Arc::new(Planned::default());
    for (path, reason) in [("/allow", Reason::Allowed), ("/slow", Reason::Internal)] {
        assert_eq!(asked_with(&handler, "1n", Pieces::of([framed(path)])).await, reason);
    }
}

#[tokio::test]
async fn a_message_that_comes_in_pieces_is_read_to_its_end() {
    let handler = Arc::new(Planned::default());
    let whole = framed("/allow");
    let (start, end) = whole.split_at(7);
    for pieces in
        [vec![None, Some(start), None, Some(end), None], vec![Some(start), Some(end)], vec![None, Some(&*whole)]]
    {
        let body = Pieces(pieces.into_iter().map(|piece| piece.map(<[u8]>::to_vec)).collect());
        assert_eq!(asked_with(&handler, "1S", body).await, Reason::Allowed);
    }
    assert_eq!(asked_with(&handler, "1S", Pieces::of([start.to_vec()])).await, Reason::MalformedRequest);
    assert_eq!(answered(&handler).len(), 4, "each is answered once");
}

#[test]
fn what_each_call_carries_is_small() {
    assert!(size_of::<Answering<Planned, hyper::body::Incoming>>() <= 256, "room for what waits is made when it waits");
}

fn framed(path: &str) -> Vec<u8> {
    let message = message(path);
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &message].concat()
}

/// A body of pieces that are there at once, and of waits between them.
struct Pieces(std::collections::VecDeque<Option<Vec<u8>>>);

impl Pieces {
    fn of(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(pieces.into_iter().map(Some).collect())
    }
}

impl tonic::codegen::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece.flatten().map(|bytes| Ok(hyper::body::Frame::data(bytes.into())))),
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_a_denial() {
    let handler = Arc::new(Planned { breaks_books: true, ..Planned::default() });
    assert_eq!(ask(&handler, None, message("/allow")).await, 503);
}

#[tokio::test]
async fn observing_lets_even_the_malformed_through() {
    let handler = Arc::new(Planned { observe: true, ..Planned::default() });
    assert_eq!(ask(&handler, None, message("/deny")).await, 200);
    assert_eq!(ask(&handler, None, b"not protobuf at all".to_vec()).await, 200);
    assert_eq!(answered(&handler).len(), 2);
}

#[tokio::test]
async fn an_unknown_method_is_no_check() {
    let handler = Arc::new(Planned::default());
    let path = "/envoy.service.auth.v3.Authorization/Other";
    let status = with_server(&handler, async |channel| call(channel, path, None, message("/allow")).await).await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::Unimplemented);
    assert!(answered(&handler).is_empty());
}
