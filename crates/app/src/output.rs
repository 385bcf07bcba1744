//! What people and scripts read: answers on standard output, complaints on standard error.

use std::io::{IsTerminal, Write};

/// Widest column of a table, in characters; longer values are cut, but not in the last one.
const MAX_COLUMN_CHARS: usize = 60;

/// Writes a line to standard output. A reader that went away, such as `head`, ends the process quietly.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Writes a document as JSON to standard output, readable.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Says on standard error, in one line, why a command failed.
pub fn complain(error: &anyhow::Error) {
    eprintln!("tillstream: {}", one_line(&format!("{error:#}")));
}

/// Whether a progress bar would be seen.
pub fn shows_progress() -> bool {
    std::io::stderr().is_terminal()
}

/// A text without line breaks and other control characters, so that what a stranger sent cannot drive the terminal.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_control()).map(str::trim).filter(|s| !s.is_empty()).collect();
    words.join(" ")
}

/// Rows under headings, columns as wide as their longest value.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(readable).collect();
    let widths: [usize; N] = std::array::from_fn(|i| {
        rows.iter().map(|row| row[i].chars().count()).chain([headings[i].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let body = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(headings)).chain(body).collect::<Vec<_>>().join("\n")
}

fn readable<const N: usize>(row: &[String; N]) -> [String; N] {
    std::array::from_fn(|i| if i + 1 == N { one_line(&row[i]) } else { cut(one_line(&row[i])) })
}

fn cut(cell: String) -> String {
    if cell.chars().count() <= MAX_COLUMN_CHARS {
        return cell;
    }
    cell.chars().take(MAX_COLUMN_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_value_and_no_wider_than_the_limit() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned(), a.to_owned()];
        assert_eq!(table(["ID", "B", "C"], &[row("a", "b"), row("long", "")]), "ID    B  C\na     b  a\nlong     long");
        let longest = "x".repeat(MAX_COLUMN_CHARS);
        let (longer, cut) = (format!("{longest}y"), format!("{}…", &longest[1..]));
        assert_eq!(table(["", "", ""], &[row(&longest, "b")]), format!("\n{longest}  b  {longest}"));
        assert_eq!(table(["", "", ""], &[row(&longer, "b")]), format!("\n{cut}  b  {longer}"));
    }

    #[test]
    fn a_value_cannot_break_its_line_or_colour_the_terminal() {
        assert_eq!(one_line("a\n b\u{1b}[31mc\r\n"), "a b [31mc");
    }
}
