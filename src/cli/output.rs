//! Prints answers: tables for people, JSON lines for programs.

mod layout;

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::Failure;

/// Output format of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns, for people.
    Table,
    /// One object per line, for programs.
    Json,
}

/// Output format of a listing.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Output {
    /// Output format [default: table on a terminal, else json (one object per line)]
    #[arg(short, long, value_enum, value_name = "table|json", hide_possible_values = true)]
    output: Option<Format>,
}

/// Output format of a command that does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Sentences, for people.
    Text,
    /// One object per line, for programs.
    Json,
}

/// Output format of a command that does something.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Report {
    /// Output format: sentences, or one JSON object per line
    #[arg(short, long, value_enum, value_name = "text|json", hide_possible_values = true, default_value = "text")]
    output: ReportFormat,
}

/// Prints text as it is.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::Unreachable(format!("print: {error}"))),
    }
}

/// A row: names and values, in order. JSON has every one of them, with `null` for what is absent.
pub(super) type Row = Vec<(&'static str, Value)>;

/// A value of a row: text, or nothing.
pub(super) fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// A value of a row that may be absent.
pub(super) fn optional(value: Option<String>) -> Value {
    value.map_or(Value::Null, Value::String)
}

/// A value of a row: several texts.
pub(super) fn texts(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

impl Output {
    pub(super) fn format(self) -> Format {
        self.output.unwrap_or(if std::io::stdout().is_terminal() { Format::Table } else { Format::Json })
    }

    /// Prints rows.
    pub(super) fn rows(self, rows: Vec<Row>) -> Result<(), Failure> {
        match self.format() {
            Format::Json => print(&rows.into_iter().map(json_line).collect::<String>()),
            Format::Table => print(&layout::table(&rows, columns())),
        }
    }

    /// Prints one thing: one member per line, or a JSON object.
    pub(super) fn one(self, row: Row) -> Result<(), Failure> {
        match self.format() {
            Format::Json => print(&json_line(row)),
            Format::Table => print(&layout::record(&row, columns())),
        }
    }
}

impl Report {
    /// Whether programs read it.
    pub(super) fn is_json(self) -> bool {
        self.output == ReportFormat::Json
    }

    /// Prints what was done: the sentences, or the row.
    pub(super) fn told(self, sentences: &str, row: Row) -> Result<(), Failure> {
        print(&if self.is_json() { json_line(row) } else { sentences.to_owned() })
    }
}

/// Columns of the terminal on standard output; `None`: it is none, or does not say.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn json_line(row: Row) -> String {
    let absent_is_null = |value: Value| if value.as_str() == Some("") { Value::Null } else { value };
    let members = row.into_iter().map(|(name, value)| (name.to_owned(), absent_is_null(value)));
    Value::Object(members.collect::<Map<_, _>>()).to_string() + "\n"
}

/// Text fit for a terminal: some of it comes from whoever sent a request.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_every_key() {
        let row = vec![("id", text("r1")), ("reason", text("")), ("expires", Value::Null), ("people", texts([]))];
        assert_eq!(json_line(row), "{\"expires\":null,\"id\":\"r1\",\"people\":[],\"reason\":null}\n");
    }
}
