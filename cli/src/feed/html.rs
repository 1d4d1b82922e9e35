//! The text of an HTML page, and its title.
//!
//! Works on the tokens of the page alone and builds no tree: time and memory are linear in the
//! page whatever it nests, and nothing recurses.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the first `title` element, in one line; empty where there is none.
    pub(super) title: String,
    /// The text a reader would see, one line for each block.
    pub(super) text: String,
    /// Whether there was more text than allowed.
    pub(super) is_cut: bool,
}

/// Reads a page; of its text at most `bytes_max` bytes.
pub(super) fn read(html: &str, bytes_max: usize) -> Page {
    let mut reader = PageReader::new(bytes_max);
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        reader.take(event);
        // A token ends the tokenizer's call below: nothing after a full body is of interest.
        reader.is_full().then_some(())
    });
    emitter.naively_switch_states(true);
    // Reading memory does not fail, and the token itself says nothing.
    let _: Option<Result<(), Infallible>> = Tokenizer::new_with_emitter(html, emitter).next();
    reader.into_page()
}

struct PageReader {
    bytes_max: usize,
    title: Option<String>,
    is_in_title: bool,
    is_skipping: bool,
    pre_depth: usize,
    text: String,
    gap: Gap,
    is_cut: bool,
}

/// What stands between the text so far and the text to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    Nothing,
    Space,
    Line,
}

impl PageReader {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            title: None,
            is_in_title: false,
            is_skipping: false,
            pre_depth: 0,
            text: String::new(),
            gap: Gap::Nothing,
            is_cut: false,
        }
    }

    fn is_full(&self) -> bool {
        self.is_cut
    }

    fn take(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => self.open(name),
            CallbackEvent::EndTag { name } => self.close(name),
            CallbackEvent::String { value } => self.characters(&String::from_utf8_lossy(value)),
            CallbackEvent::AttributeName { .. }
            | CallbackEvent::AttributeValue { .. }
            | CallbackEvent::CloseStartTag { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
    }

    fn open(&mut self, name: &[u8]) {
        match name {
            b"title" if self.title.is_none() => self.is_in_title = true,
            b"pre" | b"textarea" | b"listing" => self.pre_depth += 1,
            _ if is_skipped(name) => self.is_skipping = true,
            _ => {}
        }
        self.separate(name);
    }

    fn close(&mut self, name: &[u8]) {
        match name {
            b"title" => self.is_in_title = false,
            b"pre" | b"textarea" | b"listing" => {
                self.pre_depth = self.pre_depth.saturating_sub(1);
            }
            _ if is_skipped(name) => self.is_skipping = false,
            _ => {}
        }
        self.separate(name);
    }

    /// A tag that starts a new line or a new cell of a table separates words; an inline one does not.
    fn separate(&mut self, name: &[u8]) {
        if is_block(name) {
            self.gap = self.gap.max(Gap::Line);
        } else if matches!(name, b"td" | b"th" | b"option") {
            self.gap = self.gap.max(Gap::Space);
        }
    }

    fn characters(&mut self, characters: &str) {
        if self.is_in_title {
            let title = self.title.get_or_insert_default();
            for word in characters.split_whitespace() {
                if !title.is_empty() {
                    title.push(' ');
                }
                title.push_str(word);
            }
        } else if self.is_skipping {
            // Scripts and styles are no text.
        } else if self.pre_depth > 0 {
            for (index, line) in characters.split('\n').enumerate() {
                if index > 0 {
                    self.gap = Gap::Nothing;
                    self.push("\n");
                }
                self.push(line);
            }
        } else {
            self.flow(characters);
        }
    }

    /// Text whose white space is one space however long it is.
    fn flow(&mut self, characters: &str) {
        if characters.starts_with(char::is_whitespace) {
            self.gap = self.gap.max(Gap::Space);
        }
        for (index, word) in characters.split_whitespace().enumerate() {
            if index > 0 {
                self.gap = self.gap.max(Gap::Space);
            }
            self.push(word);
        }
        if characters.ends_with(char::is_whitespace) {
            self.gap = self.gap.max(Gap::Space);
        }
    }

    fn push(&mut self, piece: &str) {
        if piece.is_empty() || self.is_cut {
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            match self.gap {
                Gap::Nothing => {}
                Gap::Space => self.text.push(' '),
                Gap::Line => self.text.push('\n'),
            }
        }
        self.gap = Gap::Nothing;
        self.text.push_str(piece);
        if self.text.len() > self.bytes_max {
            self.text.truncate(self.text.floor_char_boundary(self.bytes_max));
            self.is_cut = true;
        }
    }

    fn into_page(self) -> Page {
        Page { title: self.title.unwrap_or_default(), text: self.text, is_cut: self.is_cut }
    }
}

