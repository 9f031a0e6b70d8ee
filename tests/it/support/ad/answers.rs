//! What it answers: messages of LDAP in, messages out.

use super::*;

pub(super) async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let (mut buffer, mut bound) = (Vec::new(), false);
    loop {
        let mut part = [0; 4_096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.extend_from_slice(&part[..read]),
        }
        if state.lock().unwrap().hangs_up {
            return;
        }
        while let Ok((rest, message)) = parse_tag(&buffer) {
            let rest = rest.to_vec();
            let answers = answer(message, &mut bound, &mut state.lock().unwrap());
            buffer = rest;
            let bytes: Vec<u8> = answers.into_iter().flat_map(encoded).collect();
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

fn parts(tag: &StructureTag) -> &[StructureTag] {
    match &tag.payload {
        PL::C(parts) => parts,
        PL::P(_) => panic!("{tag:?} has no parts"),
    }
}

fn bytes(tag: &StructureTag) -> &[u8] {
    match &tag.payload {
        PL::P(bytes) => bytes,
        PL::C(_) => panic!("{tag:?} has parts"),
    }
}

fn text(tag: &StructureTag) -> String {
    String::from_utf8(bytes(tag).to_vec()).unwrap()
}

fn number(tag: &StructureTag) -> u64 {
    parse_uint(bytes(tag)).unwrap().1
}

fn tag(class: TagClass, id: u64, payload: PL) -> StructureTag {
    StructureTag { class, id, payload }
}

fn octets(value: impl AsRef<[u8]>) -> StructureTag {
    tag(TagClass::Universal, 4, PL::P(value.as_ref().to_vec()))
}

fn integer(value: u16) -> StructureTag {
    let bytes = value.to_be_bytes();
    tag(TagClass::Universal, 2, PL::P([&[0], &bytes[..]].concat()))
}

fn sequence(parts: Vec<StructureTag>) -> StructureTag {
    tag(TagClass::Universal, 16, PL::C(parts))
}

fn encoded(value: StructureTag) -> Vec<u8> {
    let mut bytes = Default::default();
    write::encode_into(&mut bytes, value).unwrap();
    bytes.to_vec()
}

/// A message with an operation of this number and these controls.
fn message(
    id: &StructureTag,
    operation: u64,
    inner: Vec<StructureTag>,
    controls: Vec<(&str, Vec<u8>)>,
) -> StructureTag {
    let mut all = vec![id.clone(), tag(TagClass::Application, operation, PL::C(inner))];
    if !controls.is_empty() {
        let controls = controls.into_iter().map(|(oid, value)| sequence(vec![octets(oid), octets(value)])).collect();
        all.push(tag(TagClass::Context, 0, PL::C(controls)));
    }
    sequence(all)
}

fn result(code: u8) -> Vec<StructureTag> {
    vec![tag(TagClass::Universal, 10, PL::P(vec![code])), octets(""), octets("")]
}

fn answer(request: StructureTag, bound: &mut bool, state: &mut State) -> Vec<StructureTag> {
    let (id, operation) = (&parts(&request)[0], &parts(&request)[1]);
    match operation.id {
        0 => {
            let given = (text(&parts(operation)[1]), text(&parts(operation)[2]));
            *bound = given == (READER.to_owned(), PASSWORD.to_owned());
            vec![message(id, 1, result(if *bound { 0 } else { 49 }), vec![])]
        }
        3 if !*bound => vec![message(id, 5, result(1), vec![])],
        3 => {
            let controls = parts(&request).get(2).map(parts).unwrap_or_default();
            let control = |oid: &str| {
                let control = controls.iter().find(|control| text(&parts(control)[0]) == oid)?;
                Some(parts(control).last().filter(|value| value.id == 4).map(bytes).unwrap_or_default().to_vec())
            };
            let asked = Asked::read(parts(operation));
            let (code, rows, controls) = search(state, &asked, control);
            let mut answers: Vec<StructureTag> = rows.into_iter().map(|row| message(id, 4, row, vec![])).collect();
            // Others are named from the root of a domain, and must not be followed.
            if asked.base == DOMAIN && asked.scope == 2 {
                answers.push(message(id, 19, vec![octets("ldap://DomainDnsZones.example.org/")], vec![]));
            }
            answers.push(message(id, 5, result(code), controls));
            answers
        }
        2 | 16 => vec![],
        other => panic!("operation {other} is not known here"),
    }
}

struct Asked {
    base: String,
    scope: u64,
    filter: StructureTag,
    attributes: Vec<String>,
}

impl Asked {
    fn read(search: &[StructureTag]) -> Self {
        Self {
            base: text(&search[0]),
            scope: number(&search[1]),
            filter: search[6].clone(),
            attributes: parts(&search[7]).iter().map(text).collect(),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.attributes.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    }

    fn covers(&self, dn: &str) -> bool {
        let (dn, base) = (dn.to_lowercase(), self.base.to_lowercase());
        dn == base || self.scope == 2 && dn.ends_with(&format!(",{base}"))
    }
}

type Answer = (u8, Vec<Vec<StructureTag>>, Vec<(&'static str, Vec<u8>)>);

fn search(state: &mut State, asked: &Asked, control: impl Fn(&str) -> Option<Vec<u8>>) -> Answer {
    if asked.base.is_empty() {
        let usn = state.usn.to_string();
        let root = [
            ("namingContexts", vec![DOMAIN.to_owned(), format!("CN=Configuration,{DOMAIN}")]),
            ("dsServiceName", vec![state.service.clone()]),
            ("highestCommittedUSN", vec![usn]),
            ("supportedControl", [DIRSYNC, SHOW_DELETED, PAGED].map(str::to_owned).to_vec()),
        ];
        let all = root.into_iter().filter(|(name, _)| asked.wants(name));
        let all = all.map(|(name, values)| (name.to_owned(), values.into_iter().map(String::into_bytes).collect()));
        return (0, vec![row("", all.collect())], vec![]);
    }
    if asked.base == state.service {
        return (0, vec![row(&asked.base, vec![("invocationId".to_owned(), vec![state.invocation.to_vec()])])], vec![]);
    }
    if !state.objects.iter().any(|object| object.dn.eq_ignore_ascii_case(&asked.base)) && asked.scope == 0 {
        return (32, vec![], vec![]);
    }
    if let Some(value) = control(DIRSYNC) {
        return dirsync(state, asked, &value);
    }
    let tombstones = control(SHOW_DELETED).is_some();
    let fits = |object: &&Object| {
        (tombstones || !object.deleted)
            && state.shows(object)
            && asked.covers(&object.dn)
            && matches(object, &asked.filter)
    };
    let found: Vec<&Object> = state.objects.iter().filter(fits).collect();
    let shown = |object: &&Object| row(&object.dn, shown(object, asked, state.values));
    let Some(value) = control(PAGED) else {
        return (if found.len() > 1_000 { 4 } else { 0 }, found.iter().take(1_000).map(shown).collect(), vec![]);
    };
    let page = parse_tag(&value).unwrap().1;
    let (size, cookie) = (number(&parts(&page)[0]), bytes(&parts(&page)[1]));
    let from: usize = if cookie.is_empty() { 0 } else { std::str::from_utf8(cookie).unwrap().parse().unwrap() };
    let to = from + usize::try_from(size).unwrap().min(1_000);
    let cookie = if to < found.len() { to.to_string() } else { String::new() };
    let rows = found.iter().skip(from).take(to - from).map(shown).collect();
    (0, rows, vec![(PAGED, encoded(sequence(vec![integer(0), octets(cookie)])))])
}

/// What changed since the cookie, of what is asked for; a cookie of another database is answered with everything.
fn dirsync(state: &mut State, asked: &Asked, value: &[u8]) -> Answer {
    state.asked += 1;
    if asked.base != DOMAIN {
        return (53, vec![], vec![]);
    }
    let value = parse_tag(value).unwrap().1;
    let cookie = text(&parts(&value)[2]);
    if let Some(code) = state.refuses_cookies.filter(|_| !cookie.is_empty()) {
        return (code, vec![], vec![]);
    }
    // The database, what was known, and of what is new how much was sent up to which number.
    let mut told = cookie.split('|');
    let mine = told.next() == Some(&format!("{:?}", state.invocation));
    let numbers: Vec<i64> = told.filter(|_| mine).map(|part| part.parse().unwrap()).collect();
    let (since, sent) = (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0));
    let changed = |object: &Object| {
        let new = |name: &&String| object.changed.get(&name.to_lowercase()).is_some_and(|usn| *usn > since);
        asked.attributes.iter().filter(new).cloned().collect::<Vec<_>>()
    };
    let mut found: Vec<(&Object, Vec<String>)> = state
        .objects
        .iter()
        .filter(|object| asked.covers(&object.dn) && object.usn() > sent.max(since) && matches(object, &asked.filter))
        .map(|object| (object, changed(object)))
        .filter(|(_, changed)| !changed.is_empty())
        .collect();
    found.sort_by_key(|(object, _)| object.usn());
    let more = found.len() > state.rows;
    found.truncate(state.rows);
    let last = found.last().map_or(state.usn, |(object, _)| object.usn());
    let rows = found.iter().map(|(object, names)| {
        let names = names.iter().cloned().chain(["objectGUID".to_owned()]);
        let all = names.map(|name| (name.clone(), object.values(&name)));
        row(&object.dn, all.collect())
    });
    let rows = rows.collect();
    let cookie = if more { (since, last) } else { (state.usn, state.usn) };
    let cookie = format!("{:?}|{}|{}", state.invocation, cookie.0, cookie.1);
    (0, rows, vec![(DIRSYNC, encoded(sequence(vec![integer(more.into()), integer(0), octets(cookie)])))])
}

fn row(dn: &str, attributes: Vec<(String, Values)>) -> Vec<StructureTag> {
    let set = |values: Values| tag(TagClass::Universal, 17, PL::C(values.into_iter().map(octets).collect()));
    let all = attributes.into_iter().map(|(name, values)| sequence(vec![octets(name), set(values)]));
    vec![octets(dn), sequence(all.collect())]
}

/// The attributes that are asked for; of many values only a range.
fn shown(object: &Object, asked: &Asked, most: usize) -> Vec<(String, Values)> {
    let mut all = Vec::new();
    for wanted in &asked.attributes {
        let (name, span) =
            wanted.split_once(";range=").map_or((wanted.as_str(), None), |(name, span)| (name, Some(span)));
        let values = object.values(name);
        if values.is_empty() {
            continue;
        }
        let from: usize = span.map_or(0, |span| span.split('-').next().unwrap().parse().unwrap());
        let part: Values = values.iter().skip(from).take(most).cloned().collect();
        if from == 0 && part.len() == values.len() {
            all.push((name.to_owned(), values));
            continue;
        }
        let last = from + part.len();
        let to = if last == values.len() { "*".to_owned() } else { (last - 1).to_string() };
        if span.is_none() {
            all.push((name.to_owned(), vec![]));
        }
        all.push((format!("{name};range={from}-{to}"), part));
    }
    all
}

fn matches(object: &Object, filter: &StructureTag) -> bool {
    let pair = || (text(&parts(filter)[0]).to_lowercase(), bytes(&parts(filter)[1]));
    match filter.id {
        0 => parts(filter).iter().all(|part| matches(object, part)),
        1 => parts(filter).iter().any(|part| matches(object, part)),
        2 => !matches(object, &parts(filter)[0]),
        3 => object.has(&pair().0, pair().1),
        5 if pair().0 == "usnchanged" => object.usn() >= std::str::from_utf8(pair().1).unwrap().parse().unwrap(),
        7 => text(filter).eq_ignore_ascii_case("objectClass") || !object.values(&text(filter)).is_empty(),
        other => panic!("filters of kind {other} are not known here"),
    }
}
