//! Circles of imports between the files of one module: only those that `tests/golden/imports.txt` lists, each with its
//! reason. That a file imports the one above it is no circle: what is private to both is at home there.

use std::collections::{BTreeMap, BTreeSet};

use super::{rules, sources, word};

/// A file by its module path: `src/log/embedded.rs` is `log`, `embedded`.
type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

fn module(path: &str) -> Module {
    path.trim_start_matches("src/").trim_end_matches(".rs").split('/').map(str::to_owned).collect()
}

fn path(module: &Module) -> String {
    format!("src/{}.rs", module.join("/"))
}

/// Reads one path behind `path`, its groups spread out, and answers what comes after it.
fn spread<'a>(text: &'a str, mut path: Module, found: &mut Vec<Module>) -> &'a str {
    let mut rest = text.trim_start();
    while let Some(name) = word(rest) {
        rest = &rest[name.len()..];
        path.push(name);
        let Some(next) = rest.strip_prefix("::") else { break };
        rest = next.trim_start();
    }
    let Some(mut group) = rest.strip_prefix('{') else {
        found.push(path);
        return rest;
    };
    loop {
        group = group.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        if let Some(after) = group.strip_prefix('}') {
            return after;
        }
        let after = spread(group, path.clone(), found);
        let Some(end) = after.find([',', '}']) else { return after };
        group = &after[end..];
    }
}

/// Every path that begins with `crate`, `super`, `self`, or a module that the file declares.
fn paths(text: &str) -> Vec<Module> {
    let declared = text.lines().filter_map(|line| line.trim().split_once("mod ")?.1.strip_suffix(';'));
    let heads = ["crate", "super", "self"].into_iter().chain(declared);
    let mut found = Vec::new();
    for head in heads {
        for (at, _) in text.match_indices(&format!("{head}::")) {
            let inside = |letter: char| letter.is_alphanumeric() || "_$:".contains(letter);
            if !text[..at].ends_with(inside) {
                spread(&text[at..], Module::new(), &mut found);
            }
        }
    }
    found
}

/// The file that a path in `from` leads to.
fn target(from: &Module, path: &Module, files: &BTreeSet<Module>) -> Option<Module> {
    let up = path.iter().take_while(|name| *name == "super").count();
    let base = match path.first().map(String::as_str) {
        Some("crate") => Module::new(),
        Some("super") => from[..from.len().checked_sub(up)?].to_vec(),
        _ => from.clone(),
    };
    let rest = path[up..].iter().skip_while(|name| ["crate", "self"].contains(&name.as_str())).cloned();
    let whole: Module = base.into_iter().chain(rest).collect();
    (1..=whole.len()).rev().map(|length| whole[..length].to_vec()).find(|module| files.contains(module))
}

fn graph(sources: &BTreeMap<String, String>) -> Graph {
    let files: BTreeSet<Module> = sources.keys().map(|path| module(path)).collect();
    let mut graph = Graph::new();
    for (path, text) in sources {
        let from = module(path);
        let to = paths(text).into_iter().filter_map(|path| target(&from, &path, &files));
        let to = to.filter(|to| to[0] == from[0] && !from.starts_with(to));
        graph.insert(from.clone(), to.collect());
    }
    graph
}

fn reached(graph: &Graph, from: &Module) -> BTreeSet<Module> {
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(module) = waiting.pop() {
        waiting.extend(graph.get(module).into_iter().flatten().filter(|to| reached.insert((*to).clone())));
    }
    reached
}

/// The sets of files each of which imports, by way of the others, itself.
fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reach: BTreeMap<&Module, BTreeSet<Module>> = graph.keys().map(|from| (from, reached(graph, from))).collect();
    let of = |from: &&Module| {
        let around = reach[*from].iter().filter(|to| reach.get(to).is_some_and(|back| back.contains(*from)));
        around.map(path).collect::<BTreeSet<_>>()
    };
    reach.keys().map(of).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn files_of_one_module_import_each_other_in_no_circle_that_is_not_listed() {
    let (found, listed) = (circles(&graph(&sources())), rules().circles);
    let mut wrong: Vec<String> = Vec::new();
    for circle in &found {
        if !listed.iter().any(|allowed| circle.is_subset(allowed)) {
            let files: Vec<&str> = circle.iter().map(String::as_str).collect();
            wrong.push(format!("these files import each other in a circle: {}", files.join(" ")));
        }
    }
    for allowed in &listed {
        if !found.iter().any(|circle| circle.is_subset(allowed)) {
            let first = allowed.first().map(String::as_str).unwrap_or_default();
            wrong.push(format!("the circle of {first} is gone: take it out of tests/golden/imports.txt"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_seen_however_it_is_written() {
    let files = |texts: &[(&str, &str)]| {
        let sources = texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        circles(&graph(&sources)).into_iter().map(|circle| circle.into_iter().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let both = vec![vec!["src/a/b.rs".to_owned(), "src/a/c.rs".to_owned()]];
    for text in ["use super::b::X;", "use crate::a::{d, b::{self, X}};", "fn f() -> crate::a::b::X {}"] {
        assert_eq!(files(&[("src/a/b.rs", "use super::{d::Y, c as e};"), ("src/a/c.rs", text)]), both, "{text}");
    }
    let above = [("src/a.rs", "mod b;\nuse b::X;"), ("src/a/b.rs", "use super::Y;")];
    assert!(files(&above).is_empty(), "what is above");
    let aunt = [
        ("src/a/b.rs", "mod d;\nfn f() { d::g() }"),
        ("src/a/b/d.rs", "use crate::a::c;"),
        ("src/a/c.rs", "use super::b;"),
    ];
    assert_eq!(files(&aunt)[0].len(), 3, "by way of a file below");
    assert!(files(&[("src/a/b.rs", "use super::c;"), ("src/a/c.rs", "use crate::e::b;")]).is_empty(), "another module");
}