/// Elements whose content nobody reads. The tokenizer hands out their content as one string, so
/// that there is nothing nested to follow.
fn is_skipped(name: &[u8]) -> bool {
    matches!(name, b"script" | b"style" | b"noscript" | b"iframe" | b"noembed")
}

fn is_block(name: &[u8]) -> bool {
    matches!(
        name,
        b"address"
            | b"article"
            | b"aside"
            | b"blockquote"
            | b"body"
            | b"br"
            | b"caption"
            | b"center"
            | b"dd"
            | b"details"
            | b"dialog"
            | b"div"
            | b"dl"
            | b"dt"
            | b"fieldset"
            | b"figcaption"
            | b"figure"
            | b"footer"
            | b"form"
            | b"h1"
            | b"h2"
            | b"h3"
            | b"h4"
            | b"h5"
            | b"h6"
            | b"header"
            | b"hr"
            | b"legend"
            | b"li"
            | b"main"
            | b"menu"
            | b"nav"
            | b"ol"
            | b"p"
            | b"pre"
            | b"section"
            | b"summary"
            | b"table"
            | b"tbody"
            | b"tfoot"
            | b"thead"
            | b"title"
            | b"tr"
            | b"ul"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        read(html, 1 << 20).text
    }

    #[test]
    fn a_page_reads_as_a_person_sees_it() {
        let page = read(
            "<!DOCTYPE html><html><head><title>Vec\n in  std</title><style>p{a:b}</style>\
             <script>if (a < b) { '</p>' }</script></head><body><h1>Struct <a>Vec</a></h1>\
             <p>A contiguous growable array, <b>bold</b>face &amp; &lt;T&gt;&nbsp;&#233;.</p>\
             <ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr></table>\
             <!-- not this --><noscript><p>nor this</p></noscript></body></html>",
            1 << 20,
        );
        assert_eq!(page.title, "Vec in std");
        assert_eq!(
            page.text,
            "Struct Vec\nA contiguous growable array, boldface & <T> é.\none\ntwo\na b"
        );
        assert!(!page.is_cut);
    }

    #[test]
    fn code_keeps_its_lines() {
        let html =
            "<p>See:</p><pre><code>fn main() {\n    <span>run</span>();\n}\n</code></pre><p>done";
        assert_eq!(text(html), "See:\nfn main() {\n    run();\n}\ndone");
    }

    #[test]
    fn only_the_first_title_is_the_title() {
        let page = read("<title>Page</title><svg><title>icon</title></svg>", 100);
        assert_eq!((page.title.as_str(), page.text.as_str()), ("Page", "icon"));
        assert_eq!(read("<title></title><p>x", 100).title, "");
    }

    #[test]
    fn text_is_cut_between_characters() {
        let page = read("<p>aé</p>", 2);
        assert_eq!((page.text.as_str(), page.is_cut), ("a", true));
        let page = read("<p>ab</p>", 2);
        assert_eq!((page.text.as_str(), page.is_cut), ("ab", false));
    }

    #[test]
    fn broken_and_hostile_pages_end_in_linear_time() {
        let deep = "<div>".repeat(500_000) + "deep";
        assert_eq!(text(&deep), "deep");
        let attributes =
            format!("<p {}>end", (0..200_000).map(|n| format!("a{n} ")).collect::<String>());
        assert_eq!(text(&attributes), "end");
        for broken in
            ["<", "<p", "</", "<!", "<!--", "<p a='", "&", "&#x", "<script>", "\u{0}<\u{0}"]
        {
            let _ = text(broken);
        }
        assert_eq!(text("a</p></div></pre>b"), "a\nb");
    }
}
