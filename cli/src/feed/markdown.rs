//! The title of a Markdown document.

/// The title its front matter gives, else its first heading, else none. A heading is an ATX one
/// (`# …`) or a line underlined with `=` or `-` (CommonMark 4.2, 4.3).
pub(super) fn title(text: &str) -> Option<String> {
    let (front, body) = front_matter(text);
    let given = front.lines().find_map(|line| line.strip_prefix("title:")).map(str::trim);
    if let Some(given) = given.map(|given| given.trim_matches(['"', '\''])) {
        return Some(given.to_owned()).filter(|title| !title.is_empty());
    }
    first_heading(body)
}

/// The block between `---` lines at the very start, and what follows it.
fn front_matter(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"));
    let parts = rest.and_then(|rest| rest.split_once("\n---"));
    parts.map_or(("", text), |(front, body)| (front, body.trim_start_matches('-')))
}

fn first_heading(body: &str) -> Option<String> {
    let mut fence: Option<&str> = None;
    let mut above = "";
    for line in body.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim();
        if let Some(open) = fence {
            if line.starts_with(open) {
                fence = None;
            }
            continue;
        }
        if indent > 3 {
            // Indented code.
            above = "";
            continue;
        }
        fence = ["```", "~~~"].into_iter().find(|open| line.starts_with(open));
        let is_underline = |c: char| !line.is_empty() && line.chars().all(|other| other == c);
        let heading = if let Some(heading) = atx_heading(line) {
            heading
        } else if !above.is_empty() && (is_underline('=') || is_underline('-')) {
            above
        } else {
            above = if fence.is_none() { line } else { "" };
            continue;
        };
        let heading = plain(heading);
        if !heading.is_empty() {
            return Some(heading);
        }
        above = "";
    }
    None
}

fn atx_heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && (text.is_empty() || text.starts_with([' ', '\t']));
    is_heading.then(|| text.trim().trim_end_matches('#').trim_end())
}

/// The heading without emphasis, code marks and link targets.
fn plain(heading: &str) -> String {
    let mut text = String::with_capacity(heading.len());
    let mut rest = heading;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = after;
        match c {
            '*' | '`' | '[' => {}
            '!' if after.starts_with('[') => {}
            ']' if after.starts_with('(') => {
                rest = after.find(')').and_then(|end| after.get(end + 1..)).unwrap_or_default();
            }
            ']' => {}
            other => text.push(other),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_heading_is_the_title() {
        let title = |text| title(text).unwrap_or_default();
        assert_eq!(title("intro\n\n## Second *level* ##\n# First"), "Second level");
        assert_eq!(title("Under\n===\n# Later"), "Under");
        assert_eq!(title("```\n# comment in code\n```\n# Real"), "Real");
        assert_eq!(title("    # code\n#hashtag\n# [Nautilus](https://x) `v1`"), "Nautilus v1");
        assert_eq!(title("---\ntitle: \"From front\"\n---\n# Other"), "From front");
        assert_eq!(title("---\nlang: en\n---\n# After front"), "After front");
        assert_eq!(title("#\n\ntext\n- item\n"), "");
    }
}
