//! The Containerfile, as far as its own instructions go.

use std::collections::BTreeMap;

use crate::support::root;

pub struct Containerfile {
    /// Every `ARG` that has a default.
    pub arguments: BTreeMap<String, String>,
    stages: Vec<Stage>,
}

#[derive(Clone)]
pub struct Stage {
    pub from: String,
    name: String,
    instructions: Vec<(String, String)>,
}

impl Containerfile {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(root().join("k8s/image/Containerfile")).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let mut image = Self { arguments: BTreeMap::new(), stages: Vec::new() };
        for line in lines.join("\n").replace("\\\n", " ").lines().filter(|line| !line.is_empty()) {
            let (keyword, rest) = line.split_once(' ').unwrap();
            match keyword {
                "FROM" => image.begin(rest),
                "ARG" => {
                    let (name, value) = rest.split_once('=').unwrap();
                    image.arguments.insert(name.to_owned(), value.to_owned());
                }
                _ => {
                    let stage = image.stages.last_mut().unwrap();
                    stage.instructions.push((keyword.to_owned(), rest.to_owned()));
                }
            }
        }
        image
    }

    fn begin(&mut self, rest: &str) {
        let (from, name) = rest.split_once(" AS ").unwrap_or((rest, ""));
        let named = from.strip_prefix("${").and_then(|from| from.strip_suffix('}'));
        let from = named.map_or(from, |name| &self.arguments[name]).to_owned();
        self.stages.push(Stage { from, name: name.to_owned(), instructions: Vec::new() });
    }

    pub fn stage(&self, name: &str) -> &Stage {
        self.stages.iter().find(|stage| stage.name == name).unwrap()
    }

    /// What is built where nobody names another.
    pub fn last(&self) -> Stage {
        self.stages.last().unwrap().clone()
    }

    /// The one word of its entry point.
    pub fn entrypoint(&self) -> String {
        let words: Vec<String> = serde_json::from_str(self.last().one("ENTRYPOINT")).unwrap();
        let [program] = words.try_into().unwrap();
        program
    }
}

impl Stage {
    pub fn all(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.instructions.iter().filter(move |(found, _)| found == keyword).map(|(_, rest)| rest.as_str())
    }

    pub fn one(&self, keyword: &str) -> &str {
        let found: Vec<&str> = self.all(keyword).collect();
        let [only] = found.as_slice() else { panic!("{keyword}: {found:?}") };
        only
    }

    /// From where, into where: out of another stage by a whole path, out of the context by a relative one.
    pub fn copies(&self) -> impl Iterator<Item = (String, String)> {
        self.all("COPY").map(|rest| {
            let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "--from=build").collect();
            let [from, into] = words.as_slice() else { panic!("COPY {rest}") };
            assert_eq!(rest.starts_with("--from="), from.starts_with('/'), "{rest}");
            ((*from).to_owned(), (*into).to_owned())
        })
    }
}
