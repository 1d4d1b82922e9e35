//! Tokens as issuers make them, and as attackers do.

use nautilus_types::Class;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{KeyPair, TOKEN_LEEWAY_S as LEEWAY};

const NOW: u64 = 1_700_000_000;

fn config() -> JwtConfig {
    JwtConfig {
        issuer: "https://issuer.example".to_owned(),
        audience: "nautilus".to_owned(),
        token_type: "at+jwt".to_owned(),
    }
}

struct Party {
    pair: KeyPair,
    authenticator: JwtAuthenticator,
}

impl Party {
    fn new() -> Self {
        let pair = KeyPair::generate().expect("made");
        let authenticator = JwtAuthenticator::new(config(), KeySet::from(pair.public()));
        Self { pair, authenticator }
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.pair.public().id().to_string() })
    }

    /// A token signed rightly, whatever it says.
    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header), base64(claims));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", base64_bytes(&signature))
    }

    fn verify(&self, header: &Value, claims: &Value) -> Result<Principal, AuthError> {
        self.authenticator.verify(&self.token(header, claims), NOW)
    }

    /// The verdict on sound claims with one changed; null takes it away.
    fn with_claim(&self, name: &str, value: Value) -> Result<Principal, AuthError> {
        self.verify(&self.header(), &changed(claims(), name, value))
    }

    fn with_header(&self, name: &str, value: Value) -> Result<Principal, AuthError> {
        self.verify(&changed(self.header(), name, value), &claims())
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "sub": "ada", "aud": "nautilus",
        "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW - 10,
    })
}

fn changed(mut object: Value, name: &str, value: Value) -> Value {
    let fields = object.as_object_mut().expect("object");
    if value.is_null() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value);
    }
    object
}

fn base64(value: &Value) -> String {
    base64_bytes(value.to_string().as_bytes())
}

/// Base64 for URLs, without padding (RFC 4648, section 5).
fn base64_bytes(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = usize::try_from((bits >> (18 - 6 * digit)) & 63).expect("small");
            text.push(char::from(DIGITS[index]));
        }
    }
    text
}

#[test]
fn a_sound_token_says_who_is_asking() {
    let party = Party::new();
    let principal = party.verify(&party.header(), &claims()).expect("accepted");
    let expected = Principal {
        is_operator: false,
        user: "ada".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        expires_at_unix_s: NOW + 300,
    };
    assert_eq!(principal, expected);
    for aud in [json!(["nautilus"]), json!(["other", "nautilus"])] {
        assert_eq!(party.with_claim("aud", aud), Ok(expected.clone()));
    }
    for typ in ["AT+JWT", "application/at+jwt", "Application/at+JWT"] {
        assert_eq!(party.with_header("typ", json!(typ)), Ok(expected.clone()));
    }
    assert_eq!(party.with_claim("iat", Value::Null), Ok(expected));
}

#[tokio::test]
async fn the_port_gives_the_same_verdict() {
    let party = Party::new();
    let port: &dyn Authenticator = &party.authenticator;
    let token = party.token(&party.header(), &claims());
    assert_eq!(port.authenticate(&token, NOW).await.expect("accepted").user, "ada");
    let refused = port.authenticate(&token, NOW + 3_600).await.expect_err("must fail");
    assert_eq!((refused, refused.class()), (AuthError::Expired, Class::Unauthenticated));
}

#[test]
fn every_claim_must_be_there_and_of_its_type() {
    let party = Party::new();
    for claim in ["iss", "sub", "aud", "exp", "nbf"] {
        let refused = party.with_claim(claim, Value::Null);
        assert_eq!(refused, Err(AuthError::ClaimMissing { claim }));
        let wrong = party.with_claim(claim, json!({ "x": 1 }));
        assert_eq!(wrong, Err(AuthError::Malformed), "{claim}");
    }
    for value in [json!("1700000300"), json!(-1), json!(1e300), json!([NOW + 300])] {
        assert_eq!(party.with_claim("exp", value), Err(AuthError::Malformed));
    }
    assert_eq!(
        party.with_claim("iss", json!(["https://issuer.example"])),
        Err(AuthError::Malformed)
    );
    for other in ["", "https://issuer.example/", "HTTPS://issuer.example"] {
        assert_eq!(party.with_claim("iss", json!(other)), Err(AuthError::IssuerWrong));
    }
    for other in [json!(""), json!("nautilu"), json!([]), json!(["other"])] {
        assert_eq!(party.with_claim("aud", other), Err(AuthError::AudienceWrong));
    }
    for subject in ["", "a\0b", "a\n", &"x".repeat(129)] {
        assert_eq!(party.with_claim("sub", json!(subject)), Err(AuthError::SubjectInvalid));
    }
}

