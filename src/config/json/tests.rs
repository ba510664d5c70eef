use super::*;
use crate::test_rng::test_rng;

fn read(text: impl AsRef<[u8]>) -> Result<Node, String> {
    let source = Source {
        name: "f.json",
        text: text.as_ref(),
        literal: true,
    };
    parse(&source).map_err(|error| error.to_string())
}

fn string(text: &str) -> Vec<u8> {
    read(text).unwrap().string().unwrap().to_vec()
}

#[test]
fn every_kind_of_value_is_read() {
    let text = r#" {"a": [1, -2.5e+3, true, false, null], "b": {"c": ""}, "a": "last"} "#;
    let node = read(text).unwrap();
    assert_eq!(node.get("a").unwrap().string(), Some(&b"last"[..]));
    let first = &node.members()[0];
    assert_eq!(
        (first.key.as_slice(), first.at, first.node.at),
        (&b"a"[..], 2, 7)
    );
    let Value::Array(items) = &first.node.value else {
        panic!("{first:?}");
    };
    let texts: Vec<_> = items
        .iter()
        .map(|item| item.scalar().map(String::from_utf8))
        .collect();
    let texts: Vec<_> = texts
        .iter()
        .map(|t| t.as_ref().map(|t| t.as_ref().unwrap().as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            Some("1"),
            Some("-2.5e+3"),
            Some("true"),
            Some("false"),
            None
        ]
    );
    assert_eq!(
        node.get("b").unwrap().get("c").unwrap().string(),
        Some(&b""[..])
    );
    assert!(node.get("d").is_none() && items[0].get("a").is_none());
}

#[test]
fn comments_commas_and_a_byte_order_mark_are_forgiven() {
    let text = "\u{feff}// first\n{ /* a */ \"a\" /**/ : // b\r\n [1, /*,*/ 2,], // c\n }\n//";
    let node = read(text).unwrap();
    let Value::Array(items) = &node.get("a").unwrap().value else {
        panic!("{node:?}");
    };
    assert_eq!(items.len(), 2);
    assert_eq!(string("\"// no /* comment */\""), b"// no /* comment */");
}

