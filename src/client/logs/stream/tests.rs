use super::*;
use crate::client::display::output::Look;
use crate::client::logs::line::Output;
use crate::client::logs::merge;
use crate::client::logs::view::Format;
use crate::model::spec::Spec;
use crate::model::stamp::Form;
use crate::sys::regex::Regex;

const NOW: Now = Now {
    wall: 1_795_610_096_789,
    monotonic: 7,
};

fn stream(id: u32, name: &str, stamp: Stamp) -> Stream {
    let mut source = Source::new(Some(id), name.to_owned(), Output::Out);
    source.prefix = format!("{name} ").into_bytes();
    Stream::new(Tail::new("/nowhere".into()), source, stamp)
}

fn stamped() -> Stamp {
    Stamp::of(&Spec {
        log_date_format: "x".to_owned(),
        ..Spec::default()
    })
}

/// What is printed of pieces, each of a stream, and at the end.
fn printed(streams: &mut [Stream], view: &View, pieces: &[(usize, &str)]) -> String {
    let mut sink = Vec::new();
    let mut to = Printer::new(&mut sink);
    for (of, piece) in pieces {
        let stream = &mut streams[*of];
        match *piece {
            "show" => stream.show_begun(*of, &mut to, view),
            "cut" => stream.end_line(*of, Some(NOW), &mut to, view).unwrap(),
            piece => stream
                .take(*of, piece.as_bytes(), Some(NOW), &mut to, view)
                .unwrap(),
        }
    }
    for (of, stream) in streams.iter_mut().enumerate() {
        stream.end_line(of, None, &mut to, view).unwrap();
    }
    to.finish().unwrap();
    String::from_utf8(sink).unwrap()
}

fn view(format: Format) -> View {
    View {
        format,
        ..View::stored(false, Look::default())
    }
}

#[test]
fn a_line_is_held_until_its_lf_comes() {
    let view = View::stored(false, Look::default());
    let mut two = [stream(0, "a", Stamp::None), stream(1, "b", Stamp::None)];
    let pieces = [(0, "1\n2"), (1, "x\n"), (0, "2\n3"), (1, "y"), (0, "4\n")];
    let text = printed(&mut two, &view, &pieces);
    assert_eq!(text, "a 1\nb x\na 22\na 34\nb y\n");
}

#[test]
fn a_line_that_was_shown_in_part_continues_unless_another_comes() {
    let view = View::stored(false, Look::default());
    let mut two = [stream(0, "a", Stamp::None), stream(1, "b", Stamp::None)];
    let pieces = [
        (0, "1"),
        (0, "show"),
        (0, "2\n3"),
        (0, "show"),
        (1, "x\n"),
        (0, "4\n5"),
        (0, "show"),
        (0, "cut"),
        (0, "6\n"),
    ];
    let text = printed(&mut two, &view, &pieces);
    assert_eq!(text, "a 12\na 3\nb x\na 4\na 5\na 6\n");
    assert_eq!(two[0].begun_since(&view), None);
}

#[test]
fn raw_lines_are_whole_too() {
    let view = View::stored(true, Look::default());
    let mut two = [stream(0, "", Stamp::None), stream(1, "", Stamp::None)];
    two.iter_mut().for_each(|one| one.source.prefix.clear());
    let pieces = [(0, "1\n2\n3"), (1, "x\ny"), (0, "3\n4\n"), (1, "\n")];
    assert_eq!(printed(&mut two, &view, &pieces), "1\n2\nx\n33\n4\ny\n");
}

#[test]
fn a_very_long_line_is_not_held_whole() {
    let plain = View::stored(false, Look::default());
    let long = "x".repeat(LONGEST - 1);
    let pieces = [(0, long.as_str()), (0, "yy"), (0, "z\n")];
    let text = printed(&mut [stream(0, "a", Stamp::None)], &plain, &pieces);
    assert!(text == format!("a {long}yyz\n"));
    let dated = view(Format::Dated(Form::new("[-]")));
    let text = printed(&mut [stream(0, "a", Stamp::None)], &dated, &pieces);
    assert!(text == format!("- a {long}yy\n- a z\n"));
    let json = view(Format::Json(None));
    let text = printed(&mut [stream(0, "a", Stamp::None)], &json, &pieces);
    let mut lines = text.lines();
    let (first, last) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(first.ends_with("\"app_name\":\"a\",\"partial\":true}"));
    assert!(last.contains("\"z\"") && !last.contains("partial"));
}

#[test]
fn new_lines_have_the_present_time_unless_they_carry_another() {
    let words = view(Format::KeyValue(Form::new("x")));
    let mut two = [stream(0, "a", Stamp::None), stream(1, "b", stamped())];
    let pieces = [(0, "one\n"), (1, "no stamp\n55: two\nmore\n")];
    assert_eq!(
        printed(&mut two, &words, &pieces),
        "timestamp=1795610096789 app=a id=0 type=out message=one\n\
         timestamp= app=b id=1 type=out message=no stamp\n\
         timestamp=55 app=b id=1 type=out message=two\n\
         timestamp=55 app=b id=1 type=out message=more\n"
    );
}

