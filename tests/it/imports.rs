//! Who may import whom: `tests/golden/imports.txt` against what stands in `src/`.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The golden file: arrows, words that only some paths may say, and circles of files that are left.
struct Rules {
    arrows: BTreeMap<String, BTreeSet<String>>,
    only: Vec<(Vec<String>, String)>,
    circles: Vec<BTreeSet<String>>,
}

fn rules() -> Rules {
    let text = fs::read_to_string(root().join("tests/golden/imports.txt")).unwrap();
    let mut rules = Rules { arrows: BTreeMap::new(), only: Vec::new(), circles: Vec::new() };
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((paths, word)) = line.strip_prefix("only ").and_then(|rest| rest.split_once(": ")) {
            rules.only.push((paths.split_whitespace().map(str::to_owned).collect(), word.to_owned()));
        } else if let Some(circle) = line.strip_prefix("circle ") {
            let (files, reason) = circle.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(!reason.trim().is_empty(), "no reason: {line}");
            rules.circles.push(files.split_whitespace().map(str::to_owned).collect());
        } else {
            let (module, may) = line.split_once(':').unwrap_or_else(|| panic!("no rule: {line}"));
            let may = may.split_whitespace().map(str::to_owned).collect();
            assert!(rules.arrows.insert(module.to_owned(), may).is_none(), "`{module}` stands twice");
        }
    }
    rules
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every source file by its path from the root, less what is only for tests: comments, items and whole files
/// behind `#[cfg(test)]`.
fn sources() -> BTreeMap<String, String> {
    let (mut files, mut only_tests) = (BTreeMap::new(), Vec::new());
    let mut waiting = vec![root().join("src")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).unwrap();
                let children =
                    shown.trim_end_matches("lib.rs").trim_end_matches(".rs").trim_end_matches('/').to_owned();
                only_tests.extend(test_modules(&text).into_iter().map(|name| format!("{children}/{name}")));
                files.insert(shown, for_real(&text));
            }
        }
    }
    files.retain(|path, _| {
        !only_tests.iter().any(|module| *path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
    });
    files
}

/// Names of the modules with a file of their own that `text` declares behind `#[cfg(test)]`.
fn test_modules(text: &str) -> Vec<String> {
    let mut lines = text.lines().map(str::trim);
    let mut names = Vec::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let item = lines.find(|line| !line.starts_with("#[")).unwrap_or_default();
            let name = item.split_once("mod ").and_then(|(_, rest)| rest.strip_suffix(';'));
            names.extend(name.map(str::to_owned));
        }
    }
    names
}

/// `text` without line comments, and without items behind `#[cfg(test)]`.
fn for_real(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split("//").next().unwrap_or_default();
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Skips one item: up to the end of its outermost braces, or its semicolon. rustfmt puts the closing brace of an
/// item at the indentation of its first line.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim().starts_with("#[")) else { return };
    if first.trim_end().ends_with('{') {
        let indentation = first.len() - first.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indentation));
        lines.find(|line| line.trim_end() == closing);
    }
}

/// The top-level module of a file: `src/log/embedded.rs` and `src/log.rs` are `log`.
fn module(path: &str) -> &str {
    path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default()
}

/// Top-level modules named behind `crate::`, alone or in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, marker) in text.match_indices("crate::") {
        if text[..at].ends_with('$') {
            continue;
        }
        let rest = &text[at + marker.len()..];
        match rest.strip_prefix('{') {
            None => found.extend(word(rest)),
            Some(group) => found.extend(group_heads(group)),
        }
    }
    found
}

/// The first word of each path in a group that begins behind its brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (0, Vec::new(), true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            letter if fresh && (letter.is_alphanumeric() || letter == '_') => {
                heads.extend(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

#[test]
fn modules_import_only_whom_they_may() {
    let (rules, sources) = (rules(), sources());
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (path, text) in sources.iter().filter(|(path, _)| !["src/lib.rs", "src/main.rs"].contains(&path.as_str())) {
        let from = module(path);
        let Some(may) = rules.arrows.get(from) else {
            wrong.push(format!("{path}: module `{from}` has no line in tests/golden/imports.txt"));
            continue;
        };
        for to in imports(text).into_iter().filter(|to| to != from) {
            if !may.contains(&to) {
                wrong.push(format!("{path}: `{from}` may not import `{to}`"));
            }
            used.insert((from.to_owned(), to));
        }
    }
    for (from, may) in &rules.arrows {
        // A module whose file says nothing yet uses nothing yet.
        let built = sources.iter().any(|(path, text)| module(path) == from && text.contains("crate::"));
        for to in may.iter().filter(|to| built && !used.contains(&(from.clone(), (*to).clone()))) {
            wrong.push(format!("`{from}` does not import `{to}` any more: take it out of tests/golden/imports.txt"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn certain_words_stand_only_where_they_may() {
    let mut wrong = Vec::new();
    let sources = sources();
    for (paths, word) in rules().only {
        for (path, text) in &sources {
            let may = paths.iter().any(|allowed| path == allowed || path.starts_with(&format!("{allowed}/")));
            if !may && text.contains(&word) {
                wrong.push(format!("{path}: `{word}` may stand only in {}", paths.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_line() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: BTreeSet<_> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned)).collect();
    let rules: BTreeSet<_> = rules().arrows.into_keys().collect();
    assert_eq!(modules, rules);
}

#[test]
fn imports_are_seen_in_every_way_they_can_be_written() {
    let text = "use crate::a::b;\nuse crate::{c::{x, y}, d, self as me};\nfn f() -> crate::e::T { $crate::no::x() }\n";
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["a", "c", "d", "e", "self"]);
    let text = "use crate::a;\n// crate::b\n#[cfg(test)]\nmod tests {\n    use crate::c;\n}\n#[cfg(test)]\nmod t;\nuse crate::d;\n";
    let found: Vec<_> = imports(&for_real(text)).into_iter().collect();
    assert_eq!(found, ["a", "d"]);
    assert_eq!(test_modules(text), ["t"]);
}
