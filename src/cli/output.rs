//! Prints answers: tables for people, JSON lines for programs.

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

/// Prints text as it is.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::Unreachable(format!("print: {error}"))),
    }
}

/// A row: names and values, in order. JSON omits empty values.
pub(super) type Row = Vec<(&'static str, Value)>;

/// A value of a row: text, or nothing.
pub(super) fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// A value of a row: several texts.
pub(super) fn texts(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

impl Output {
    fn format(self) -> Format {
        self.output.unwrap_or(if std::io::stdout().is_terminal() { Format::Table } else { Format::Json })
    }

    /// Prints rows.
    pub(super) fn rows(self, rows: Vec<Row>) -> Result<(), Failure> {
        match self.format() {
            Format::Json => print(&rows.into_iter().map(json_line).collect::<String>()),
            Format::Table => print(&table(&rows)),
        }
    }

    /// Prints one thing: one member per line, or a JSON object.
    pub(super) fn one(self, row: Row) -> Result<(), Failure> {
        match self.format() {
            Format::Json => print(&json_line(row)),
            Format::Table => {
                let width = row.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                let line = |(name, value): &(&str, Value)| format!("{name:width$}  {}\n", cell(value));
                print(&row.iter().map(line).collect::<String>())
            }
        }
    }
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
    let members = row.into_iter().filter(|(_, value)| !is_empty(value)).map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>()).to_string() + "\n"
}

/// Text fit for a terminal: some of it comes from whoever sent a request.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// A value for people. Control characters cannot leave their cell.
fn cell(value: &Value) -> String {
    let plain = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name} {}", cell(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let shown = shown(&plain);
    if shown.is_empty() { "-".to_owned() } else { shown }
}

fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return "nothing to show\n".to_owned() };
    let mut lines: Vec<Vec<String>> = vec![first.iter().map(|(name, _)| name.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|(_, value)| cell(value)).collect()));
    let widths: Vec<usize> = (0..first.len())
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        let rows = vec![
            vec![("id", text("r1")), ("reason", text("left\u{1b}[31m"))],
            vec![("id", text("r12")), ("reason", Value::Null)],
        ];
        assert_eq!(table(&rows), "ID   REASON\nr1   left\u{fffd}[31m\nr12  -\n");
        assert_eq!(table(&[]), "nothing to show\n");
    }

    #[test]
    fn a_json_line_leaves_out_what_is_empty() {
        assert_eq!(json_line(vec![("id", text("r1")), ("expires", Value::Null)]), "{\"id\":\"r1\"}\n");
    }
}
