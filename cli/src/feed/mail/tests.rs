//! Messages as programs and people have written them, and as nobody should.

use proptest::prelude::*;

use super::*;

fn whole(bytes: &[u8]) -> Mail {
    read(bytes, false, 1 << 20)
}

fn reasons(mail: &Mail) -> Vec<&'static str> {
    mail.problems.iter().map(|problem| problem.reason).collect()
}

#[test]
fn a_message_says_who_what_and_when() {
    let mail = whole(
        b"From list@example Thu Aug 22 12:36:23 2002\n\
          From: =?UTF-8?Q?Ad=C3=A9le?= <adele@example.org>\n\
          To: Bob <bob@example.org>,\n\tcarol@example.org\n\
          Subject: Tides\n  of =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\n\
          Date: Thu, 22 Aug 2002 12:36:23 +0100\n\
          MIME-Version: 1.0\n\
          Content-Type: multipart/mixed; boundary=\"b 1\"\n\n\
          preamble\n--b 1\nContent-Type: text/plain; charset=koi8-r\n\n\xf0\xd2\xc9\xd7\xc5\xd4\n\
          --b 1\nContent-Type: application/pdf; name=tides.pdf\n\
          Content-Transfer-Encoding: base64\n\nJVBERi0=\n--b 1--\nepilogue\n",
    );
    assert_eq!(mail.subject, "Tides of 日本");
    assert_eq!(
        mail.text,
        "From: Adéle <adele@example.org>\nTo: Bob <bob@example.org>, carol@example.org\n\nПривет\
         \nAttachments: tides.pdf\n"
    );
    assert_eq!(mail.sent_unix_ms, Some(1_030_016_183_000));
    assert_eq!(mail.attributes["mail.attachments"], "tides.pdf");
    assert_eq!(mail.attributes["mail.to"], "Bob <bob@example.org>, carol@example.org");
    assert!(mail.problems.is_empty(), "{:?}", mail.problems);
}

#[test]
fn of_alternatives_the_plain_one_is_read_unless_it_is_empty() {
    let both = |plain: &str| {
        format!(
            "Subject: s\nContent-Type: multipart/alternative; boundary=x\n\n\
             --x\nContent-Type: text/plain\n\n{plain}\n\
             --x\nContent-Type: text/html\n\n<p>rich &amp; so</p>\n--x--\n"
        )
    };
    assert_eq!(whole(both("poor").as_bytes()).text, "poor");
    assert_eq!(whole(both(" ").as_bytes()).text, "rich & so");
}

#[test]
fn forwarded_messages_are_read_too() {
    let mail = whole(
        b"Subject: outer\nContent-Type: message/rfc822\n\nSubject: inner\nFrom: x@y\n\nwithin\n",
    );
    assert_eq!(mail.text, "inner\nx@y\nwithin\n");
    let digest = whole(
        b"Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\n1\n--d\n\nSubject: two\n\n2\n--d--",
    );
    assert_eq!(digest.text, "one\n1\ntwo\n2");
}

#[test]
fn raw_bytes_in_a_head_have_the_charset_of_the_body() {
    let mail =
        whole(b"Subject: \xc4\xe3\xba\xc3\nContent-Type: text/plain; charset=gb2312\n\n\xba\xc3");
    assert_eq!((mail.subject.as_str(), mail.text.as_str()), ("你好", "好"));
}

#[test]
fn a_page_without_a_known_charset_is_read_by_its_own() {
    let text = |charset: &str, page: &[u8]| {
        let head = format!("Subject: s\nContent-Type: text/html{charset}\n\n");
        let mail = whole(&[head.as_bytes(), page].concat());
        assert!(mail.problems.is_empty(), "{:?}", mail.problems);
        mail.text
    };
    let russian = b"<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\"><p>\xf0\xd2\xc9\xd7\xc5\xd4";
    assert_eq!(text("", russian), "Привет");
    assert_eq!(text("; charset=x-unheard-of", russian), "Привет");
    // A head that says something is believed more, and a page found to be in ASCII is not in UTF-16.
    assert_eq!(text("; charset=windows-1251", b"<meta charset=koi8-r><p>\xcf\xf0\xe8"), "При");
    assert_eq!(text("", b"<meta charset=utf-16><p>caf\xe9"), "café");
}

