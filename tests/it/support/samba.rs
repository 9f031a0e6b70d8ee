//! A real domain controller, of Samba (tests/peers/samba), on a loopback address of its own: its ports are fixed. The files
//! of a domain are made once and copied.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::process::Process;
use super::{Scratch, root, until};

pub const BASE: &str = "DC=example,DC=org";
pub const ADMIN: &str = "CN=Administrator,CN=Users,DC=example,DC=org";
pub const ADMIN_PASSWORD: &str = "Adm1n-secret!";
/// It may hear what changes and is deleted.
pub const READER: &str = "CN=reader,CN=Users,DC=example,DC=org";
/// It may hear what changes (DirSync), and see nothing that is deleted.
pub const CHANGES: &str = "CN=changes,CN=Users,DC=example,DC=org";
/// It may no more than everybody.
pub const PLAIN: &str = "CN=plain,CN=Users,DC=example,DC=org";
pub const READER_PASSWORD: &str = "Read3r-secret!";

/// `userAccountControl` of an account that needs no password.
pub const ENABLED: &str = "544";
pub const DISABLED: &str = "546";

pub struct Samba {
    pub address: String,
    files: Scratch,
    process: Option<Process>,
}

/// Whether it can be started: `false` is "skipped". Its ports are below 1024.
fn is_possible() -> bool {
    let missing = ["/usr/sbin/samba", "/usr/bin/samba-tool"].into_iter().find(|path| !Path::new(path).exists());
    let what = match missing {
        Some(path) => format!("{path} is missing; tests/peers/install.sh samba puts it there"),
        None if !rustix::process::geteuid().is_root() => "Samba needs root".to_owned(),
        None => return true,
    };
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("\nskipped: {what}\n");
    false
}

fn script() -> PathBuf {
    root().join("tests/peers/samba/start.sh")
}

fn succeeds(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {said}");
    said
}

/// The files of a new domain. Made beside their place, which no half of them ever takes.
fn made() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let version = succeeds(Command::new("/usr/sbin/samba").arg("--version"));
    let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{version}-domain-2"));
    if !place.join("made").exists() {
        let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        succeeds(Command::new("bash").arg(script()).arg("--make").arg(beside.path()));
        // Another checkout's run may have been quicker.
        if std::fs::rename(beside.path(), &place).is_ok() {
            let _ = beside.keep();
        }
    }
    place
}

impl Samba {
    /// A domain with `OU=Staff`, `OU=Groups` and `OU=Attic`.
    pub async fn start() -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        if !is_possible() {
            return None;
        }
        let (made, files) = (made(), Scratch::new());
        succeeds(Command::new("cp").args(["-a", "--sparse=always"]).arg(made.join(".")).arg(files.path()));
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{low}.{}", 64 + high % 128, NEXT.fetch_add(1, Ordering::Relaxed));
        let mut server = Self { address, files, process: None };
        server.resume().await;
        let unit = |name: &str| format!("dn: OU={name},{BASE}\nchangetype: add\nobjectClass: organizationalUnit\n\n");
        server.modify(&["Staff", "Groups", "Attic"].map(unit).concat());
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// Starts it again.
    pub async fn resume(&mut self) {
        let mut command = Command::new("bash");
        command.arg(script()).arg(self.files.path()).arg(&self.address);
        let mut process = Process::start("samba", self.files.path(), &mut command);
        until("samba answers", async || {
            process.check();
            let mut command = Command::new("ldapsearch");
            command.args(["-x", "-H", &self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD, "-s", "base", "-b", BASE, "1.1"]);
            command.output().unwrap().status.success().then_some(())
        })
        .await;
        self.process = Some(process);
    }

    /// Stops it; its data stay.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Keeps a copy of its data. It has to be stopped.
    pub fn back_up(&self) {
        assert!(self.process.is_none());
        let data = self.files.path().join("dc");
        succeeds(Command::new("cp").arg("-a").arg(&data).arg(self.files.path().join("backup")));
    }

    /// Puts that copy in the place of its data, as one does who knows no better: nothing tells the database that it was
    /// restored.
    pub fn restore(&self) {
        assert!(self.process.is_none());
        let data = self.files.path().join("dc");
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(self.files.path().join("backup"), data).unwrap();
    }

    /// Changes as the administrator, in LDIF.
    pub fn modify(&self, ldif: &str) {
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{ldif}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Somebody in `OU=Staff`, enabled. A password would be new, and a token of the same second older than that.
    pub fn add_person(&self, name: &str) {
        let own = format!("sAMAccountName: {name}\nmail: {name}@example.org\nuserAccountControl: {ENABLED}\n");
        self.modify(&format!("dn: {}\nchangetype: add\nobjectClass: user\n{own}", person(name)));
    }

    pub fn add_group(&self, name: &str, members: &[String]) {
        let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
        let own = format!("objectClass: group\nsAMAccountName: {name}\n{members}");
        self.modify(&format!("dn: {}\nchangetype: add\n{own}", group(name)));
    }

    /// Changes one attribute; without a value it is taken away.
    pub fn set(&self, dn: &str, attribute: &str, value: Option<&str>) {
        let value = value.map(|value| format!("{attribute}: {value}\n")).unwrap_or_default();
        self.modify(&format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{value}"));
    }

    /// Takes somebody out of a group (`delete`), or puts them in (`add`).
    pub fn member(&self, how: &str, of: &str, member: &str) {
        self.modify(&format!("dn: {}\nchangetype: modify\n{how}: member\nmember: {member}\n", group(of)));
    }

    pub fn delete(&self, dn: &str) {
        self.modify(&format!("dn: {dn}\nchangetype: delete\n"));
    }

    pub fn move_to(&self, from: &str, rdn: &str, above: &str) {
        let ldif = format!("dn: {from}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: {above}\n");
        self.modify(&ldif);
    }

    /// The last number of a group's SID.
    pub fn number(&self, of: &str) -> String {
        let mut command = Command::new("ldapsearch");
        command.args(["-x", "-LLL", "-H", &self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD, "-s", "base"]);
        let said = succeeds(command.args(["-b", &group(of), "objectSid"]));
        let sid = said.lines().find_map(|line| line.strip_prefix("objectSid:: ")).unwrap();
        let sid = STANDARD.decode(sid.trim()).unwrap();
        u32::from_le_bytes(*sid.last_chunk().unwrap()).to_string()
    }
}

pub fn person(name: &str) -> String {
    format!("CN={name},OU=Staff,{BASE}")
}

pub fn group(name: &str) -> String {
    format!("CN={name},OU=Groups,{BASE}")
}

/// 100 nanoseconds since 1601, so many seconds from now.
pub fn ticks(seconds: i64) -> String {
    ((jiff::Timestamp::now().as_second() + seconds + 11_644_473_600) * 10_000_000).to_string()
}
