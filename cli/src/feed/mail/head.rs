//! The fields of a head.

use mail_parser::{Address, DateTime, Header, HeaderValue, MessageParser};

use super::charset;

/// A parsed head.
pub(super) struct Head {
    /// As it stood, with the empty line that ends it.
    bytes: Vec<u8>,
    fields: Vec<Header<'static>>,
}

impl Head {
    /// Parses a head, which has no empty line in it.
    pub(super) fn parse(head: &[u8]) -> Self {
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(b"\r\n\r\n");
        // A message without fields has no parts, and the library's own look-ups expect one.
        let root = MessageParser::default()
            .parse_headers(&bytes)
            .and_then(|message| message.parts.into_iter().next());
        let fields = root.map(|root| root.headers).unwrap_or_default();
        let fields = fields.into_iter().map(Header::into_owned).collect();
        Self { bytes, fields }
    }

    /// Whether there is no field at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Of the `Date` field.
    pub(super) fn sent_unix_ms(&self) -> Option<i64> {
        let date = self.value("Date").and_then(HeaderValue::as_datetime);
        date.filter(|date| date.is_valid()).map(DateTime::to_timestamp)?.checked_mul(1_000)
    }

    /// A text field in one line; empty where there is none.
    pub(super) fn line(&self, name: &'static str) -> String {
        if let Some(raw) = self.eight_bit(name) {
            return raw;
        }
        let value = self.value(name).and_then(HeaderValue::as_text);
        one_line(value.unwrap_or_default())
    }

    /// Names and addresses of a field, as many whole ones as fit.
    pub(super) fn people(&self, name: &'static str, bytes_max: usize) -> String {
        let mut line = if let Some(HeaderValue::Address(address)) = self.value(name) {
            self.eight_bit(name).unwrap_or_else(|| listed(address, bytes_max))
        } else {
            self.line(name)
        };
        line.truncate(line.floor_char_boundary(bytes_max));
        line
    }

    /// Type, subtype, both in lower case; `text`, `plain` where nothing is said (RFC 2045 section 5.2).
    pub(super) fn media_type(&self) -> (String, String) {
        let Some(content_type) = self.content("Content-Type") else {
            return ("text".to_owned(), "plain".to_owned());
        };
        let subtype = content_type.subtype().unwrap_or_default().trim().to_ascii_lowercase();
        (content_type.ctype().trim().to_ascii_lowercase(), subtype)
    }

    /// A parameter of the media type.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.content("Content-Type")?.attribute(name)
    }

    /// Name of the transfer encoding, or nothing.
    pub(super) fn transfer_encoding(&self) -> String {
        self.line("Content-Transfer-Encoding")
    }

    /// Whether it is to be shown apart from the message.
    pub(super) fn is_attachment(&self) -> bool {
        self.content("Content-Disposition").is_some_and(|how| how.is_attachment())
    }

    /// Name of the file it is, where it is one.
    pub(super) fn file_name(&self) -> Option<String> {
        let given = self.content("Content-Disposition").and_then(|how| how.attribute("filename"));
        given.or_else(|| self.parameter("name")).map(one_line).filter(|name| !name.is_empty())
    }

    fn content(&self, name: &'static str) -> Option<&mail_parser::ContentType<'static>> {
        self.value(name).and_then(HeaderValue::as_content_type)
    }

    /// The last of this name: those before it were put on top on the way.
    fn field(&self, name: &str) -> Option<&Header<'static>> {
        self.fields.iter().rev().find(|field| field.name().eq_ignore_ascii_case(name))
    }

    fn value(&self, name: &str) -> Option<&HeaderValue<'static>> {
        self.field(name).map(Header::value)
    }

    /// The field as it stands, where it holds bytes that are neither ASCII nor UTF-8: those have no charset of their
    /// own, and the one of the body is the best guess.
    fn eight_bit(&self, name: &'static str) -> Option<String> {
        let field = self.field(name)?;
        let range = usize::try_from(field.offset_start()).ok()?
            ..usize::try_from(field.offset_end()).ok()?;
        let raw = self.bytes.get(range)?;
        if std::str::from_utf8(raw).is_ok() {
            return None;
        }
        charset::decode(self.parameter("charset").unwrap_or_default(), raw)
            .text
            .as_deref()
            .map(one_line)
    }
}

fn listed(address: &Address<'_>, bytes_max: usize) -> String {
    let mut line = String::new();
    for one in address.iter() {
        let (name, address) = (one.name.as_deref(), one.address.as_deref());
        let one = match (name.map(one_line), address.map(one_line)) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        if line.len() + one.len() + 2 > bytes_max {
            break;
        }
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(&one);
    }
    line
}

/// White space of any kind and number becomes one blank; control characters go.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