#[test]
fn what_cannot_be_read_is_told() {
    let reasons_of = |message: &[u8]| reasons(&whole(message));
    let multipart = b"Subject: s\nContent-Type: multipart/mixed; boundary=x\n\n".to_vec();
    let with = |body: &[u8]| [&multipart[..], body].concat();
    assert_eq!(reasons_of(b"\n\nno head"), ["NO_HEADER"]);
    assert_eq!(reasons_of(b""), ["NO_HEADER"]);
    assert_eq!(reasons_of(b"Subject: s\nContent-Type: multipart/mixed\n\nx"), ["NO_BOUNDARY"]);
    assert_eq!(reasons_of(&with(b"no parts")), ["NO_PARTS"]);
    assert_eq!(reasons_of(&with(b"--x\n\nopen")), ["NOT_CLOSED"]);
    assert_eq!(whole(&with(b"--x\n\nopen")).text, "open");
    assert_eq!(reasons(&read(&with(b"--x\n\nopen"), true, 100)), [""; 0]);
    let encoded = |encoding: &str, body: &str| {
        let head = format!("Subject: s\nContent-Transfer-Encoding: {encoding}\n\n{body}");
        reasons(&whole(head.as_bytes()))
    };
    assert_eq!(encoded("base64", "a!b"), ["FLAWED_BASE64"]);
    assert_eq!(encoded("quoted-printable", "=?"), ["FLAWED_QUOTED_PRINTABLE"]);
    assert_eq!(encoded("x-uuencode", "M"), ["UNKNOWN_ENCODING"]);
    assert_eq!(reasons_of(b"Subject: s\n\n%PDF-1.4"), ["NOT_TEXT"]);
    let flawed = b"Subject: s\nContent-Type: text/plain; charset=euc-jp\n\n\xff\xa4\xa2";
    assert_eq!(reasons_of(flawed), ["FLAWED_TEXT"]);
}

#[test]
fn nesting_and_number_are_bounded() {
    let deep = "Content-Type: message/rfc822\n\n".repeat(100_000);
    assert_eq!(reasons(&whole(deep.as_bytes())), ["TOO_DEEP"]);
    let mut nested = String::new();
    for level in 0..500 {
        nested
            .push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"));
    }
    let mail = whole(nested.as_bytes());
    assert!(reasons(&mail).contains(&"TOO_DEEP"), "{:?}", mail.problems);
    let many =
        format!("Content-Type: multipart/mixed; boundary=x\n\n{}", "--x\n\npart\n".repeat(100_000));
    let mail = whole(many.as_bytes());
    assert_eq!(reasons(&mail), ["TOO_MANY_PARTS"]);
    assert_eq!(mail.text.lines().count(), 256);
    let crowd = format!("To: {}\n\nhi", "someone@example.org, ".repeat(10_000));
    assert!(whole(crowd.as_bytes()).text.len() < 2_000);
    let long = format!("Subject: s\n\n{}", "é".repeat(1_000));
    let mail = read(long.as_bytes(), false, 101);
    assert_eq!((mail.text.len(), mail.is_cut), (100, true));
}

#[test]
fn a_message_is_known_by_its_head() {
    assert!(looks_like_mail(b"Received: by x\n\tfor y\nFrom: a\nSubject: b\n\nbody"));
    assert!(looks_like_mail(b"From a@b Thu Aug 22 2002\r\nTo: x\r\nDate: y\r\n\r\n"));
    assert!(looks_like_mail(b"Return-Path: <x>\nodd line\nFrom: a\nTo: b\n"));
    for text in [
        &b"From: me\nTo: you\nSubject: a letter on paper\n\nDear"[..],
        b"# Notes\nFrom: a\nTo: b\nMIME-Version: 1.0\n",
        b"Received: by x\n\nFrom: a\nSubject: b",
        b"",
        b"\0\0",
    ] {
        assert!(!looks_like_mail(text));
    }
}

/// Pieces of which a hostile message is made.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=x\n",
        "Content-Type: multipart/alternative; boundary=\"y\"\n",
        "Content-Type: message/rfc822\n",
        "Content-Type: text/html; charset=utf-16\n",
        "Content-Type: text/plain; charset=\"iso-2022-jp\"\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Disposition: attachment; filename*0*=utf-8''a%; filename*1=b\n",
        "Subject: =?utf-8?B?4oCm?= =?x?Q?=?=\n",
        "From: \"a\\\"b <c@d>, (e (f) g: h;\n",
        "Date: Thu, 99 Foo 20222 99:99:99 +9999\n",
        "Received: from a by b for <c>; Thu, 22 Aug 2002\n",
        "--x\n",
        "--x--\n",
        "--y\n",
        "\n",
        "\r\n",
        "=C3=\n",
        "4oCm\n",
    ]);
    prop_oneof![
        4 => known.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(pieces in prop::collection::vec(pieces(), 0..60), bytes_max in 0_usize..2_000) {
        let bytes = pieces.concat();
        let mail = read(&bytes, false, bytes_max);
        prop_assert!(mail.text.len() <= bytes_max);
        prop_assert!(mail.problems.len() <= 9);
        let _ = looks_like_mail(&bytes);
    }

    #[test]
    fn nor_any_noise(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(&bytes, true, 1_000);
        let _ = looks_like_mail(&bytes);
    }
}
