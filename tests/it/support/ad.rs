//! A domain controller as Microsoft documents one, as far as it is asked here: bind, rootDSE, searches with pages,
//! ranges, DirSync and tombstones. It holds what a test puts in, and numbers each change.

mod answers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use ldap3::asn1::{PL, StructureTag, TagClass, parse_tag, parse_uint, write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub const DOMAIN: &str = "DC=example,DC=org";
pub const READER: &str = "CN=offboard,CN=Users,DC=example,DC=org";
pub const PASSWORD: &str = "adsecret";
const DIRSYNC: &str = "1.2.840.113556.1.4.841";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const PAGED: &str = "1.2.840.113556.1.4.319";
/// The SID of the domain, without the last number.
const SID: [u8; 24] = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];

type Values = Vec<Vec<u8>>;

#[derive(Clone, Default)]
struct Object {
    dn: String,
    deleted: bool,
    attributes: BTreeMap<String, Values>,
    /// The number of the last change of each attribute.
    changed: BTreeMap<String, i64>,
}

impl Object {
    fn usn(&self) -> i64 {
        self.changed.values().copied().max().unwrap_or(0)
    }

    fn set(&mut self, name: &str, values: Values, usn: i64) {
        self.changed.insert(name.to_lowercase(), usn);
        self.attributes.insert(name.to_lowercase(), values);
    }

    fn values(&self, name: &str) -> Values {
        match name.to_lowercase().as_str() {
            "usnchanged" => vec![self.usn().to_string().into_bytes()],
            name => self.attributes.get(name).cloned().unwrap_or_default(),
        }
    }

    /// Whether one of the values is this one: in any case, where it is text.
    fn has(&self, name: &str, wanted: &[u8]) -> bool {
        let binary = ["objectguid", "objectsid"].contains(&name);
        let is = |value: &Vec<u8>| value == wanted || !binary && value.eq_ignore_ascii_case(wanted);
        self.attributes.get(name).is_some_and(|values| values.iter().any(is))
    }
}

pub struct State {
    objects: Vec<Object>,
    usn: i64,
    pub service: String,
    pub invocation: [u8; 16],
    /// Entries in one answer of DirSync.
    pub rows: usize,
    /// Values of one attribute in one answer.
    pub values: usize,
    /// What is answered to a cookie.
    pub refuses_cookies: Option<u8>,
    /// How often it was asked by DirSync.
    pub asked: usize,
    /// Below it nothing may be read. DirSync goes by a right of its own.
    pub hidden: Option<String>,
    /// What is deleted may not be read.
    pub hides_deleted: bool,
    /// Every request ends its connection.
    pub hangs_up: bool,
}

impl State {
    fn add(&mut self, number: u32, dn: &str, attributes: &[(&str, &str)]) {
        self.usn += 1;
        let mut object = Object { dn: dn.to_owned(), ..Object::default() };
        object.set("objectGUID", vec![guid(number).to_vec()], self.usn);
        object.set("objectSid", vec![[&SID[..], &number.to_le_bytes()].concat()], self.usn);
        object.set("name", vec![dn.as_bytes().to_vec()], self.usn);
        for (name, value) in attributes {
            let mut values = object.values(name);
            values.push(value.as_bytes().to_vec());
            object.set(name, values, self.usn);
        }
        self.objects.push(object);
    }

    /// Somebody in `OU=Staff`.
    pub fn add_person(&mut self, number: u32, name: &str, further: &[(&str, &str)]) {
        let mail = format!("{name}@example.org");
        let own = [
            ("objectClass", "top"),
            ("objectClass", "person"),
            ("objectClass", "user"),
            ("objectCategory", "person"),
            ("sAMAccountName", name),
            ("cn", name),
            ("mail", &mail),
            ("userAccountControl", "512"),
            ("accountExpires", "9223372036854775807"),
        ];
        self.add(number, &person(name), &[&own[..], further].concat());
    }

