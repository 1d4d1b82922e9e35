//! Real documents from files, folders and JSONL collections.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::measure::Random;

/// Where bodies are cut unless said otherwise.
pub const BODY_BYTES_MAX: usize = 256 << 10;

/// One document as a client would send it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The client's id; here the path, or the collection's folder and its own id.
    pub id: String,
    /// File name, or the collection's title.
    pub title: String,
    /// Path relative to the folder given; empty for a collection.
    pub path: String,
    /// Plain text; tags are removed from HTML.
    pub body: String,
}

/// Reads up to `limit` documents, drawn by `seed` from all files under `paths`.
///
/// A `.jsonl` file gives one document per line (`id`, `title`, `text`). Files that are not UTF-8, hold
/// NUL or no text are left out; bodies are cut at `body_bytes_max` on a character boundary.
///
/// # Errors
/// When a path given cannot be read.
pub fn read(
    paths: &[PathBuf],
    limit: usize,
    body_bytes_max: usize,
    seed: u64,
) -> Result<Vec<Document>> {
    let mut listed = Vec::new();
    for root in paths {
        listed.extend(files(root)?.into_iter().map(|file| (root.clone(), file)));
    }
    let mut files = listed;
    files.sort();
    Random::new(seed).shuffle(&mut files);
    let mut documents = Vec::new();
    for (root, file) in files {
        if documents.len() >= limit {
            break;
        }
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if text.contains('\0') {
            continue;
        }
        match file.extension().and_then(|e| e.to_str()) {
            Some("jsonl") => collection(&file, &text, limit, body_bytes_max, &mut documents)?,
            Some("html") => {
                push_file(&root, &file, strip_tags(&text), body_bytes_max, &mut documents)
            }
            _ => push_file(&root, &file, text, body_bytes_max, &mut documents),
        }
    }
    Ok(documents)
}

/// All files under `root`, in the order of their paths.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in ignore::WalkBuilder::new(root).standard_filters(false).build() {
        let entry = entry.with_context(|| format!("walk {}", root.display()))?;
        if entry.file_type().is_some_and(|t| t.is_file()) {
            files.push(entry.into_path());
        }
    }
    files.sort();
    Ok(files)
}

/// The text of one file, whatever its bytes: tags are removed from HTML, what is not UTF-8 is replaced.
///
/// # Errors
/// When it cannot be read.
pub fn body_of(file: &Path, body_bytes_max: usize) -> Result<String> {
    let mut bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    bytes.truncate(body_bytes_max);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if file.extension().is_some_and(|extension| extension == "html") {
        text = strip_tags(&text);
    }
    cut(&mut text, body_bytes_max);
    Ok(text)
}

fn push_file(root: &Path, file: &Path, mut body: String, max: usize, out: &mut Vec<Document>) {
    cut(&mut body, max);
    if body.trim().is_empty() {
        return;
    }
    let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
    let title = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    out.push(Document { id: path.clone(), title, path, body });
}

fn collection(
    file: &Path,
    text: &str,
    limit: usize,
    max: usize,
    out: &mut Vec<Document>,
) -> Result<()> {
    let field = |value: &serde_json::Value, name: &str| {
        value.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    // Collections may use the same ids, and their files are often named alike.
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    for line in text.lines().take(limit.saturating_sub(out.len())) {
        let value: serde_json::Value = serde_json::from_str(line).context("parse a JSONL line")?;
        let mut body = field(&value, "text");
        cut(&mut body, max);
        out.push(Document {
            id: format!("{folder}#{}", field(&value, "id")),
            title: field(&value, "title"),
            path: String::new(),
            body,
        });
    }
    Ok(())
}

fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

/// Text between tags, without scripts and styles: enough for measuring, not an HTML extractor.
fn strip_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let end = ["script", "style"].iter().find_map(|name| {
            rest[1..].starts_with(name).then(|| rest.find(&format!("</{name}>"))).flatten()
        });
        let from = end.unwrap_or(0);
        let Some(close) = rest[from..].find('>') else {
            return out;
        };
        rest = &rest[from + close + 1..];
        out.push(' ');
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
