//! A program prints as fast as it can, and its log files are set aside all the while: no line is split, no byte lost or
//! doubled, whoever is killed, updated or asked for something meanwhile.

use std::fs;
use std::path::PathBuf;

use rpm::sys::signal::Signal;

use crate::harness::logs::{
    Form, count_older, files, finish, kill_log_writer, older, whole_text, without_stamps,
};
use crate::harness::wait::wait_for_end;
use crate::harness::{Home, assert_same_bytes, proc, skip, steady_text, wait_until};

/// So many files are set aside in the tests of a flood.
const FILES: usize = 100;

/// A program that prints numbered lines as fast as it can into small files, and `disturb` as long as it does.
#[track_caller]
fn flood_survives(form: Form, mut disturb: impl FnMut(&Home)) {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let flags = ["--log-max-size", "20K", "--log-max-files", "100000"];
    let words = [&["start", steady.as_str()], &flags[..], form.flags()].concat();
    home.rpm(&[&words[..], &["--", "500", "500"]].concat()).ok();
    let path = home.log_path("steady-out.log");
    let mut wanted = 4;
    while wanted < FILES {
        wait_until("files are set aside", || older(&path, wanted).exists());
        disturb(&home);
        wanted = count_older(&path) + 4;
    }
    finish(&home, "steady");
    let text = form.bare(&whole_text(&path));
    assert_same_bytes(&text, &steady_text(&text), "the files together");
    // A line that was begun is finished.
    for file in files(&path) {
        assert!(file.len() < (20 << 10) + 200, "{} bytes", file.len());
    }
}

#[test]
fn a_flood_goes_through_a_hundred_files() {
    flood_survives(Form::Plain, |_| ());
}

#[test]
fn a_stamped_flood_goes_through_a_hundred_files() {
    flood_survives(Form::Stamped, |_| ());
}

#[test]
fn a_flood_of_json_goes_through_a_hundred_files() {
    flood_survives(Form::Json, |_| ());
}

#[test]
fn the_death_of_the_log_writer_costs_no_line_of_files_that_are_set_aside() {
    flood_survives(Form::Plain, kill_log_writer);
}

#[test]
fn the_death_of_the_log_writer_costs_no_stamped_line_of_files_that_are_set_aside() {
    flood_survives(Form::Stamped, kill_log_writer);
}

#[test]
fn the_death_of_both_daemons_costs_no_line_of_files_that_are_set_aside() {
    flood_survives(Form::Plain, |home| {
        home.kill_daemons();
        home.rpm(&["ping"]).ok();
    });
}

#[test]
fn the_death_of_both_daemons_costs_no_object_of_files_that_are_set_aside() {
    flood_survives(Form::Json, |home| {
        home.kill_daemons();
        home.rpm(&["ping"]).ok();
    });
}

#[test]
fn files_are_set_aside_by_command_while_a_program_floods() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let flags = ["--time", "--log-max-size", "0", "--log-max-files", "30"];
    let words = [&["start", &steady], &flags[..], &["--", "500", "500"]].concat();
    home.rpm(&words).ok();
    let path = home.log_path("steady-out.log");
    for number in 1..20 {
        wait_until("it writes", || {
            path.metadata().is_ok_and(|m| m.len() > 4000)
        });
        home.wire().ask("rotate target=steady").ok();
        assert_eq!(count_older(&path), number);
    }
    finish(&home, "steady");
    let text = without_stamps(&whole_text(&path));
    assert_same_bytes(&text, &steady_text(&text), "the files together");
}

#[test]
fn files_are_set_aside_by_command_while_the_log_writer_dies() {
    flood_survives(Form::Plain, |home| {
        let mut wire = home.wire();
        wire.send("rotate target=steady\n");
        kill_log_writer(home);
        // Where the machine is so busy that the next log writer comes late, the answer says that; what counts is that no
        // byte is lost.
        let answer = wire.answer();
        if answer.last.tag != "ok" {
            answer.refused("timeout", "it does this as soon as it can");
        }
    });
}

#[test]
fn files_that_others_move_away_meanwhile_hold_every_line() {
    let mut at = 0;
    let mut moved: Vec<PathBuf> = Vec::new();
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    home.rpm(&["start", &steady, "--log-max-size", "1M", "--", "50", "500"])
        .ok();
    let path = home.log_path("steady-out.log");
    while at < 5 {
        wait_until("it writes", || {
            fs::metadata(&path).is_ok_and(|m| m.len() > 4000)
        });
        let away = home.log_path(&format!("away.{at}"));
        fs::rename(&path, &away).unwrap();
        let command = ["reloadLogs", "logrotate"][at % 2];
        home.rpm(&[command, "steady"]).ok();
        moved.push(away);
        at += 1;
    }
    finish(&home, "steady");
    moved.push(path);
    let text: Vec<u8> = moved
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    assert_same_bytes(&text, &steady_text(&text), "the files together");
}

#[test]
fn the_death_of_the_supervisor_and_its_update_cost_no_line() {
    let mut update = false;
    flood_survives(Form::Stamped, |home| {
        update = !update;
        if update {
            home.rpm(&["update"]).ok();
            return;
        }
        let supervisor = home.supervisor();
        proc::kill(supervisor, Signal::KILL);
        wait_for_end(supervisor);
        home.rpm(&["ping"]).ok();
    });
}

#[test]
fn the_death_of_the_log_writer_costs_no_line_of_either_file_of_a_stream() {
    let home = Home::new();
    let Some(steady) = home.compiled("steady.c") else {
        return skip("there is no C compiler");
    };
    let flags = ["-l", "both.log", "--time", "--log-max-size", "30K"];
    let words = [&["start", &steady, "--log-max-files", "9999"], &flags[..]].concat();
    home.rpm(&[&words[..], &["--", "500", "500"]].concat()).ok();
    let (own, both) = (home.log_path("steady-out.log"), home.base.join("both.log"));
    for number in 1..15 {
        wait_until("files are set aside", || older(&both, 4 * number).exists());
        kill_log_writer(&home);
    }
    finish(&home, "steady");
    for path in [own, both] {
        let text = without_stamps(&whole_text(&path));
        assert_same_bytes(&text, &steady_text(&text), "the files together");
    }
}

#[test]
fn a_file_that_is_emptied_meanwhile_has_whole_lines_and_none_twice() {
    for form in [Form::Plain, Form::Stamped] {
        let home = Home::new();
        let Some(steady) = home.compiled("steady.c") else {
            return skip("there is no C compiler");
        };
        let words = [&["start", steady.as_str()], form.flags()].concat();
        home.rpm(&[&words[..], &["--", "100", "500"]].concat()).ok();
        let path = home.log_path("steady-out.log");
        for _ in 0..20 {
            wait_until("it writes", || {
                path.metadata().is_ok_and(|meta| meta.len() > 20_000)
            });
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(0).unwrap();
        }
        finish(&home, "steady");
        let log = form.bare(&fs::read(&path).unwrap());
        let all = steady_text(&log);
        assert!(log.len() < all.len(), "{} bytes", log.len());
        assert_same_bytes(&log, &all[all.len() - log.len()..], "the log");
    }
}