    pub fn add_group(&mut self, number: u32, name: &str, members: &[&str]) {
        let mut all = vec![("objectClass", "top"), ("objectClass", "group"), ("objectCategory", "group"), ("cn", name)];
        all.extend(members.iter().map(|member| ("member", *member)));
        self.add(number, &group(name), &all);
    }

    fn shows(&self, object: &Object) -> bool {
        let hidden = self.hidden.as_ref().is_some_and(|above| object.dn.ends_with(&format!(",{above}")));
        !(hidden || object.deleted && self.hides_deleted)
    }

    fn find(&mut self, dn: &str) -> &mut Object {
        self.objects.iter_mut().find(|object| object.dn == dn).unwrap()
    }

    /// Changes one attribute.
    pub fn set(&mut self, dn: &str, name: &str, values: &[&str]) {
        self.usn += 1;
        let (usn, values) = (self.usn, values.iter().map(|value| value.as_bytes().to_vec()).collect());
        self.find(dn).set(name, values, usn);
    }

    /// Moves an entry; groups that name it name it by its new name at once, and are not changed by that.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.usn += 1;
        let usn = self.usn;
        self.find(from).set("name", vec![to.as_bytes().to_vec()], usn);
        self.find(from).dn = to.to_owned();
        self.each_member(from, |member| *member = to.as_bytes().to_vec());
    }

    /// Deletes an entry: a tombstone stays, which is in no group and has lost what searches go by.
    pub fn delete(&mut self, dn: &str) {
        self.usn += 1;
        let usn = self.usn;
        let object = self.find(dn);
        let key = object.values("objectGUID").concat();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let first = dn.split(',').next().unwrap();
        object.dn = format!(r"{first}\0ADEL:{key},CN=Deleted Objects,{DOMAIN}");
        object.deleted = true;
        object
            .attributes
            .retain(|name, _| ["objectclass", "objectguid", "objectsid", "samaccountname"].contains(&name.as_str()));
        object.set("isDeleted", vec![b"TRUE".to_vec()], usn);
        self.each_member(dn, Vec::clear);
        for object in &mut self.objects {
            object
                .attributes
                .entry("member".to_owned())
                .and_modify(|members| members.retain(|member| !member.is_empty()));
        }
    }

    fn each_member(&mut self, dn: &str, change: impl Fn(&mut Vec<u8>)) {
        let members = self.objects.iter_mut().flat_map(|object| object.attributes.get_mut("member"));
        members.flatten().filter(|member| **member == dn.as_bytes()).for_each(change);
    }
}

/// The 16 bytes of an `objectGUID`; the last eight are written in the order in which they stand.
fn guid(number: u32) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

/// The same as it is written.
pub fn key(number: u32) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

pub fn person(name: &str) -> String {
    format!("CN={name},OU=Staff,{DOMAIN}")
}

pub fn group(name: &str) -> String {
    format!("CN={name},OU=Groups,{DOMAIN}")
}

pub struct DomainController {
    pub port: u16,
    state: Arc<Mutex<State>>,
    _task: JoinSet<()>,
}

impl DomainController {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            objects: Vec::new(),
            usn: 1_000,
            service: format!("CN=NTDS Settings,CN=DC1,CN=Configuration,{DOMAIN}"),
            invocation: [7; 16],
            rows: 1_000,
            values: 1_500,
            refuses_cookies: None,
            asked: 0,
            hidden: None,
            hides_deleted: false,
            hangs_up: false,
        };
        let (port, state) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(state)));
        let (mut task, shared) = (JoinSet::new(), Arc::clone(&state));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answers::serve(stream, Arc::clone(&shared)));
            }
        });
        let server = Self { port, state, _task: task };
        server.state().add(1, DOMAIN, &[("objectClass", "domainDNS")]);
        let container = format!("CN=Deleted Objects,{DOMAIN}");
        server.state().add(2, &container, &[("objectClass", "container"), ("isDeleted", "TRUE")]);
        server.state().find(&container).deleted = true;
        server
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
