//! A real OpenLDAP (tests/peers/slapd), with alice, bob and carol in group `devs`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::Process;
use super::{Scratch, ports, root, until};

pub const BASE: &str = "dc=example,dc=org";
pub const READER: &str = "cn=sync,ou=svc,dc=example,dc=org";
/// What the reader may do, where a test takes nothing from it.
pub const ACCESS: &str = "access to * by dn.exact=\"cn=sync,ou=svc,dc=example,dc=org\" read by users read by * none";

/// What of its configuration a test chooses.
#[derive(Clone)]
pub struct Choices {
    pub access: &'static str,
    pub limits: &'static str,
    /// Certificate and key, PEM files.
    pub tls: Option<(std::path::PathBuf, std::path::PathBuf)>,
}

impl Default for Choices {
    fn default() -> Self {
        Self { access: ACCESS, limits: "", tls: None }
    }
}

pub struct Slapd {
    pub port: u16,
    pub choices: Choices,
    scratch: Scratch,
    process: Option<Process>,
}

/// Where Debian puts it; `None` is "skipped".
fn binary() -> Option<&'static Path> {
    let path = Path::new("/usr/sbin/slapd");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: tests/peers/install.sh puts it there", path.display());
    eprintln!("\nskipped: {} is missing; run tests/peers/install.sh slapd\n", path.display());
    None
}

impl Slapd {
    pub async fn start(choices: Choices) -> Option<Self> {
        let slapd = binary()?;
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path().join("db")).unwrap();
        let mut server = Self { port: ports::free(), choices, scratch, process: None };
        let config = server.configure();
        let base = root().join("tests/peers/slapd/base.ldif");
        let added = Command::new(slapd).args(["-T", "add", "-b", BASE, "-f"]).arg(config).arg("-l").arg(base).output();
        let added = added.unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        server.resume().await;
        Some(server)
    }

    fn configure(&self) -> std::path::PathBuf {
        let tls = self.choices.tls.as_ref().map(|(certificate, key)| {
            format!("TLSCertificateFile {}\nTLSCertificateKeyFile {}", certificate.display(), key.display())
        });
        let mut text = std::fs::read_to_string(root().join("tests/peers/slapd/slapd.conf")).unwrap();
        for (name, value) in [
            ("@DIR@", self.scratch.path().to_str().unwrap()),
            ("@TLS@", &tls.unwrap_or_default()),
            ("@ACCESS@", self.choices.access),
            ("@LIMITS@", self.choices.limits),
        ] {
            text = text.replace(name, value);
        }
        let path = self.scratch.path().join("slapd.conf");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts it again, with the choices as they are now.
    pub async fn resume(&mut self) {
        self.resume_on(self.port).await;
    }

    /// The same on another port: nobody else finds it there.
    pub async fn resume_on(&mut self, port: u16) {
        let config = self.configure();
        let scheme = if self.choices.tls.is_some() { "ldaps" } else { "ldap" };
        let mut command = Command::new(binary().unwrap());
        // A debug level keeps it in the foreground.
        command.arg("-f").arg(config).args(["-d", "none", "-h"]).arg(match scheme {
            // Both, to try StartTLS too.
            "ldaps" => format!("ldaps://127.0.0.1:{port} ldap://127.0.0.1:{}", self.plain_port(port)),
            _ => format!("ldap://127.0.0.1:{port}"),
        });
        let mut process = Process::start("slapd", self.scratch.path(), &mut command);
        until("slapd listens", async || {
            process.check();
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        self.process = Some(process);
    }

    /// Where it speaks in the clear, or by StartTLS, beside `ldaps`.
    pub fn plain_port(&self, port: u16) -> u16 {
        ports::beside(port)
    }

    /// Puts its data back from a backup of what they are: everything in it was written just now, says the server, and
    /// it knows no cookie from before. It has to be stopped.
    pub fn restore(&self) {
        let config = self.scratch.path().join("slapd.conf");
        let tool = |tool: &str| {
            let mut command = Command::new(binary().unwrap());
            command.args(["-T", tool, "-b", BASE, "-f"]).arg(&config);
            command
        };
        let backup = tool("cat").output().unwrap();
        assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
        let backup = String::from_utf8(backup.stdout).unwrap();
        let kept = backup.lines().filter(|line| !line.starts_with("entryCSN:") && !line.starts_with("contextCSN:"));
        let path = self.scratch.path().join("backup.ldif");
        std::fs::write(&path, kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        std::fs::remove_dir_all(self.scratch.path().join("db")).unwrap();
        std::fs::create_dir(self.scratch.path().join("db")).unwrap();
        let added = tool("add").arg("-w").arg("-l").arg(path).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }

    /// Keeps a copy of its data. It has to be stopped.
    pub fn back_up(&self) {
        assert!(self.process.is_none());
        self.copy("db", "backup");
    }

    /// Puts that copy in the place of its data, as one does who copies files.
    pub fn recover(&self) {
        assert!(self.process.is_none());
        self.copy("backup", "db");
    }

    /// Keeps another copy; where.
    pub fn put_aside(&self) -> &'static str {
        assert!(self.process.is_none());
        self.copy("db", "aside");
        "aside"
    }

    /// Puts that one in the place of its data.
    pub fn put_back(&self, aside: &str) {
        assert!(self.process.is_none());
        self.copy(aside, "db");
    }

    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.scratch.path().join(from), self.scratch.path().join(to));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    /// Stops it; its data stay.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Changes as the administrator, in LDIF.
    pub fn modify(&self, ldif: &str) {
        self.modify_on(self.port, ldif);
    }

    pub fn modify_on(&self, port: u16, ldif: &str) {
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-D", "cn=admin,dc=example,dc=org", "-w", "adminsecret"]);
        command.arg("-H").arg(format!("ldap://127.0.0.1:{port}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{ldif}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Changes one attribute of somebody; without a value it is taken away.
    pub fn set(&self, person: &str, attribute: &str, value: Option<&str>) {
        let value = value.map(|value| format!("{attribute}: {value}\n")).unwrap_or_default();
        self.modify(&format!("dn: {}\nchangetype: modify\nreplace: {attribute}\n{value}", dn(person)));
    }

    /// Adds so many people, `p0000` and so on; their names.
    pub fn add_people(&self, many: usize) -> Vec<String> {
        let names: Vec<String> = (0..many).map(|number| format!("p{number:04}")).collect();
        let add = |name: &String| {
            let classes = "objectClass: inetOrgPerson";
            format!("dn: {}\nchangetype: add\n{classes}\nuid: {name}\ncn: {name}\nsn: {name}\n\n", dn(name))
        };
        self.modify(&names.iter().map(add).collect::<String>());
        names
    }

    /// Takes somebody out of a group, or puts them in.
    pub fn member(&self, how: &str, group: &str, person: &str) {
        let group = format!("cn={group},ou=groups,{BASE}");
        self.modify(&format!("dn: {group}\nchangetype: modify\n{how}: member\nmember: {}\n", dn(person)));
    }

    pub fn delete(&self, person: &str) {
        self.modify(&format!("dn: {}\nchangetype: delete\n", dn(person)));
    }

    pub fn move_to(&self, from: &str, rdn: &str, above: &str) {
        let ldif = format!("dn: {from}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: {above}\n");
        self.modify(&ldif);
    }
}

pub fn dn(person: &str) -> String {
    format!("uid={person},ou=people,{BASE}")
}
