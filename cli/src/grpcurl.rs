//! The grpcurl command that does what a command of ours does.

use serde_json::Value;

/// One line for a shell. The token is a variable: a real one would stay in the shell's history.
pub(crate) fn command(endpoint: &str, method: &str, request: &Value, token: &str) -> String {
    format!(
        "# {token}\ngrpcurl -plaintext -H \"authorization: Bearer $NAUTILUS_TOKEN\" -d {} {} {method}",
        quote(&request.to_string()),
        quote(endpoint),
    )
}

/// A word as the shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_survives_a_shell() {
        let text = command("h:1", "a.v1.A/Get", &json!({ "id": "it's" }), "export …");
        assert_eq!(
            text,
            "# export …\ngrpcurl -plaintext -H \"authorization: Bearer $NAUTILUS_TOKEN\" \
             -d '{\"id\":\"it'\\''s\"}' h:1 a.v1.A/Get"
        );
    }
}
