//! Tables and records that fit the terminal.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Row, is_empty, shown};

/// Between two columns.
const GAP: &str = "  ";
/// No column is cut to fewer characters: less of a name or a time says nothing.
const NARROWEST: usize = 12;

/// Rows as a table of at most `columns` characters a line. Columns in which nothing stands are left out. Where it is too
/// wide, the widest are cut, never the first, which names the row; where that is not enough, each row is a record.
pub(super) fn table(rows: &[Row], columns: Option<usize>) -> String {
    let Some(first) = rows.first() else { return "nothing to show\n".to_owned() };
    let stands = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|(_, value)| !is_empty(value)));
    let shown: Vec<usize> = (0..first.len()).filter(|column| *column == 0 || stands(*column)).collect();
    let of = |row: &Row, cell_of: &dyn Fn(&(&str, Value)) -> String| -> Vec<String> {
        shown.iter().filter_map(|column| row.get(*column)).map(cell_of).collect()
    };
    let mut lines = vec![of(first, &|(name, _)| name.to_uppercase())];
    lines.extend(rows.iter().map(|row| of(row, &|(_, value)| cell(value))));
    let natural: Vec<usize> = (0..shown.len())
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.width()).max().unwrap_or(0))
        .collect();
    let Some(widths) = fitting(&natural, columns) else {
        return rows.iter().map(|row| record(row, columns)).collect::<Vec<_>>().join("\n");
    };
    let cut = lines.iter().flatten().zip(widths.iter().cycle()).filter(|(cell, width)| cell.width() > **width).count();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| padded(cell, *width));
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned() + "\n"
    };
    let mut text: String = lines.iter().map(line).collect();
    match cut {
        0 => {}
        1 => text += "1 value is cut to fit the terminal; -o json shows it whole\n",
        _ => text += &format!("{cut} values are cut to fit the terminal; -o json shows them whole\n"),
    }
    text
}

/// Widths of the columns with which a line fits; `None`: it fits with none.
fn fitting(natural: &[usize], columns: Option<usize>) -> Option<Vec<usize>> {
    let capped = |most: usize| -> Vec<usize> {
        let first = natural.iter().take(1).copied();
        first.chain(natural.iter().skip(1).map(|width| (*width).min(most))).collect()
    };
    let Some(columns) = columns else { return Some(natural.to_vec()) };
    let gaps = GAP.len() * natural.len().saturating_sub(1);
    let widest = natural.iter().copied().max().unwrap_or(0).max(NARROWEST);
    let fits = |widths: &Vec<usize>| widths.iter().sum::<usize>() + gaps <= columns;
    (NARROWEST..=widest).rev().map(capped).find(fits)
}

/// One thing, a member per line; several values of one stand below each other.
pub(super) fn record(row: &Row, columns: Option<usize>) -> String {
    let names = row.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let hanging = format!("\n{:names$}{GAP}", "");
    let room = columns.map(|columns| columns.saturating_sub(names + GAP.len()).max(NARROWEST));
    let line = |(name, value): &(&str, Value)| {
        let values = match value {
            Value::Array(values) if !values.is_empty() => values.iter().map(cell).collect(),
            other => vec![cell(other)],
        };
        let lines: Vec<String> = values.iter().flat_map(|value| wrapped(value, room)).collect();
        format!("{name:names$}{GAP}{}\n", lines.join(&hanging))
    };
    row.iter().map(line).collect()
}

/// A text in lines of at most `room` characters, broken at spaces; a longer word stays whole, so that it can be copied.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A cell of exactly `width` characters, which ends in an ellipsis if something is cut.
fn padded(cell: &str, width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    if cell.width() <= width {
        text.push_str(cell);
        used = cell.width();
    } else {
        for char in cell.chars() {
            let wide = char.width().unwrap_or(0);
            if used + wide >= width {
                break;
            }
            text.push(char);
            used += wide;
        }
        text.push('…');
        used += 1;
    }
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    text
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{text, texts};
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            vec![("id", text("r1")), ("reason", text("left\u{1b}[31m")), ("ended", Value::Null)],
            vec![("id", text("r12")), ("reason", Value::Null), ("ended", Value::Null)],
        ]
    }

    #[test]
    fn a_table_has_aligned_columns_and_no_control_characters() {
        assert_eq!(table(&rows(), None), "ID   REASON\nr1   left\u{fffd}[31m\nr12  -\n", "and none that is empty");
        assert_eq!(table(&[], None), "nothing to show\n");
    }

    #[test]
    fn a_table_fits_the_terminal_and_says_what_is_cut() {
        let row = |id: &str, reason: &str, owner: &str| {
            vec![("id", text(id)), ("reason", text(reason)), ("owner", text(owner))]
        };
        let rows = [row("r8f14e45fceea167a", "a reason of many words", "operator"), row("r2", "left", "keycloak")];
        let fit = "ID                 REASON         OWNER\n\
            r8f14e45fceea167a  a reason of …  operator\n\
            r2                 left           keycloak\n\
            1 value is cut to fit the terminal; -o json shows it whole\n";
        assert_eq!(table(&rows, Some(42)), fit);
        for columns in 20..120 {
            let told = table(&rows, Some(columns));
            let longest = told.lines().filter(|line| !line.contains("-o json")).map(str::width).max();
            // No narrower than a name and the id.
            assert!(longest.unwrap() <= columns.max(25), "{columns}: {told}");
            assert!(told.contains("r8f14e45fceea167a"), "an id is never cut: {told}");
        }
    }

    #[test]
    fn where_no_table_fits_each_row_is_a_record() {
        let row = vec![("id", text("r1")), ("reason", text("left on Friday")), ("owner", text("operator"))];
        let told = "id      r1\nreason  left on\n        Friday\nowner   operator\n";
        assert_eq!(table(&[row.clone(), row], Some(20)), format!("{told}\n{told}"));
    }

    #[test]
    fn wide_characters_count_twice() {
        let rows = [vec![("id", text("林")), ("n", json!(1))], vec![("id", text("ab")), ("n", json!(2))]];
        assert_eq!(table(&rows, Some(80)), "ID  N\n林  1\nab  2\n");
        assert_eq!(padded("林林林", 4), "林… ");
    }

    #[test]
    fn several_values_of_a_record_stand_below_each_other() {
        let row = vec![("groups", texts(["eng".to_owned(), "ops".to_owned()])), ("id", text("hr/e1"))];
        assert_eq!(record(&row, None), "groups  eng\n        ops\nid      hr/e1\n");
    }
}
