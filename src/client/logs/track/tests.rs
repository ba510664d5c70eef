use super::*;
use std::fs;
use std::io::Write;

/// A log file in a folder of its own, and what of it has been read.
struct Case {
    folder: PathBuf,
    track: Track,
}

impl Case {
    fn new(name: &str) -> Case {
        let folder = std::env::temp_dir().join(format!("rpm-track-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let track = Track::new(folder.join("log"));
        Case { folder, track }
    }

    fn path(&self, number: u32) -> PathBuf {
        match number {
            0 => self.folder.join("log"),
            _ => self.folder.join(format!("log.{number}")),
        }
    }

    fn append(&self, text: &str) {
        let mut options = fs::File::options();
        let file = options.append(true).create(true).open(self.path(0));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// As the log writer does it, where so many older files are kept.
    fn rotate(&self, kept: u32) {
        let free = (1..=kept).find(|number| !self.path(*number).exists());
        for number in (0..free.unwrap_or(kept)).rev() {
            fs::rename(self.path(number), self.path(number + 1)).unwrap();
        }
        fs::write(self.path(0), "").unwrap();
    }

    fn news(&mut self) -> String {
        let mut read = Vec::new();
        let done = self.track.catch_up(&mut |news| {
            match news {
                News::Bytes(bytes) => read.extend_from_slice(bytes),
                News::Cut => read.extend_from_slice(b"|"),
                News::Lost => read.extend_from_slice(b"!"),
            }
            Ok(())
        });
        done.unwrap();
        String::from_utf8(read).unwrap()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn truncated_replaced_and_late_files_are_followed() {
    let mut case = Case::new("replaced");
    assert_eq!(case.news(), "");
    case.append("late\n");
    assert_eq!(case.news(), "late\n");
    case.append("one\n");
    assert_eq!(case.news(), "one\n");
    fs::write(case.path(0), "2\n").unwrap();
    assert_eq!(case.news(), "|2\n");
    let mut old = fs::File::options().append(true).open(case.path(0)).unwrap();
    fs::write(case.folder.join("new"), "new\n").unwrap();
    fs::rename(case.folder.join("new"), case.path(0)).unwrap();
    old.write_all(b"old\n").unwrap();
    assert_eq!(case.news(), "old\n|new\n");
}

#[test]
fn a_file_that_was_emptied_and_has_grown_again_is_read_from_its_beginning() {
    let mut case = Case::new("grown");
    let looks = [
        ("first\n", "first\n"),
        ("again\n", "|again\n"),
        ("longer than before\n", "|longer than before\n"),
        ("", "|"),
        ("x\n", "x\n"),
    ];
    for (second, (text, news)) in (1..).zip(looks) {
        fs::write(case.path(0), text).unwrap();
        // Another moment than before, however coarse the clock of the file system is.
        let file = fs::File::options().append(true).open(case.path(0)).unwrap();
        let later = std::time::Duration::from_secs(second);
        file.set_modified(std::time::UNIX_EPOCH + later).unwrap();
        assert_eq!(case.news(), news);
    }
}

#[test]
fn any_number_of_rotations_between_two_looks_loses_and_doubles_nothing() {
    for rotations in 0..8 {
        let mut case = Case::new(&format!("rotated-{rotations}"));
        case.append("before");
        case.rotate(4);
        case.append("0 ");
        case.track.stand_at(&[], None).unwrap();
        // From the end on, with one older file that was there before.
        case.track.stand_at_end().unwrap();
        let mut expected = String::new();
        for number in 1..=rotations {
            case.append(&format!("{number} "));
            case.rotate(9);
            expected += &format!("{number} ");
        }
        case.append("end");
        expected += "end";
        assert_eq!(case.news(), expected);
        assert_eq!(case.news(), "");
        case.append("!");
        assert_eq!(case.news(), "!");
    }
}

#[test]
fn where_the_open_file_was_dropped_the_oldest_unseen_one_is_next() {
    let mut case = Case::new("dropped");
    case.append("old");
    case.rotate(2);
    case.append("1 ");
    case.track.stand_at_end().unwrap();
    case.append("2 ");
    for number in 3..8 {
        case.rotate(2);
        case.append(&format!("{number} "));
    }
    // Files 3 and 4 are nowhere any more; those that are there may have the inodes of others that were seen.
    assert_eq!(case.news(), "2 |!5 6 7 ");
    case.rotate(2);
    case.append("8 ");
    assert_eq!(case.news(), "8 ");
}

#[test]
fn that_files_were_dropped_unread_is_said_once_as_long_as_it_goes_on() {
    let mut case = Case::new("outrun");
    case.append("a");
    assert_eq!(case.news(), "a");
    let outrun = |case: &Case| {
        (0..4).for_each(|_| {
            case.rotate(2);
            case.append("x");
        });
    };
    outrun(&case);
    assert_eq!(case.news(), "|!xxx");
    outrun(&case);
    assert_eq!(case.news(), "|xxx");
    case.append("b");
    assert_eq!(case.news(), "b");
    outrun(&case);
    assert_eq!(case.news(), "|!xxx");
    case.news();
    // Removed by somebody else, who has left an older one.
    fs::remove_file(case.path(0)).unwrap();
    case.append("c");
    assert_eq!(case.news(), "|c");
}

#[test]
fn the_files_that_a_link_has_led_to_are_beside_the_last_one() {
    let mut case = Case::new("link");
    let folder = case.folder.clone();
    fs::create_dir(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real/log", folder.join("between")).unwrap();
    std::os::unix::fs::symlink("between", folder.join("link")).unwrap();
    case.track = Track::new(folder.join("link"));
    case.folder = folder.join("real");
    case.append("1 ");
    assert_eq!(case.news(), "1 ");
    case.append("2 ");
    case.rotate(4);
    case.append("3 ");
    case.rotate(4);
    case.append("4 ");
    assert_eq!(case.news(), "2 3 4 ");
    let watcher = Watcher::new().unwrap();
    fs::remove_file(case.path(0)).unwrap();
    case.track.watch(&watcher).unwrap();
    case.append("5 ");
    assert!(hears(&mut case, &watcher));
    assert_eq!(case.news(), "|5 ");
    case.folder = folder;
}

#[test]
fn a_file_that_was_moved_to_another_name_is_read_to_its_end() {
    let mut case = Case::new("moved");
    case.append("seen");
    case.rotate(4);
    case.append("a");
    assert_eq!(case.news(), "seena");
    let mut moved = fs::File::options().append(true).open(case.path(0)).unwrap();
    fs::rename(case.path(0), case.folder.join("log-20261126")).unwrap();
    moved.write_all(b"b").unwrap();
    assert_eq!(case.news(), "b");
    case.append("d");
    moved.write_all(b"c").unwrap();
    assert_eq!(case.news(), "c|d");
    // Who writes it has not heard of the move yet.
    moved.write_all(b"late").unwrap();
    assert_eq!(case.news(), "late");
}

#[test]
fn a_rotation_that_is_half_done_is_waited_for() {
    let mut case = Case::new("half");
    case.append("a");
    assert_eq!(case.news(), "a");
    case.append("b");
    fs::rename(case.path(0), case.path(1)).unwrap();
    assert_eq!(case.news(), "b");
    case.append("c");
    fs::rename(case.path(1), case.path(2)).unwrap();
    fs::rename(case.path(0), case.path(1)).unwrap();
    assert_eq!(case.news(), "c");
    case.append("d");
    assert_eq!(case.news(), "d");
}

#[test]
fn of_what_is_new_only_the_end_is_read_where_that_is_wanted() {
    let mut case = Case::new("end");
    case.track = Track::new(case.path(0)).reading_at_most(4);
    case.append("0123456789");
    assert_eq!(case.news(), "6789");
    case.append("ab");
    assert_eq!(case.news(), "ab");
    case.append("cdefgh");
    assert_eq!(case.news(), "efgh");
}

/// Whether the track is concerned by what was done.
fn hears(case: &mut Case, watcher: &Watcher) -> bool {
    let mut concerned = false;
    for change in watcher.read().unwrap() {
        if case.track.is_concerned(&change) {
            concerned = true;
            case.track.hear(&change, watcher).unwrap();
        }
    }
    concerned
}

#[test]
fn a_file_is_told_of_by_its_folder_and_a_folder_by_the_one_above() {
    let mut case = Case::new("watched");
    let watcher = Watcher::new().unwrap();
    let deep = case.folder.join("x/y");
    case.track = Track::new(deep.join("log"));
    case.track.watch(&watcher).unwrap();
    fs::write(case.folder.join("log"), "").unwrap();
    assert!(!hears(&mut case, &watcher));
    fs::create_dir(case.folder.join("x")).unwrap();
    assert!(hears(&mut case, &watcher));
    fs::create_dir(&deep).unwrap();
    assert!(hears(&mut case, &watcher));
    fs::write(deep.join("log"), "a").unwrap();
    assert!(hears(&mut case, &watcher));
    assert_eq!(case.news(), "a");
    fs::write(deep.join("logs"), "").unwrap();
    assert!(!hears(&mut case, &watcher));
    fs::write(deep.join("log.1"), "").unwrap();
    assert!(hears(&mut case, &watcher));
    // The folder is moved away, and another one takes its place.
    fs::rename(&deep, case.folder.join("x/z")).unwrap();
    assert!(hears(&mut case, &watcher));
    fs::create_dir(&deep).unwrap();
    assert!(hears(&mut case, &watcher));
    fs::write(deep.join("log"), "b").unwrap();
    assert!(hears(&mut case, &watcher));
    assert_eq!(case.news(), "|b");
}
