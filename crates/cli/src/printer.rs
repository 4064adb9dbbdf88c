//! Output: standard output is data, standard error is talk.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::{
    failure::Report,
    settings::{ColorChoice, OutputFormat},
};

/// Writes what a command has to say, in the form that the user chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    format: OutputFormat,
    color: bool,
    quiet: bool,
}

impl Printer {
    /// `Auto` colours a terminal, unless `NO_COLOR` is set.
    pub(crate) fn new(format: OutputFormat, color: ColorChoice, quiet: bool) -> Self {
        let color = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        Self { format, color, quiet }
    }

    /// Whether data goes out as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// A command's result: one JSON document, or the text that `human` makes.
    pub(crate) fn data<T: Serialize + ?Sized>(
        &self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.is_json() {
            self.raw(&format!("{}\n", serde_json::to_string_pretty(value)?))
        } else {
            let mut text = human();
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            self.raw(&text)
        }
    }

    /// One element of a stream: a line of JSON, or the text that `human` makes.
    pub(crate) fn item<T: Serialize + ?Sized>(
        &self,
        value: &T,
        human: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.is_json() {
            self.raw(&format!("{}\n", serde_json::to_string(value)?))
        } else {
            self.raw(&format!("{}\n", human()))
        }
    }

    /// Text as it is.
    pub(crate) fn raw(&self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => OutputClosed.into(),
            _ => anyhow::Error::new(e).context("cannot write to standard output"),
        })
    }

    /// What happens, for a person who watches; `--quiet` drops it.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.talk(text.as_ref());
        }
    }

    /// What a person should know even with `--quiet`.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        self.talk(&format!("{}: {}", self.paint("33;1", "warning"), text.as_ref()));
    }

    /// A failed command's report.
    pub(crate) fn error(&self, report: &Report) {
        let mut text = String::new();
        for (i, cause) in report.causes.iter().enumerate() {
            let label = if i == 0 {
                format!("{}: ", self.paint("31;1", "error"))
            } else {
                "  caused by: ".to_owned()
            };
            text.push_str(&format!("{label}{}\n", cause.trim_end().replace('\n', "\n  ")));
        }
        if let Some(hint) = &report.hint {
            text.push_str(&format!("\n{}: {hint}\n", self.paint("36;1", "hint")));
        }
        self.talk(text.trim_end());
    }

    fn talk(&self, text: &str) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whoever read standard output (`head`, `less`) has enough: a reason to end, but no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Text that others chose (a provider's name, an app's output), made harmless for a terminal:
/// control characters could move the cursor and forge what this program says.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Columns aligned by their widest cell, with a heading; two spaces between.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(&mut heading.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// `key: value` lines with the values aligned.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    let mut text = String::new();
    for (name, value) in fields {
        let line = format!("{:width$}  {value}", format!("{name}:"));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["bb".into(), "c".into()]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID  NAME\na   long cell\nbb  c\n");
        assert_eq!(fields(&[("a", "1".into()), ("long", "2".into())]), "a:     1\nlong:  2\n");
    }

    #[test]
    fn others_cannot_draw_on_the_terminal() {
        assert_eq!(printable("ok\x1b[2Jerror:\nfine"), "ok\u{fffd}[2Jerror:\u{fffd}fine");
        assert_eq!(printable("a\tb – ü"), "a\tb – ü");
    }
}
