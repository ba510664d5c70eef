use super::*;
use std::fs;
use std::io::Write;

/// A log file in a folder of its own, and what of it has been read.
struct Case {
    folder: PathBuf,
    tail: Tail,
}

impl Case {
    fn new(name: &str) -> Case {
        let folder = std::env::temp_dir().join(format!("rpm-tail-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let tail = Tail::new(folder.join("log"));
        Case { folder, tail }
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

    fn read(&mut self) -> String {
        let mut read = Vec::new();
        let done = self.tail.read_new(&mut |piece| {
            match piece {
                Piece::Bytes(bytes) => read.extend_from_slice(bytes),
                Piece::Break => read.extend_from_slice(b"|"),
                Piece::Dropped => read.extend_from_slice(b"!"),
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
    assert_eq!(case.read(), "");
    case.append("late\n");
    assert_eq!(case.read(), "late\n");
    case.append("one\n");
    assert_eq!(case.read(), "one\n");
    fs::write(case.path(0), "2\n").unwrap();
    assert_eq!(case.read(), "|2\n");
    let mut old = fs::File::options().append(true).open(case.path(0)).unwrap();
    fs::write(case.folder.join("new"), "new\n").unwrap();
    fs::rename(case.folder.join("new"), case.path(0)).unwrap();
    old.write_all(b"old\n").unwrap();
    assert_eq!(case.read(), "old\n|new\n");
}

#[test]
fn a_file_that_was_truncated_and_has_grown_again_is_read_from_its_beginning() {
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
        assert_eq!(case.read(), news);
    }
}

#[test]
fn any_number_of_rotations_between_two_reads_loses_and_doubles_nothing() {
    for rotations in 0..8 {
        let mut case = Case::new(&format!("rotated-{rotations}"));
        case.append("before");
        case.rotate(4);
        case.append("0 ");
        case.tail.start_at(&[], None).unwrap();
        // From the end on, with one older file that was there before.
        case.tail.start_at_end().unwrap();
        let mut expected = String::new();
        for number in 1..=rotations {
            case.append(&format!("{number} "));
            case.rotate(9);
            expected += &format!("{number} ");
        }
        case.append("end");
        expected += "end";
        assert_eq!(case.read(), expected);
        assert_eq!(case.read(), "");
        case.append("!");
        assert_eq!(case.read(), "!");
    }
}

#[test]
fn where_the_open_file_was_dropped_the_oldest_unseen_one_is_next() {
    let mut case = Case::new("dropped");
    case.append("old");
    case.rotate(2);
    case.append("1 ");
    case.tail.start_at_end().unwrap();
    case.append("2 ");
    for number in 3..8 {
        case.rotate(2);
        case.append(&format!("{number} "));
    }
    // Files 3 and 4 are nowhere any more; those that are there may have the inodes of others that were seen.
    assert_eq!(case.read(), "2 |!5 6 7 ");
    case.rotate(2);
    case.append("8 ");
    assert_eq!(case.read(), "8 ");
}

#[test]
fn dropped_files_are_reported_once_as_long_as_that_goes_on() {
    let mut case = Case::new("outrun");
    case.append("a");
    assert_eq!(case.read(), "a");
    let outrun = |case: &Case| {
        (0..4).for_each(|_| {
            case.rotate(2);
            case.append("x");
        });
    };
    outrun(&case);
    assert_eq!(case.read(), "|!xxx");
    outrun(&case);
    assert_eq!(case.read(), "|xxx");
    case.append("b");
    assert_eq!(case.read(), "b");
    outrun(&case);
    assert_eq!(case.read(), "|!xxx");
    case.read();
    // Removed by somebody else, who has left an older one.
    fs::remove_file(case.path(0)).unwrap();
    case.append("c");
    assert_eq!(case.read(), "|c");
}

#[test]
fn the_generations_of_a_linked_file_are_beside_its_target() {
    let mut case = Case::new("link");
    let folder = case.folder.clone();
    fs::create_dir(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real/log", folder.join("between")).unwrap();
    std::os::unix::fs::symlink("between", folder.join("link")).unwrap();
    case.tail = Tail::new(folder.join("link"));
    case.folder = folder.join("real");
    case.append("1 ");
    assert_eq!(case.read(), "1 ");
    case.append("2 ");
    case.rotate(4);
    case.append("3 ");
    case.rotate(4);
    case.append("4 ");
    assert_eq!(case.read(), "2 3 4 ");
    fs::remove_file(case.path(0)).unwrap();
    case.append("5 ");
    assert_eq!(case.read(), "|5 ");
    case.folder = folder;
}

#[test]
fn a_file_that_was_moved_to_another_name_is_read_to_its_end() {
    let mut case = Case::new("moved");
    case.append("seen");
    case.rotate(4);
    case.append("a");
    assert_eq!(case.read(), "seena");
    let mut moved = fs::File::options().append(true).open(case.path(0)).unwrap();
    fs::rename(case.path(0), case.folder.join("log-20261126")).unwrap();
    moved.write_all(b"b").unwrap();
    assert_eq!(case.read(), "b");
    case.append("d");
    moved.write_all(b"c").unwrap();
    assert_eq!(case.read(), "c|d");
    // Who writes it has not heard of the move yet.
    moved.write_all(b"late").unwrap();
    assert_eq!(case.read(), "late");
}

#[test]
fn a_rotation_that_is_half_done_is_followed() {
    let mut case = Case::new("half");
    case.append("a");
    assert_eq!(case.read(), "a");
    case.append("b");
    fs::rename(case.path(0), case.path(1)).unwrap();
    assert_eq!(case.read(), "b");
    case.append("c");
    fs::rename(case.path(1), case.path(2)).unwrap();
    fs::rename(case.path(0), case.path(1)).unwrap();
    assert_eq!(case.read(), "c");
    case.append("d");
    assert_eq!(case.read(), "d");
}

#[test]
fn only_the_end_of_what_is_new_is_read_with_a_limit() {
    let mut case = Case::new("end");
    case.tail = Tail::new(case.path(0)).at_most(4);
    case.append("0123456789");
    assert_eq!(case.read(), "6789");
    case.append("ab");
    assert_eq!(case.read(), "ab");
    case.append("cdefgh");
    assert_eq!(case.read(), "efgh");
}