#[test]
fn times_are_judged_by_the_time_given() {
    let party = Party::new();
    let at = |now| party.authenticator.verify(&party.token(&party.header(), &claims()), now).err();
    assert_eq!(at(NOW + 300 + LEEWAY - 1), None);
    assert_eq!(at(NOW + 300 + LEEWAY), Some(AuthError::Expired));
    assert_eq!(at(NOW - 10 - LEEWAY), None);
    assert_eq!(at(NOW - 10 - LEEWAY - 1), Some(AuthError::NotYetValid));
    assert_eq!(at(0), Some(AuthError::NotYetValid));
    assert_eq!(at(u64::MAX), Some(AuthError::Expired));
    // Issued in the future, though valid already.
    assert_eq!(party.with_claim("iat", json!(NOW + LEEWAY + 1)), Err(AuthError::NotYetValid));
}

#[test]
fn long_and_empty_lives_are_refused() {
    let party = Party::new();
    let verdict = |nbf: u64, iat: Option<u64>, exp: u64| {
        let claims = changed(changed(claims(), "nbf", json!(nbf)), "exp", json!(exp));
        let claims = changed(claims, "iat", iat.map_or(Value::Null, |iat| json!(iat)));
        party.verify(&party.header(), &claims).map(|_| ())
    };
    let refused = Err(AuthError::LifetimeNotAllowed { lifetime_s_max: 900 });
    assert_eq!(verdict(NOW, Some(NOW), NOW + 900), Ok(()));
    assert_eq!(verdict(NOW, None, NOW + 900), Ok(()));
    assert_eq!(verdict(NOW, Some(NOW), NOW + 901), refused);
    assert_eq!(verdict(NOW, None, NOW + 901), refused);
    assert_eq!(verdict(NOW - 600, None, NOW + 301), refused);
    assert_eq!(verdict(NOW, Some(NOW - 600), NOW + 301), refused);
    assert_eq!(verdict(NOW, Some(NOW), NOW), refused);
    assert_eq!(verdict(NOW + 5, Some(NOW), NOW + 4), refused);
    assert_eq!(verdict(NOW, Some(NOW), u64::MAX), refused);
}

#[test]
fn the_algorithm_is_pinned() {
    let party = Party::new();
    for alg in ["HS256", "ES256", "RS256", "PS256"] {
        let refused = party.with_header("alg", json!(alg));
        assert_eq!(refused, Err(AuthError::AlgorithmNotAllowed), "{alg}");
    }
    for alg in [json!("none"), json!("None"), json!("eddsa"), json!(""), json!(1), Value::Null] {
        let refused = party.with_header("alg", alg.clone());
        assert!(refused.is_err(), "{alg}");
    }
    // No signature at all, and the public key used as a shared secret.
    let unsigned = format!("{}.{}.", base64(&party.header()), base64(&claims()));
    assert_eq!(party.authenticator.verify(&unsigned, NOW), Err(AuthError::SignatureWrong));
    let header = Header { kid: Some(party.pair.public().id().to_string()), ..Header::default() };
    let secret = jsonwebtoken::EncodingKey::from_secret(party.pair.public().as_bytes());
    let confused = jsonwebtoken::encode(&header, &claims(), &secret).expect("made");
    assert_eq!(party.authenticator.verify(&confused, NOW), Err(AuthError::AlgorithmNotAllowed));
}

#[test]
fn type_and_extensions_are_checked() {
    let party = Party::new();
    for typ in [json!("JWT"), json!(""), json!("application/"), json!("id+jwt"), Value::Null] {
        assert_eq!(party.with_header("typ", typ), Err(AuthError::TypeWrong));
    }
    let refused = party.with_header("crit", json!(["b64"]));
    assert_eq!(refused, Err(AuthError::ExtensionUnknown));
}

