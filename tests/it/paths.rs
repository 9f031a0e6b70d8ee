//! Spellings of one path, through a real Envoy: what it passes on, normalised or not, is one path to the rules.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::envoy::{self, Envoy};
use crate::support::installation::Installation;
use crate::support::issuer::DevIssuer;
use crate::support::upstream::Upstream;

fn rules(issuer: &str, people: &str) -> String {
    format!(
        "issuers: [{{ name: dev, issuer: '{issuer}', audiences: [mesh], jwks: {{ discovery: true }} }}]\n\
         sources: [{{ name: hr, kind: file, issuer: dev, path: {people} }}]\n\
         services: [{{ name: payments }}, {{ name: open, authorization: none }}]\n\
         roles:\n\
         - name: reader\n  \
           permissions: [{{ paths: ['/lists/[open]/page', \"/p\u{e6}re/no 7\", /off/20%25, /stars/%2A, /all/**] }}]\n\
         bindings: [{{ role: reader, everyone: true }}]\n"
    )
}

/// The status of a request that no client library has touched.
async fn status(envoy: &Envoy, path: &str, token: &str) -> u16 {
    let address = envoy.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: a.example.com\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_spelling_that_envoy_passes_on_is_one_path() {
    let Some(binary) = envoy::binary() else { return };
    let issuer = DevIssuer::start().await;
    let files = Installation::new("");
    files.write("20-rules.yaml", &rules(&issuer.url, &files.path("people/people.yaml").display().to_string()));
    files.write_people(&["id: alice"]);
    let offboard = files.start().await;
    offboard.knows("hr", 1).await;
    offboard.has_keys("dev").await;
    let upstream = Upstream::start().await;
    let config = envoy::asking("envoy/envoy.yaml", offboard.authz.port(), upstream.port);
    let envoy = Envoy::start(&binary, &config).await;
    let alice = issuer.token("sub=alice").await;
    for (path, expected) in [
        ("/lists/[open]/page", 200),
        ("/lists/%5Bopen%5d/page?x=%00", 200),
        ("/li%73ts/%5bopen]/p%61ge", 200),
        ("/other/../lists/[open]/page", 200),
        ("/lists/[OPEN]/page", 403),
        ("/lists/%255bopen%5d/page", 403),
        ("/p%c3%a6re/no%207", 200),
        ("/p%C3%A6re/%6eo%207", 200),
        ("/p%C3%A6re/no%25207", 403),
        ("/off/20%25", 200),
        ("/off/20%2525", 403),
        ("/stars/*", 200),
        ("/stars/%2a", 200),
        ("/stars/7", 403),
        ("/all/a;b/c", 200),
        ("/lists;x/[open]/page", 400),
        ("/lists/[open]/page%3Bx", 400),
        ("/all/%252e%252e/x", 400),
        ("/all/%25%32%66", 400),
        ("/all/%c0%ae", 400),
    ] {
        assert_eq!(status(&envoy, path, &alice).await, expected, "{path}");
    }
    // Where no rule looks at paths, one that is ambiguous is as good as any, and one that hides something is not.
    let open = Envoy::start(&binary, &config.replace("service: payments", "service: open")).await;
    assert_eq!(status(&open, "/lists;x/[open]/page", &alice).await, 200);
    assert_eq!(status(&open, "/all/%25252f", &alice).await, 400);
}
