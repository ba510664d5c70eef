//! As root: whatever another user places in a path, no file of root is changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::*;

/// The uid of the owner of untrusted directories.
const THEM: u32 = 4321;

/// A file of root that must not change, and a directory that another user owns or may write to.
struct Scene {
    folder: PathBuf,
    ours: PathBuf,
    theirs: PathBuf,
    before: (u32, u32, u32, Vec<u8>),
}

impl Scene {
    fn new(name: &str) -> Option<Scene> {
        if !rights::is_root() {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("rpm-place-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let theirs = folder.join("theirs");
        fs::create_dir_all(&theirs).unwrap();
        fs::create_dir(folder.join("private")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let ours = folder.join("private/ours");
        fs::write(&ours, "kept").unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o640)).unwrap();
        let mut scene = Scene {
            folder,
            ours,
            theirs,
            before: (0, 0, 0, Vec::new()),
        };
        scene.before = scene.now();
        Some(scene)
    }

    fn now(&self) -> (u32, u32, u32, Vec<u8>) {
        let meta = fs::metadata(&self.ours).unwrap();
        let text = fs::read(&self.ours).unwrap();
        (meta.uid(), meta.gid(), meta.mode(), text)
    }

    /// Makes `theirs` one kind of untrusted directory: of another user, or of root and writable by others.
    fn as_kind(&self, kind: &str) {
        let (uid, mode) = match kind {
            "theirs" => (THEM, 0o755),
            "sticky" => (0, 0o1777),
            "group" => (0, 0o775),
            _ => (0, 0o777),
        };
        chown(&self.theirs, Some(uid), Some(THEM)).unwrap();
        fs::set_permissions(&self.theirs, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Places an obstacle at `theirs/log` or `theirs/log.1`, and returns the path to act on.
    fn obstacle(&self, kind: &str, what: &str) -> PathBuf {
        fs::remove_dir_all(&self.theirs).unwrap();
        fs::create_dir(&self.theirs).unwrap();
        let link = |target: &Path, at: &Path, uid| {
            symlink(target, at).unwrap();
            std::os::unix::fs::lchown(at, Some(uid), Some(uid)).unwrap();
        };
        let path = self.theirs.join("log");
        let private = self.folder.join("private");
        match what {
            "link" => link(&self.ours, &path, THEM),
            "link of root" => link(&self.ours, &path, 0),
            "hard link" => fs::hard_link(&self.ours, &path).unwrap(),
            "older link" => {
                fs::write(&path, "x").unwrap();
                chown(&path, Some(THEM), None).unwrap();
                link(&self.ours, &self.theirs.join("log.1"), THEM);
            }
            "folder swapped" => {
                link(&private, &self.theirs.join("sub"), THEM);
                self.as_kind(kind);
                return self.theirs.join("sub/ours");
            }
            "fifo" => {
                super::super::fifo::make(&path).unwrap();
            }
            _ => {}
        }
        self.as_kind(kind);
        path
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

type Act = (&'static str, fn(&Path) -> io::Result<()>);

const ACTS: [Act; 9] = [
    ("append", |path| {
        use std::io::Write;
        let opened = Place::make(path)?.open(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT)?;
        { opened.file }.write_all(b"more")
    }),
    ("empty", |path| {
        Place::find(path)?.open(libc::O_WRONLY)?.file.set_len(0)
    }),
    ("overwrite", |path| {
        use std::os::unix::fs::FileExt;
        let opened = Place::find(path)?.open(libc::O_WRONLY | libc::O_CREAT)?;
        opened.file.write_all_at(b"1\n", 0)?;
        opened.file.set_len(2)
    }),
    ("make a folder", |path| {
        Place::make(&path.join("x/y")).map(drop)
    }),
    ("rotate", |path| {
        let place = Place::find(path)?;
        place.renumber(1, 2)?;
        place.renumber(0, 1)
    }),
    ("rotate and create", |path| {
        let place = Place::find(path)?;
        place.renumber(0, 1)?;
        let opened = place.open(libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT)?;
        place.permit(&opened.file, 0o777)
    }),
    ("permit", |path| {
        let place = Place::find(path)?;
        let opened = place.open(libc::O_WRONLY)?;
        place.permit(&opened.file, 0o777)
    }),
    ("remove", remove),
    ("remove older", |path| Place::find(path)?.remove_older(1)),
];

#[test]
fn no_file_of_root_changes_whatever_the_obstacle() {
    let Some(scene) = Scene::new("table") else {
        return;
    };
    let obstacles = [
        "link",
        "link of root",
        "hard link",
        "older link",
        "folder swapped",
        "fifo",
    ];
    for kind in ["theirs", "sticky", "group", "open"] {
        for what in obstacles {
            for (name, act) in ACTS {
                let path = scene.obstacle(kind, what);
                let done = act(&path);
                assert_eq!(
                    scene.now(),
                    scene.before,
                    "{kind}: {what}: {name}: {done:?}"
                );
                let private = fs::read_dir(scene.folder.join("private")).unwrap();
                assert_eq!(private.count(), 1, "{kind}: {what}: {name}: {done:?}");
                let opens = ["append", "empty", "overwrite", "permit"].contains(&name);
                let leads_out = !["older link", "fifo"].contains(&what);
                assert!(
                    !opens || !leads_out || done.is_err(),
                    "{kind}: {what}: {name}"
                );
            }
        }
    }
}

#[test]
fn files_created_in_a_directory_of_a_user_belong_to_that_user() {
    let Some(scene) = Scene::new("made") else {
        return;
    };
    let path = scene.obstacle("theirs", "nothing");
    let path = path.with_file_name("a").join("b/log");
    let append = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    let place = Place::make(&path).unwrap();
    assert_eq!(place.rights(), Rights::Of(THEM));
    let opened = place.open(append).unwrap();
    assert!(opened.made);
    for made in [
        path.as_path(),
        path.parent().unwrap(),
        &scene.theirs.join("a"),
    ] {
        assert_eq!(made.metadata().unwrap().uid(), THEM, "{made:?}");
    }
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    // A file of root from an earlier release, with one hard link.
    chown(&path, Some(0), Some(0)).unwrap();
    assert!(!place.open(append).unwrap().made);
    place.renumber(0, 1).unwrap();
    assert!(place.open(append).unwrap().made);
    assert_eq!(path.metadata().unwrap().uid(), THEM);
    // A link of the user to a file of the user is followed.
    let link = scene.theirs.join("link");
    symlink("a/../a/b/log", &link).unwrap();
    let place = Place::find(&link).unwrap();
    assert_eq!((place.path(), place.rights()), (&*path, Rights::Of(THEM)));
    place.open(append).unwrap();
}

#[test]
fn in_a_shared_directory_of_root_the_owner_of_a_file_decides() {
    let Some(scene) = Scene::new("shared") else {
        return;
    };
    let append = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    for kind in ["sticky", "group", "open"] {
        let path = scene.obstacle(kind, "nothing");
        let opened = Place::make(&path).unwrap().open(append).unwrap();
        assert!(opened.made && opened.file.metadata().unwrap().uid() == 0);
        let again = Place::make(&path).unwrap().open(append).unwrap();
        assert!(!again.made);
        chown(&path, Some(THEM), Some(THEM)).unwrap();
        let place = Place::find(&path).unwrap();
        assert_eq!(place.rights(), Rights::Of(THEM));
        place.open(append).unwrap();
        // Replaced between find and open.
        let place = Place::find(&path.with_file_name("other")).unwrap();
        fs::rename(&path, path.with_file_name("other")).unwrap();
        let why = place.open(append).unwrap_err();
        assert_eq!(why.raw_os_error(), Some(libc::EPERM), "{kind}");
    }
}

#[test]
fn a_trusted_path_is_resolved_as_the_kernel_does() {
    let Some(scene) = Scene::new("trusted") else {
        return;
    };
    let private = scene.folder.join("private");
    symlink("private", scene.folder.join("sub")).unwrap();
    symlink(&scene.ours, private.join("link")).unwrap();
    let place = Place::find(&scene.folder.join("theirs/./..//sub/link")).unwrap();
    assert_eq!((place.path(), place.rights()), (&*scene.ours, Rights::Own));
    place.open(libc::O_WRONLY).unwrap();
    symlink("loop", private.join("loop")).unwrap();
    for (path, errno) in [
        ("private/loop", libc::ELOOP),
        ("private/none/x", libc::ENOENT),
        ("private/ours/x", libc::ENOTDIR),
        ("private/ours/", libc::ENOTDIR),
        ("private/..", libc::EISDIR),
    ] {
        let why = Place::find(&scene.folder.join(path)).unwrap_err();
        assert_eq!(why.raw_os_error(), Some(errno), "{path}");
    }
    // An open pipe has no path.
    let (_read, write) = super::super::fd::pipe().unwrap();
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let place = Place::find(Path::new(&path)).unwrap();
    place.open(libc::O_WRONLY).unwrap();
}
