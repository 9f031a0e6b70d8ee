use rcgen::{CertificateParams, KeyPair};

use super::*;

fn pem(name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
}

fn client() -> Client {
    Client::through(Proxies::default(), Duration::from_secs(1), Duration::from_secs(1))
}

#[tokio::test]
async fn a_file_of_authorities_is_read_again_and_an_error_where_it_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let (client, url) = (client().trusting(path.clone()), Url::parse("https://idp.example").unwrap());
    let error = client.get(&url).await.unwrap_err().to_string();
    assert!(error.contains("ca.pem"), "{error}");
    std::fs::write(&path, pem("one.example")).unwrap();
    client.get(&url).await.unwrap();
    for (odd, said) in [("", "no PEM certificate"), ("not PEM at all", "no PEM certificate")] {
        std::fs::write(&path, odd).unwrap();
        let error = client.get(&url).await.unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains(said), "{error}");
    }
    std::fs::write(&path, format!("{}{}", pem("one.example"), pem("two.example"))).unwrap();
    client.get(&url).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(client.get(&url).await.is_err(), "what it held may have been taken out for a reason");
}

#[tokio::test]
async fn clones_share_a_client_until_the_authorities_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem("one.example")).unwrap();
    let (client, url) = (client().trusting(path.clone()), Url::parse("https://idp.example").unwrap());
    let trusted = |client: &Client| client.made.lock().unwrap().as_ref().map(|(trusted, _)| trusted.clone());
    client.clone().get(&url).await.unwrap();
    let before = trusted(&client).unwrap();
    std::fs::write(&path, pem("two.example")).unwrap();
    client.get(&url).await.unwrap();
    assert_ne!(trusted(&client).unwrap(), before);
}
