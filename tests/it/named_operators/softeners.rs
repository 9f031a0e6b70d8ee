//! What softens the mesh reaches no caller of the control API (contract section 7), each setting by itself.

use super::{Office, REVOKE};

/// Whether somebody with this token gets in although this is configured.
async fn is_refused(of_issuer: &str, further: &str, query: &str) {
    let office = Office::open_with(of_issuer, further).await;
    let (code, said) = office.run(query, &["people"]).await;
    assert_eq!(code, 1, "{of_issuer} {further}: {said}");
    let (code, said) = office.run_as("nick", &["people"]).await;
    assert_eq!(code, 0, "the right one gets in: {said}");
}

#[tokio::test]
async fn settings_of_the_mesh_admit_nobody() {
    let dora = "sub=dora&aud=offboard-control";
    let settings = [
        ("enforcement: observe\n", dora),
        ("authorization: none\n", dora),
        ("public: [{ paths: [/**] }]\n", dora),
        ("people: { unknown: allow }\n", "sub=nobody&aud=offboard-control&groups=security"),
        ("clients: { unknown: allow }\n", "sub=bot&azp=bot&client_id=bot&aud=offboard-control&groups=security"),
    ];
    for (further, query) in settings {
        is_refused("", further, query).await;
    }
    let everyone = "- { role: officer, everyone: true }\n";
    let further = format!("  {everyone}");
    is_refused("", &further, dora).await;
}

#[tokio::test]
async fn an_id_token_is_none_of_an_operator() {
    is_refused(", id_tokens: accept", "", "sub=olga&aud=offboard-control&nonce=n&typ=JWT").await;
}

#[tokio::test]
async fn an_exemption_admits_no_operator() {
    let office = Office::open().await;
    office.files.write_people(&super::PEOPLE.map(|row| match row {
        row if row.starts_with("id: nick") => "id: nick, username: nick, status: suspended, groups: [on-call]",
        row => row,
    }));
    crate::support::until("nick is out", async || (office.run_as("nick", &["people"]).await.0 == 1).then_some(()))
        .await;
    let exempt = ["exempt", "hr/nick", "--expires", "1h", "--reason", "payday"];
    let (code, said) = office.run_as("olga", &exempt).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(office.run_as("nick", &["people"]).await.0, 1);
    assert_eq!(office.run_as("nick", &REVOKE).await.0, 1);
}
