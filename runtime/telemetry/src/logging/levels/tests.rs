use super::*;
use tracing_subscriber::layer::SubscriberExt;

fn levels(filter: &str) -> (tracing::Dispatch, Levels) {
    let (layer, levels) = Levels::of_filter(filter).unwrap();
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    (dispatch, levels)
}

fn shown(levels: &Levels) -> Vec<String> {
    let all = levels.all();
    all.iter()
        .map(|it| format!("{}={}", it.name, it.level))
        .collect()
}

#[test]
fn a_filter_is_read() {
    let (_dispatch, levels) = levels("warn,a::b=debug,c,d[s{f=1}]=info");
    assert_eq!(
        shown(&levels),
        [
            "a::b=DEBUG",
            "c=TRACE",
            "jackfield_admin::audit=INFO",
            "root=WARN"
        ]
    );
}

#[test]
fn what_records_changes_is_written_whatever_is_said() {
    for filter in [
        "off",
        "warn",
        "info,jackfield_admin::audit=off",
        "info,jackfield_admin::audit[{path}]=off",
        "jackfield_admin=error",
        "nothing=trace",
    ] {
        let (dispatch, levels) = levels(filter);
        let asked = || tracing::event_enabled!(target: Levels::AUDIT, tracing::Level::INFO, path);
        let written = || tracing::dispatcher::with_default(&dispatch, asked);
        assert!(written(), "{filter}");
        assert_eq!(levels.of(Levels::AUDIT).unwrap().level, "INFO", "{filter}");
        levels.set("root", "OFF").unwrap();
        assert!(written(), "{filter}, then off");
        levels.set("jackfield_admin", "WARN").unwrap();
        assert!(written(), "{filter}, then off below it");
        for level in ["OFF", "WARN", "ERROR", "FATAL"] {
            let refused = levels.set(Levels::AUDIT, level).unwrap_err();
            assert!(matches!(refused, LevelError::AlwaysOn(_)), "{refused}");
        }
        assert_eq!(levels.of(Levels::AUDIT).unwrap().level, "INFO", "{filter}");
        levels.set(Levels::AUDIT, "DEBUG").unwrap();
        levels.set("root", "OFF").unwrap();
        assert_eq!(levels.of(Levels::AUDIT).unwrap().level, "INFO", "{filter}");
        assert!(written(), "{filter}, then louder, then off");
    }
}

#[test]
fn other_lines_are_held_back_as_before() {
    let (dispatch, levels) = levels("off");
    tracing::dispatcher::with_default(&dispatch, || {
        assert!(!tracing::enabled!(target: "jackfield_admin", tracing::Level::ERROR));
        assert!(!tracing::enabled!(target: Levels::AUDIT, tracing::Level::DEBUG));
        levels.set(Levels::AUDIT, "DEBUG").unwrap();
        assert!(tracing::enabled!(target: Levels::AUDIT, tracing::Level::DEBUG));
    });
}

#[test]
fn a_change_is_heard_at_once() {
    let (dispatch, levels) = levels("warn,jackfield_a::b=info");
    tracing::dispatcher::with_default(&dispatch, || {
        assert!(!tracing::enabled!(target: "jackfield_a::b::c", tracing::Level::DEBUG));
        assert_eq!(
            levels.set("jackfield_a", "debug").unwrap(),
            ["jackfield_a", "jackfield_a::b"]
        );
        assert!(tracing::enabled!(target: "jackfield_a::b::c", tracing::Level::DEBUG));
        assert!(!tracing::enabled!(target: "other", tracing::Level::DEBUG));
        assert_eq!(levels.of("jackfield_a::x").unwrap().level, "DEBUG");
        assert!(levels.of("jackfield_a").unwrap().changed_ms.is_some());
        assert!(levels.of("other").is_none());
        let all = levels.set("ROOT", "FATAL").unwrap();
        assert_eq!(all, ["jackfield_a", "jackfield_a::b", "root"]);
        assert!(!tracing::enabled!(target: "jackfield_a::b::c", tracing::Level::WARN));
    });
}

#[test]
fn what_can_not_be_set_is_said() {
    let (dispatch, levels) = levels("info");
    assert!(matches!(
        levels.set("root", "loud"),
        Err(LevelError::UnknownLevel(_))
    ));
    assert!(matches!(
        levels.set("a=b,c", "info"),
        Err(LevelError::NoLogger(_))
    ));
    for n in 0..LOGGERS_MAX - 1 {
        levels.set(&format!("a{n}"), "info").unwrap();
    }
    assert!(matches!(
        levels.set("one-more", "info"),
        Err(LevelError::TooMany)
    ));
    drop(dispatch);
    assert!(matches!(
        levels.set("root", "info"),
        Err(LevelError::Gone(_))
    ));
}
