//! What a file is called in the index: its document id, its path, its kind by name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How a file's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Plain,
    /// As it is, with the first heading as title.
    Markdown,
    /// The text between the tags.
    Html,
    /// A message: subject, people, and the text of its parts.
    Mail,
}

/// The document id of a relative path: its bytes, where `%`, control characters and what is not
/// UTF-8 stand as `%XX`. Different paths get different ids.
pub(super) fn document_id(relative: &Path) -> String {
    let mut id = String::new();
    for chunk in relative.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_ascii_control() {
                push_escaped(&mut id, u8::try_from(c).unwrap_or(b'%'));
            } else {
                id.push(c);
            }
        }
        for byte in chunk.invalid() {
            push_escaped(&mut id, *byte);
        }
    }
    id
}

fn push_escaped(id: &mut String, byte: u8) {
    id.push_str(&format!("%{byte:02X}"));
}

/// The title of a file that names none: its name without the extension.
pub(super) fn title_of(path: &Path) -> String {
    path.file_stem().unwrap_or(OsStr::new("")).to_string_lossy().into_owned()
}

/// How to read a file of this name.
pub(super) fn kind(path: &Path) -> Kind {
    match extension(path).as_str() {
        "html" | "htm" | "xhtml" | "shtml" => Kind::Html,
        "md" | "markdown" | "mdown" | "mkd" | "mdx" => Kind::Markdown,
        "eml" => Kind::Mail,
        _ => Kind::Plain,
    }
}

/// The media type of a file of this name, where it is a known one.
pub(super) fn media_type(path: &Path) -> &'static str {
    let extension = extension(path);
    let known = MEDIA_TYPES.binary_search_by_key(&extension.as_str(), |(known, _)| known);
    known.ok().and_then(|index| MEDIA_TYPES.get(index)).map_or("", |(_, media_type)| media_type)
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// By extension, sorted. Registered types where there are any, else what the field uses.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("adoc", "text/asciidoc"),
    ("asm", "text/x-asm"),
    ("avif", "image/avif"),
    ("bash", "application/x-sh"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/x-c"),
    ("cc", "text/x-c++"),
    ("cfg", "text/plain"),
    ("clj", "text/x-clojure"),
    ("conf", "text/plain"),
    ("cpp", "text/x-c++"),
    ("cs", "text/x-csharp"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("cxx", "text/x-c++"),
    ("diff", "text/x-diff"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("dts", "text/x-devicetree"),
    ("dtsi", "text/x-devicetree"),
    ("eml", "message/rfc822"),
    ("epub", "application/epub+zip"),
    ("ex", "text/x-elixir"),
    ("gif", "image/gif"),
    ("go", "text/x-go"),
    ("gz", "application/gzip"),
    ("h", "text/x-c"),
    ("hpp", "text/x-c++"),
    ("hs", "text/x-haskell"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ini", "text/plain"),
    ("ipynb", "application/x-ipynb+json"),
    ("java", "text/x-java"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsx", "text/javascript"),
    ("kt", "text/x-kotlin"),
    ("log", "text/plain"),
    ("lua", "text/x-lua"),
    ("m4a", "audio/mp4"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mdown", "text/markdown"),
    ("mdx", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mkd", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("org", "text/org"),
    ("otf", "font/otf"),
    ("patch", "text/x-diff"),
    ("pdf", "application/pdf"),
    ("php", "text/x-php"),
    ("pl", "text/x-perl"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("proto", "text/x-protobuf"),
    ("ps", "application/postscript"),
    ("py", "text/x-python"),
    ("rb", "text/x-ruby"),
    ("rs", "text/x-rust"),
    ("rst", "text/x-rst"),
    ("rtf", "application/rtf"),
    ("s", "text/x-asm"),
    ("scala", "text/x-scala"),
    ("sh", "application/x-sh"),
    ("shtml", "text/html"),
    ("sql", "application/sql"),
    ("svg", "image/svg+xml"),
    ("swift", "text/x-swift"),
    ("tar", "application/x-tar"),
    ("tex", "text/x-tex"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsv", "text/tab-separated-values"),
    ("tsx", "text/x-typescript"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(bytes: &[u8]) -> String {
        document_id(Path::new(OsStr::from_bytes(bytes)))
    }

    #[test]
    fn ids_are_paths_and_never_collide() {
        assert_eq!(id(b"a/b c.md"), "a/b c.md");
        assert_eq!(id("Ünï/ß.txt".as_bytes()), "Ünï/ß.txt");
        assert_eq!(id(b"50%.txt"), "50%25.txt");
        assert_eq!(id(b"bad\xff.txt"), "bad%FF.txt");
        assert_eq!(id(b"bad%FF.txt"), "bad%25FF.txt");
        assert_eq!(id(b"tab\there\n"), "tab%09here%0A");
    }

    #[test]
    fn the_table_is_sorted_and_found_in_any_case() {
        assert!(MEDIA_TYPES.is_sorted_by_key(|(extension, _)| *extension));
        assert_eq!(media_type(Path::new("A/B.HTML")), "text/html");
        assert_eq!(media_type(Path::new("Makefile")), "");
        assert_eq!(kind(Path::new("x.Md")), Kind::Markdown);
        assert_eq!(kind(Path::new("x.rs")), Kind::Plain);
        assert_eq!(kind(Path::new("x.EML")), Kind::Mail);
    }

    #[test]
    fn a_title_is_the_name_without_its_extension() {
        assert_eq!(title_of(Path::new("a/std.vec.html")), "std.vec");
        assert_eq!(title_of(Path::new(".bashrc")), ".bashrc");
    }
}