#[test]
fn escapes_mean_characters() {
    assert_eq!(string(r#""\"\\\/\b\f\n\r\t""#), b"\"\\/\x08\x0c\n\r\t");
    assert_eq!(string(r#""\u00fc\uD83D\ude00é""#), "ü😀é".as_bytes());
    assert_eq!(string(r#""\u0000""#), b"\0");
    // A byte that is no part of UTF-8.
    assert_eq!(string(r#""a\udcffb\udc80""#), b"a\xffb\x80");
}

#[test]
fn json5_is_read() {
    let text = "{\u{a0}name: 'it\\'s \"a\"', $_1: 'x\\\ny\\\r\nz', \"q'\": \"'\", \\u00fcx: '\\x41\\v\\0\\-', é: /**/ 0xfF,}\u{2028}";
    let node = read(text).unwrap();
    let members: Vec<_> = node
        .members()
        .iter()
        .map(|m| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(&m.key), text(&m.node.scalar().unwrap()))
        })
        .collect();
    let expected = [
        ("name", "it's \"a\""),
        ("$_1", "xyz"),
        ("q'", "'"),
        ("üx", "A\u{b}\0-"),
        ("é", "255"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(members, expected);
    for (text, number) in [
        ("+5", "5"),
        (".5", "0.5"),
        ("-.5e1", "-0.5e1"),
        ("5.", "5"),
        ("5.e2", "5e2"),
        ("-0x10", "-16"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("+NaN", "NaN"),
    ] {
        assert_eq!(
            read(text).unwrap().value,
            Value::Number(number.into()),
            "{text}"
        );
    }
    let mut json = Json::new(false);
    json.node(&read("[Infinity, 0x1f, -NaN, 'a']").unwrap());
    assert_eq!(json.finish().trim_end(), "[null,31,null,\"a\"]");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, error) in [
        (
            "",
            "f.json:1:1: expected a value, found the end of the text",
        ),
        (
            "{\n  \"a\": 1\n  \"b\": 2\n}",
            "f.json:3:3: expected ',' or '}', found '\"'",
        ),
        ("{\"ü\": x1}", "f.json:1:7: expected a value, found 'x1'"),
        ("[1 2]", "f.json:1:4: expected ',' or ']', found '2'"),
        (
            "[1",
            "f.json:1:3: expected ',' or ']', found the end of the text",
        ),
        ("{a 1}", "f.json:1:4: expected ':' after the key, found '1'"),
        (
            "{'a: 1}",
            "f.json:1:2: the string that begins here is not closed",
        ),
        ("{[]: 1}", "f.json:1:2: expected a key or '}', found '['"),
        (
            "{1a: 1}",
            "f.json:1:2: a key that begins with a digit needs quotes",
        ),
        ("[1px]", "f.json:1:2: letters follow a number"),
        ("0x", "f.json:1:1: 0x needs hexadecimal digits"),
        ("+", "f.json:1:1: a number needs digits"),
        (".", "f.json:1:1: a number needs digits"),
        ("'\\d+'", "f.json:1:2: unknown escape"),
        ("'\\01'", "f.json:1:2: unknown escape"),
        ("'\\x4'", "f.json:1:2: \\x needs two hexadecimal digits"),
        (
            "{\"a\" 1}",
            "f.json:1:6: expected ':' after the key, found '1'",
        ),
        ("[,]", "f.json:1:2: expected a value, found ','"),
        (
            "{} []",
            "f.json:1:4: expected the end of the text, found '['",
        ),
        (
            "\n \"a",
            "f.json:2:2: the string that begins here is not closed",
        ),
        (
            "\"a\nb\"",
            "f.json:1:1: the string is not closed on its line",
        ),
        (
            "\"a\tb\"",
            "f.json:1:3: the control byte 0x09 in a string must be written \\u0009",
        ),
        (
            "/* a",
            "f.json:1:1: the comment that begins here is not closed",
        ),
        ("\"\\q\"", "f.json:1:2: unknown escape"),
        (
            "\"\\u12g4\"",
            "f.json:1:2: \\u needs four hexadecimal digits",
        ),
        (
            "\"\\u+123\"",
            "f.json:1:2: \\u needs four hexadecimal digits",
        ),
        ("\"\\ud83d\"", "f.json:1:2: half of a surrogate pair"),
        ("\"\\ud83d\\u0041\"", "f.json:1:2: half of a surrogate pair"),
        ("\"\\ude00\"", "f.json:1:2: half of a surrogate pair"),
        ("\"\\udc41\"", "f.json:1:2: half of a surrogate pair"),
        ("01", "f.json:1:1: a number needs digits, and no leading 0"),
        ("-", "f.json:1:1: a number needs digits"),
        ("1e+", "f.json:1:1: a number needs digits in its exponent"),
        ("Nan", "f.json:1:1: expected a value, found 'Nan'"),
    ] {
        let found = read(text).unwrap_err();
        assert!(found.starts_with(error), "{text:?}: {found}");
    }
    let found = read(b"[\n\"\xc3\xa9\xff\"]").unwrap_err();
    assert_eq!(found, "f.json:2:3: the byte 0xff is not UTF-8");
    assert!(read("[".repeat(100) + &"]".repeat(100)).is_ok());
    let found = read("[".repeat(100_000)).unwrap_err();
    assert_eq!(found, "f.json:1:101: nested more than 100 levels deep");
}

#[test]
fn strings_of_any_bytes_come_back_from_exact_text() {
    let mut next = test_rng();
    for _ in 0..20_000 {
        let length = next() as usize % 12;
        let alphabet = b"a\"\\/\n\0\x7f\x80\xc3\xa9\xed\xb3\xbf\xf0\x9f\x98\x80\xff ud";
        let bytes: Vec<u8> = (0..length)
            .map(|_| alphabet[next() as usize % alphabet.len()])
            .collect();
        let mut json = Json::new(false).exact();
        json.object(|json| json.key(&bytes).string(&bytes));
        let text = json.finish();
        let node = read(&text).unwrap();
        assert_eq!(node.members()[0].key, bytes, "{text}");
        assert_eq!(node.members()[0].node.string(), Some(&bytes[..]), "{text}");
    }
}

#[test]
fn damaged_text_never_panics_and_truncated_text_is_refused() {
    let whole = br#"[{"a": [1.5e3, "\u00fc\ud83d\ude00", null], /* c */ "b": {"c": true}}]"#;
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end}");
    }
    let mut next = test_rng();
    let alphabet = b"{}[]\"',:/*\\ux0dDc8e+-.1tnI \n\r\xff\xc3\xa9";
    for _ in 0..200_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + next() % 3 {
            let at = next() as usize % bytes.len();
            bytes[at] = alphabet[next() as usize % alphabet.len()];
        }
        let _ = read(&bytes);
    }
}
