//! Paths → a consistent snapshot of the files, with a hash of their contents.
//!
//! The kubelet swaps a directory's `..data` link. Each reading resolves it once, so that all files belong together. A
//! file that vanishes meanwhile restarts the reading.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::location::SourceLocation;
use super::problem::{Invalid, Problem};

/// Size limit of a file. A ConfigMap holds 1 MiB in total.
pub const MAX_FILE: u64 = 1024 * 1024;
/// Size limit of all files together.
const MAX_TOTAL: usize = 8 * 1024 * 1024;
/// Limit on the number of files.
const MAX_FILES: usize = 256;
/// How often a reading is restarted when files vanish.
const ATTEMPTS: usize = 5;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name, as messages show it.
    pub name: Arc<str>,
    /// What it holds.
    pub text: String,
}

/// What was read, in merge order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The files.
    pub files: Vec<Input>,
}

/// Bytes that are not a kept configuration.
#[derive(Debug, thiserror::Error)]
#[error("the kept configuration cannot be read back")]
pub struct NotKept(#[from] serde_json::Error);

impl Inputs {
    /// SHA-256 over the sorted names and contents of the files and overrides, lower-case hex.
    #[must_use]
    pub fn hash(&self, overrides: &BTreeMap<String, String>) -> String {
        let files = self.files.iter().map(|file| (file.name.to_string(), file.text.as_str()));
        let variables = overrides.iter().map(|(name, value)| (format!("environment {name}"), value.as_str()));
        let mut parts: Vec<_> = files.chain(variables).collect();
        parts.sort_unstable();
        let mut context = Context::new(&SHA256);
        for (name, text) in parts {
            for bytes in [name.as_bytes(), text.as_bytes()] {
                context.update(&(bytes.len() as u64).to_be_bytes());
                context.update(bytes);
            }
        }
        hex::encode(context.finish())
    }

    /// The files as bytes, to be kept as the last good configuration.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The files that [`Inputs::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotKept`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotKept> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Reads files, and directories of `*.yaml` in name order.
///
/// # Errors
/// Everything that cannot be read, is too large or is not UTF-8.
pub fn read(paths: &[PathBuf]) -> Result<Inputs, Invalid> {
    let mut attempt = 1;
    loop {
        match Reading::default().all(paths) {
            Ok(inputs) => return Ok(inputs),
            Err(Failure { vanished: true, .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(failure) => return Err(Invalid::sorted(failure.problems)),
        }
    }
}

struct Failure {
    problems: Vec<Problem>,
    vanished: bool,
}

#[derive(Default)]
struct Reading {
    /// Directories, and the target of their `..data` when this reading first saw them.
    resolved: HashMap<PathBuf, PathBuf>,
    inputs: Vec<Input>,
    total: usize,
    problems: Vec<Problem>,
    vanished: bool,
}

impl Reading {
    fn all(mut self, paths: &[PathBuf]) -> Result<Inputs, Failure> {
        for path in paths {
            if path.is_dir() { self.directory(path) } else { self.single(path) }
        }
        if self.swapped() {
            self.vanished = true;
            self.say(Path::new("configuration"), "was replaced while being read, 5 times in a row");
        }
        if self.problems.is_empty() {
            Ok(Inputs { files: self.inputs })
        } else {
            Err(Failure { problems: self.problems, vanished: self.vanished })
        }
    }

    fn say(&mut self, name: &Path, what: impl Into<String>) {
        let location = SourceLocation::whole(&name.to_string_lossy().as_ref().into());
        self.problems.push(Problem { location, key: String::new(), what: what.into() });
    }

    fn fail(&mut self, name: &Path, error: &io::Error) {
        self.vanished |= error.kind() == io::ErrorKind::NotFound;
        self.say(name, format!("cannot be read: {error}"));
    }

    /// The real path of a directory's files. Only the link is read: if its target is gone by now, the reading must start
    /// over and never go on through the changed link.
    fn resolve(&mut self, directory: &Path) -> PathBuf {
        self.resolved.entry(directory.to_owned()).or_insert_with(|| version(directory)).clone()
    }

    /// Whether a `..data` was swapped meanwhile. The old target is then removed file by file, so even a listing of it may
    /// have been incomplete.
    fn swapped(&self) -> bool {
        self.resolved.iter().any(|(directory, real)| version(directory) != *real)
    }

    fn directory(&mut self, directory: &Path) {
        let real = self.resolve(directory);
        let mut names = match names(&real) {
            Ok(names) => names,
            Err(error) => return self.fail(directory, &error),
        };
        names.sort_unstable();
        if names.is_empty() {
            self.say(directory, "contains no *.yaml file");
        }
        for name in names {
            self.file(&real.join(&name), &directory.join(&name));
        }
    }

    fn single(&mut self, path: &Path) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only files that the kubelet put there come through its link.
        let real = match path.read_link().ok().as_deref().and_then(|link| link.strip_prefix("..data").ok()) {
            Some(inside) => self.resolve(parent).join(inside),
            None => path.to_owned(),
        };
        self.file(&real, path);
    }

    fn file(&mut self, real: &Path, shown: &Path) {
        let bytes = match contents(real) {
            Ok(bytes) => bytes,
            Err(error) => return self.fail(shown, &error),
        };
        if bytes.is_empty() {
            // What an interrupted write leaves would take away all that stood in it.
            return self.say(shown, "is empty; write it again, or remove it if nothing is meant");
        }
        if bytes.len() as u64 > MAX_FILE {
            return self.say(shown, "is larger than 1 MiB");
        }
        self.total += bytes.len();
        if self.total > MAX_TOTAL || self.inputs.len() == MAX_FILES {
            return self.say(shown, "exceeds the limit of 256 files and 8 MiB in total");
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let name = shown.to_string_lossy();
                if self.inputs.iter().any(|input| *input.name == *name) {
                    return self.say(shown, "is listed twice");
                }
                self.inputs.push(Input { name: name.as_ref().into(), text });
            }
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
                self.say(shown, format!("is not UTF-8 (line {line})"));
            }
        }
    }
}

fn version(directory: &Path) -> PathBuf {
    directory.join("..data").read_link().map_or_else(|_| directory.to_owned(), |version| directory.join(version))
}

/// Whether a file of this name is read when its directory was named.
pub(super) fn is_configuration(name: &Path) -> bool {
    let hidden = name.to_string_lossy().starts_with('.');
    !hidden && name.extension().is_some_and(|extension| extension == "yaml")
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = vec![];
    for entry in directory.read_dir()? {
        let name = PathBuf::from(entry?.file_name());
        if is_configuration(&name) {
            names.push(name);
        }
        if names.len() > MAX_FILES {
            break;
        }
    }
    Ok(names)
}

/// The bytes of a file, at most one more than [`MAX_FILE`]. Pipes and devices are refused before they can block.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