#[test]
fn an_object_stays_as_it_is_and_other_lines_become_one() {
    let json = view(Format::Json(None));
    let stored = r#"{"message":"m","timestamp":"2026-11-25T12:34:56.789Z","type":"err","more":1}"#;
    let object = Stamp::Json(None);
    let mut two = [stream(0, "a", object), stream(1, "b\"", stamped())];
    two[1].source.id = None;
    let pieces = [(0, stored), (0, "\nplain\n"), (1, "5: m\t\u{7}\n")];
    assert_eq!(
        printed(&mut two, &json, &pieces),
        format!(
            "{stored}\n{}\n{}\n",
            r#"{"message":"plain","timestamp":"2026-11-25T12:34:56.789Z","type":"out","process_id":0,"app_name":"a"}"#,
            r#"{"message":"m\t\u0007","timestamp":"5","type":"out","process_id":null,"app_name":"b\""}"#
        )
    );
}

#[test]
fn an_object_may_name_its_own_source() {
    let object = |kind: &str| {
        format!(
            r#"{{"message":"m {kind}","timestamp":"1","type":"{kind}","process_id":7,"app_name":"b\u0007"}}"#
        )
    };
    let text = format!("{}\n{}\nplain\n", object("out"), object("err"));
    let shown = |format, only| {
        let view = View {
            only,
            ..view(format)
        };
        let mut one = stream(0, "name", Stamp::Json(None));
        one.source.align(6, view.look);
        printed(&mut [one], &view, &[(0, text.as_str())])
    };
    assert_eq!(
        shown(Format::KeyValue(Form::new("x")), None),
        "timestamp= app=b? id=7 type=out message=m out\n\
         timestamp= app=b? id=7 type=err message=m err\n\
         timestamp= app=name id=0 type=out message=plain\n"
    );
    let dated = Format::Dated(Form::new("x"));
    assert_eq!(
        shown(dated, Some(Output::Err)),
        "- 7|b?   | m err\n- 0|name | plain\n"
    );
    let out = shown(Format::Stored, Some(Output::Out));
    assert_eq!(out, format!("7|b?   | {}\n0|name | plain\n", object("out")));
}

#[test]
fn only_selected_lines_are_shown() {
    let some = View {
        since: Some(50),
        until: Some(60),
        grep: Some(Regex::new("^m").unwrap()),
        ..View::stored(false, Look::default())
    };
    let text = "40: m old\n50: m1\nm2\n55: other\n60: m3\n61: m late\n";
    let shown = printed(&mut [stream(0, "a", stamped())], &some, &[(0, text)]);
    assert_eq!(shown, "a 50: m1\na m2\na 60: m3\n");
}

#[test]
fn a_text_is_highlighted_on_a_terminal() {
    let look = Look {
        terminal: true,
        ..Look::default()
    };
    let marked = View {
        highlight: b"ab".to_vec(),
        ..View::stored(true, look)
    };
    let text = printed(
        &mut [stream(0, "a", Stamp::None)],
        &marked,
        &[(0, "xababa\n")],
    );
    assert_eq!(text, "a x\x1b[7mab\x1b[27m\x1b[7mab\x1b[27ma\n");
}

/// A stream of a file with this content, in a folder of its own.
fn on_disk(folder: &std::path::Path, id: u32, name: &str, text: &str) -> Stream {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    let mut stream = stream(id, name, stamped());
    stream.tail = Tail::new(path);
    stream
}

#[test]
fn past_lines_are_merged_by_time_and_continued() {
    let folder = std::env::temp_dir().join(format!("rpm-merge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut streams = [
        on_disk(&folder, 0, "a", "1: a\n of a\n5: a\n of 5\n9: a\n"),
        on_disk(&folder, 1, "b", "1: b\n5: b\n6: b\n2: b late\n8: be"),
        on_disk(&folder, 2, "c", ""),
    ];
    let view = View::stored(false, Look::default());
    let mut sink = Vec::new();
    let mut to = Printer::new(&mut sink);
    let all = streams.iter_mut().enumerate().collect();
    merge::print(all, Some(9), &mut to, &view, &|| Ok(())).unwrap();
    let path = folder.join("b");
    std::fs::write(&path, "1: b\n5: b\n6: b\n2: b late\n8: begun\n").unwrap();
    for (of, stream) in streams.iter_mut().enumerate() {
        stream.read_new(of, NOW, &mut to, &view).unwrap();
    }
    to.finish().unwrap();
    assert_eq!(
        String::from_utf8(sink).unwrap(),
        "a 1: a\na  of a\nb 1: b\na 5: a\na  of 5\nb 5: b\nb 6: b\nb 2: b late\na 9: a\nb 8: begun\n"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
