//! Writing to the terminal: what documents say never reaches it as control codes, and a reader that
//! went away is no failure.

use std::io::{self, IsTerminal, Write};

use crate::cli::{Global, OutputFormat};

/// Whether and how text is made bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// Terminal codes.
    Terminal,
    /// `«…»`, for pipes and files: marks that texts and source code hardly hold themselves.
    Plain,
}

impl Emphasis {
    /// What suits stdout.
    pub(crate) fn of_stdout(global: &Global) -> Self {
        if !global.no_color && io::stdout().is_terminal() { Self::Terminal } else { Self::Plain }
    }

    /// The text as what a match is marked with.
    pub(crate) fn mark(self, text: &str) -> String {
        match self {
            Self::Terminal => format!("\x1b[1;33m{text}\x1b[0m"),
            Self::Plain => format!("«{text}»"),
        }
    }

    /// The text as a heading: plain where there is no terminal.
    pub(crate) fn heading(self, text: &str) -> String {
        match self {
            Self::Terminal => format!("\x1b[1m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    /// The text as something beside the point.
    pub(crate) fn dim(self, text: &str) -> String {
        match self {
            Self::Terminal => format!("\x1b[2m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Prints a text or a value to stdout, whichever was asked for.
pub(crate) fn print(
    global: &Global,
    human: impl FnOnce() -> String,
    json: impl FnOnce() -> serde_json::Value,
) -> io::Result<()> {
    let mut text = match global.output {
        OutputFormat::Human => human(),
        OutputFormat::Json => json().to_string(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    say(&text)
}

/// Writes to stdout as it is. `nautilus search … | head` closes the pipe early: that is no error.
pub(crate) fn say(text: &str) -> io::Result<()> {
    is_read(text).map(|_| ())
}

/// As [`say`]; whether there is still somebody who reads.
pub(crate) fn is_read(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Writes one line to stderr.
pub(crate) fn complain(line: &str) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// One line of text out of a document, safe for a terminal: every control character and every run
/// of white space becomes one space.
pub(crate) fn clean_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || is_unsafe(c)) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Text out of a document that keeps its lines and tabs and is safe for a terminal.
pub(crate) fn clean_text(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}

/// Control characters, which a terminal obeys, and those that turn the direction of writing, with
/// which a name can be made to look like another.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_cannot_drive_the_terminal() {
        assert_eq!(clean_line("a\x1b[2Jb\r\n  c\u{202e}d"), "a [2Jb c d");
        assert_eq!(clean_text("a\n\tb\x07"), "a\n\tb ");
    }

    #[test]
    fn marks_differ_off_a_terminal() {
        assert_eq!(Emphasis::Plain.mark("fox"), "«fox»");
        assert_eq!(Emphasis::Terminal.mark("fox"), "\x1b[1;33mfox\x1b[0m");
        assert_eq!(Emphasis::Plain.heading("fox"), "fox");
    }
}
