//! Where the secret is from, and who may read a store with it.

use std::fs;

use super::*;
use crate::domain::key::Keyer;
use crate::log::Log;
use crate::log::embedded::Embedded;
use crate::log::memory::MemoryValues;
use crate::state::fold::Fold;
use crate::state::snapshot;
use crate::writer::replay;

const LOOK_UP: [u8; 16] = [0x11; 16];
const SALT: [u8; 32] = [0x22; 32];

struct Place {
    values: MemoryValues,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { values: MemoryValues::default(), dir: tempfile::tempdir().unwrap() }
    }

    /// A store and an audit trail of the version before.
    async fn old() -> Self {
        let place = Self::new();
        place.values.put(OLD_SECRET, LOOK_UP.to_vec()).await.unwrap();
        fs::write(place.dir.path().join("salt"), hex::encode(SALT)).unwrap();
        place
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    async fn start(&self, file: Option<&Path>) -> Result<Secret, SecretError> {
        of_installation(&self.values, file, self.dir.path()).await
    }

    async fn refused(&self, file: Option<&Path>) -> String {
        self.start(file).await.unwrap_err().to_string()
    }
}

#[tokio::test]
async fn without_a_file_it_is_drawn_once() {
    let place = Place::new();
    let drawn = place.start(None).await.unwrap();
    assert_eq!(place.start(None).await.unwrap(), drawn);
    assert_ne!(Place::new().start(None).await.unwrap(), drawn, "every installation has its own");
}

#[tokio::test]
async fn what_the_version_before_drew_is_taken_over() {
    let place = Place::old().await;
    let secret = place.start(None).await.unwrap();
    assert_eq!(secret, Secret::of_parts(LOOK_UP, SALT));
    fs::remove_file(place.dir.path().join("salt")).unwrap();
    assert_eq!(place.start(None).await.unwrap(), secret, "it is in the store now");
}

#[tokio::test]
async fn a_store_is_read_with_the_file_that_it_was_written_under() {
    let place = Place::new();
    let one = place.file("one", &format!("{}\n", "0a".repeat(48)));
    let other = place.file("other", &"0b".repeat(48));
    let secret = place.start(Some(&one)).await.unwrap();
    assert_eq!(secret, Secret::new([0x0a; 48]));
    assert_eq!(place.start(Some(&one)).await.unwrap(), secret);
    assert_eq!(place.values.get(SECRET).await.unwrap(), None, "it stays in its file");

    let expected = secret.fingerprint();
    let error = place.refused(Some(&other)).await;
    let found = Secret::new([0x0b; 48]).fingerprint();
    assert!(error.contains(&other.display().to_string()), "{error}");
    assert!(error.contains(&found.to_string()) && error.contains(&expected.to_string()), "{error}");
    assert!(!error.contains("0b0b") && !error.contains("0a0a"), "{error}");
    let error = place.refused(None).await;
    assert!(error.contains(&expected.to_string()) && error.contains("`store.secret_file`"), "{error}");
}

#[tokio::test]
async fn a_file_takes_over_from_the_store_only_with_the_same_secret() {
    for place in [Place::old().await, Place::new()] {
        let drawn = match place.values.get(OLD_SECRET).await.unwrap() {
            Some(_) => Secret::of_parts(LOOK_UP, SALT),
            None => place.start(None).await.unwrap(),
        };
        let other = place.file("other", &"0b".repeat(48));
        assert!(place.refused(Some(&other)).await.contains(&drawn.fingerprint().to_string()));
        let same = place.file("same", &hex::encode(drawn.bytes()));
        assert_eq!(place.start(Some(&same)).await.unwrap(), drawn);
    }
}

#[tokio::test]
async fn a_file_that_holds_no_secret_is_named_and_not_quoted() {
    let place = Place::new();
    for text in ["", "0a0a0a0a", &"0a".repeat(47), &"zz".repeat(48)] {
        let error = place.refused(Some(&place.file("bad", text))).await;
        assert!(error.contains("bad`") && error.contains("48 bytes in hex"), "{error}");
        assert!(!error.contains("0a0a") && !error.contains("zz"), "{error}");
    }
    let error = place.refused(Some(Path::new("/nowhere/secret"))).await;
    assert!(error.contains("/nowhere/secret") && error.contains("openssl rand -hex 48"), "{error}");
    assert_eq!(place.values.get(FINGERPRINT).await.unwrap(), None);
}

/// A store of the version before is read on from its snapshot, which says nothing of the secret.
#[tokio::test]
async fn a_recorded_store_is_read_on_from_its_snapshot() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/recorded/0.1-names");
    let place = Place::new();
    for name in ["store/log.db", "store/seen", "audit/salt"] {
        fs::copy(recorded.join(name), place.dir.path().join(Path::new(name).file_name().unwrap())).unwrap();
    }
    let log = Embedded::open(place.dir.path()).unwrap();
    let values = log.key_values();
    let secret = of_installation(values.as_ref(), None, place.dir.path()).await.unwrap();
    let look_up = values.get(OLD_SECRET).await.unwrap().unwrap();
    assert_eq!(secret.bytes()[..16], look_up[..]);
    let replayed = replay(&log, Keyer::of(&secret)).await.unwrap();
    assert_eq!((replayed.kept, replayed.fold.epoch.position), (69, 69));
    let mut anew = Fold::empty(Keyer::of(&secret), 0);
    log.read(0, 100).await.unwrap().iter().for_each(|recorded| anew.apply(recorded));
    assert_eq!(replayed.fold.digest(), anew.digest());

    // The next one says it.
    let bytes = snapshot::write(&replayed.fold).unwrap();
    assert_eq!(snapshot::read(&bytes, Keyer::of(&secret)).unwrap().digest(), anew.digest());
    let other = Secret::new([1; 48]);
    let error = snapshot::read(&bytes, Keyer::of(&other)).unwrap_err().to_string();
    assert!(error.contains(&secret.fingerprint().to_string()), "{error}");
    assert!(error.contains(&other.fingerprint().to_string()), "{error}");
}