#[test]
fn keys_come_from_the_loaded_set_only() {
    let (party, stranger) = (Party::new(), Party::new());
    for kid in [json!("unknown"), json!(""), Value::Null] {
        assert_eq!(party.with_header("kid", kid), Err(AuthError::KeyUnknown));
    }
    let foreign = stranger.token(&stranger.header(), &claims());
    assert_eq!(party.authenticator.verify(&foreign, NOW), Err(AuthError::KeyUnknown));
    let forged = stranger.token(&party.header(), &claims());
    assert_eq!(party.authenticator.verify(&forged, NOW), Err(AuthError::SignatureWrong));
    // A key that the token brings along, by value or by address, is not looked at.
    let own = base64_bytes(stranger.pair.public().as_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own });
    for (name, value) in [("jwk", jwk), ("jku", json!("https://evil.example/keys"))] {
        let forged = stranger.token(&changed(party.header(), name, value), &claims());
        assert_eq!(party.authenticator.verify(&forged, NOW), Err(AuthError::SignatureWrong));
    }
}

#[test]
fn keys_can_be_replaced_while_serving() {
    let (old, new) = (Party::new(), Party::new());
    let tokens = [&old, &new].map(|party| party.token(&party.header(), &claims()));
    let verdicts = || tokens.each_ref().map(|t| old.authenticator.verify(t, NOW).is_ok());
    assert_eq!(verdicts(), [true, false]);
    let both = [old.pair.public(), new.pair.public()];
    old.authenticator.replace_keys(both.into_iter().collect());
    assert_eq!(verdicts(), [true, true]);
    old.authenticator.replace_keys(KeySet::from(new.pair.public()));
    assert_eq!(verdicts(), [false, true]);
    old.authenticator.replace_keys(KeySet::default());
    assert_eq!(verdicts(), [false, false]);
}

#[test]
fn long_and_broken_tokens_are_refused_without_being_quoted() {
    let party = Party::new();
    let verify = |token: &str| party.authenticator.verify(token, NOW).expect_err("must fail");
    assert_eq!(verify(""), AuthError::Missing);
    let padded = changed(claims(), "secret-of-mine", json!("x".repeat(TOKEN_BYTES_MAX)));
    let long = party.token(&party.header(), &padded);
    assert!(matches!(verify(&long), AuthError::TooLong { bytes_max: TOKEN_BYTES_MAX, .. }));
    for broken in [".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "\0", "é.é.é", "e30.e30.e30"]
    {
        assert_eq!(verify(broken), AuthError::Malformed, "{broken:?}");
    }
    // A claim given twice: readers that differ in which one counts are how checks are passed by.
    let twice = r#"{"iss":"https://issuer.example","sub":"eve","sub":"ada","aud":"nautilus"}"#;
    let message = format!("{}.{}", base64(&party.header()), base64_bytes(twice.as_bytes()));
    let signature = base64_bytes(&party.pair.sign(message.as_bytes()));
    assert_eq!(verify(&format!("{message}.{signature}")), AuthError::Malformed);

    let wrong_type = changed(claims(), "exp", json!("secret-of-mine"));
    let error = verify(&party.token(&party.header(), &wrong_type));
    assert!(!format!("{error} {error:?}").contains("secret-of-mine"));
}

proptest! {
    #[test]
    fn changed_tokens_are_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let party = Party::new();
        let token = party.token(&party.header(), &claims());
        let at = at.index(token.len());
        let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(party.authenticator.verify(&changed, NOW).is_err());
    }

    #[test]
    fn any_text_is_survived(text in any::<String>(), now in any::<u64>()) {
        let party = Party::new();
        prop_assert!(party.authenticator.verify(&text, now).is_err());
    }

    #[test]
    fn any_signed_json_is_survived(claim in "iss|sub|aud|exp|nbf|iat", n in any::<i64>(), text in any::<String>()) {
        let party = Party::new();
        for value in [json!(n), json!(text), json!([n]), json!(null), json!(true)] {
            let _verdict = party.with_claim(&claim, value.clone());
            let _verdict = party.with_header(&claim, value);
        }
    }
}

#[test]
fn the_role_is_taken_only_as_a_word() {
    let party = Party::new();
    let is_operator = |role| party.with_claim("role", role).map(|principal| principal.is_operator);
    assert_eq!(is_operator(json!("operator")), Ok(true));
    for other in [json!(null), json!("Operator"), json!(["operator"]), json!({ "a": 1 }), json!(1)]
    {
        assert_eq!(is_operator(other), Ok(false));
    }
}
