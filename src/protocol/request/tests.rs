use super::*;

fn all_requests() -> Vec<Request> {
    let mut spec = Spec {
        name: "api server".into(),
        script: b"/srv/api.js".to_vec(),
        args: vec![b"--port".to_vec(), b"30 00".to_vec()],
        ..Spec::default()
    };
    spec.set("env.PORT", b"3000").unwrap();
    let mut env = Spec::default();
    env.set("env.A", b"b\nc").unwrap();
    let targets = vec!["all".to_owned(), "a b".to_owned()];
    vec![
        Request::Hello { protocol: 1 },
        Request::Ping,
        Request::Start {
            spec: Box::new(spec.clone()),
            force: true,
            want: Want::Down,
        },
        Request::Stop {
            targets: targets.clone(),
        },
        Request::Restart {
            targets: targets.clone(),
            told: None,
        },
        Request::Restart {
            targets: targets.clone(),
            told: Some(Box::new(env)),
        },
        Request::Restart {
            targets: targets.clone(),
            told: Some(Box::new(spec)),
        },
        Request::Delete {
            targets: targets.clone(),
        },
        Request::Pause {
            targets: targets.clone(),
        },
        Request::Resume {
            targets: targets.clone(),
        },
        Request::Signal {
            signal: SignalNumber(10),
            targets: targets.clone(),
        },
        Request::Upkeep {
            what: Upkeep::Flush,
            targets: targets.clone(),
        },
        Request::Upkeep {
            what: Upkeep::Rotate,
            targets: targets.clone(),
        },
        Request::Upkeep {
            what: Upkeep::Reopen,
            targets: Vec::new(),
        },
        Request::List {
            targets: Vec::new(),
        },
        Request::Describe { targets },
        Request::Events,
        Request::Sync,
        Request::Update { program: None },
        Request::Update {
            program: Some(b"/bin/rpmd".to_vec()),
        },
        Request::Kill { keep: false },
        Request::Kill { keep: true },
    ]
}

#[test]
fn every_request_comes_back_as_it_went() {
    for request in all_requests() {
        let line = Line::decode(&request.to_line().to_bytes()).unwrap();
        assert_eq!(Request::from_line(&line), Ok(request));
    }
}

#[test]
fn the_table_has_every_verb_and_no_other() {
    let mut used: Vec<_> = all_requests().iter().map(Request::verb).collect();
    used.dedup();
    let listed: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
    assert_eq!(used, listed);
}

#[test]
fn what_is_wrong_is_named() {
    for (line, part) in [
        ("strat", "did you mean start?"),
        ("start", "script=PATH"),
        ("start script=x kill_timeot=1", "did you mean kill_timeout?"),
        ("start script=x kill_timeout=soon", "'soon' is not a time"),
        ("start script=x%00", "NUL"),
        ("stop", "which program"),
        ("stop target=%ff", "UTF-8"),
        ("ping x=1", "no field x"),
        ("hello protocol=new", "number"),
        ("restart target=a name=b", "no field name"),
        ("signal target=a", "which"),
        ("signal signal=SIGNONE target=a", "not a signal"),
        ("signal signal=9", "which program"),
        ("restart target=a script=x nmae=b", "did you mean name?"),
        ("restart target=a env.A=%00", "NUL"),
        ("list target=a x=1", "no field x"),
    ] {
        let failure = Request::from_line(&Line::decode(line.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(failure.code, Code::BadRequest);
        assert!(
            failure.message.contains(part),
            "{line}: {}",
            failure.message
        );
    }
}

#[test]
fn a_boolean_that_is_none_is_refused_and_never_a_no() {
    for word in ["yes", "on", "1", "true"] {
        let line = Line::decode(format!("kill keep={word}").as_bytes()).unwrap();
        assert_eq!(Request::from_line(&line), Ok(Request::Kill { keep: true }));
    }
    for wrong in [
        "kill keep=maybe",
        "kill keep=",
        "kill keep=TRUE",
        "start script=x force=perhaps",
        "start script=x treekill=2",
        "start script=x autorestart=y",
    ] {
        let line = Line::decode(wrong.as_bytes()).unwrap();
        let failure = Request::from_line(&line).unwrap_err();
        assert_eq!(failure.code, Code::BadRequest, "{wrong}");
        assert!(failure.message.contains("neither true"), "{failure:?}");
    }
}

#[test]
fn no_verb_takes_a_field_that_it_does_not_know() {
    for verb in crate::protocol::verb::VERBS {
        let needed = match verb.name {
            "hello" => "protocol=1",
            "start" => "script=x",
            "signal" => "signal=INT target=x",
            "ping" | "events" | "sync" | "update" | "kill" => "",
            _ => "target=x",
        };
        let line = |more: &str| format!("{} {needed} {more}", verb.name);
        let read = |text: String| Request::from_line(&Line::decode(text.as_bytes()).unwrap());
        assert!(read(line("")).is_ok(), "{}", verb.name);
        let failure = read(line("keeep=true")).unwrap_err();
        assert_eq!(failure.code, Code::BadRequest, "{}", verb.name);
        assert!(failure.message.contains("no field keeep"), "{failure:?}");
    }
}

#[test]
fn a_key_comes_once_unless_it_is_one_of_a_list() {
    let read = |text: &str| Request::from_line(&Line::decode(text.as_bytes()).unwrap());
    for twice in [
        "kill keep=true keep=false",
        "start script=x force=true force=true",
        "start script=x script=y",
        "start script=x kill_timeout=5s killTimeout=6s",
        "start script=x out_file=a output=b",
        "signal signal=9 signal=15 target=a",
    ] {
        let failure = read(twice).unwrap_err();
        assert!(
            failure.message.contains("is given twice"),
            "{twice}: {failure:?}"
        );
    }
    read("stop target=a target=a").unwrap();
    read("start script=x args=a args=a env.A=1 env.A=2 env=B=1 env=C=1 listen=tcp:1 listen=tcp:2 stop_exit_codes=1 stop_exit_codes=2")
        .unwrap();
    let many: String = (0..10_000).map(|n| format!(" a{n}=")).collect();
    let failure = read(&format!("start script=x{many}")).unwrap_err();
    assert!(failure.message.contains("too many fields"), "{failure:?}");
}
