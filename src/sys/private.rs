//! Checks that a directory is private to this user, or creates one, so that no other user can interfere.
//!
//! Each directory on the path must belong to this user or to root, and only they may write to it. In a sticky directory
//! such as `/tmp`, where users can remove only their own files, the next component must belong to this user or to root,
//! and must not be a symbolic link: a link's owner need not be the user who placed it there.

use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::at::{self, Base, Stat};
use super::{rights, user};

/// The most symbolic links in a path. `path_resolution(7)`
const MOST_LINKS: usize = 40;

/// Why a directory is not private.
#[derive(Debug)]
pub enum Flaw {
    /// It, or a directory or link on its path, belongs to another user.
    Belongs {
        /// The directory or link.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may write to a directory on its path.
    Open {
        /// The directory.
        path: PathBuf,
        /// The group that may write; `None`: everybody.
        group: Option<u32>,
    },
    /// A symbolic link in a directory that others may write to.
    Link(PathBuf),
    /// A system call failed.
    Failed {
        /// The operation.
        doing: &'static str,
        /// Its subject.
        path: PathBuf,
        /// The error.
        why: io::Error,
    },
}

/// What [`find`] does about missing directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    Leave,
    /// Creates them with mode 0700.
    Make,
}

const FOLDER: libc::c_int = libc::O_PATH | libc::O_NOFOLLOW;

/// A directory on the path.
struct Walk {
    folder: OwnedFd,
    path: PathBuf,
}

/// Opens the private directory at an absolute path; `None` if it does not exist.
///
/// # Errors
/// It is not private, or cannot be opened.
pub fn find(path: &Path, missing: Missing) -> Result<Option<File>, Flaw> {
    let mut walk = Walk::begin()?;
    // Reversed: the next component is the last of the vector.
    let mut rest: Vec<CString> = components(path).map_err(|why| failed("looking at", path, why))?;
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name.as_bytes() == b".." {
            walk = walk.up()?;
            continue;
        }
        let sticky = walk.check()?;
        let here = walk.path.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let base = || Base::Folder(walk.folder.as_fd());
        let mut found = at::open(base(), &name, FOLDER, 0);
        if found.as_ref().is_err_and(is_missing) {
            if missing == Missing::Leave {
                return Ok(None);
            }
            match at::make_folder(base(), &name, 0o700) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("making", &here, e));
                }
                _ => found = at::open(base(), &name, FOLDER, 0),
            }
        }
        let found = found.map_err(|e| failed("looking at", &here, e))?;
        let stat = at::stat(found.as_fd()).map_err(|e| failed("looking at", &here, e))?;
        if sticky && stat.is_link() {
            return Err(Flaw::Link(here));
        }
        if !is_safe(stat.uid) {
            let uid = stat.uid;
            return Err(Flaw::Belongs { path: here, uid });
        }
        if stat.is_link() {
            links += 1;
            let target = read_link(&found).map_err(|e| failed("following", &here, e))?;
            if links > MOST_LINKS {
                let why = io::Error::from_raw_os_error(libc::ELOOP);
                return Err(failed("following", &here, why));
            }
            if target.is_absolute() {
                walk = Walk::begin()?;
            }
            rest.extend(components(&target).map_err(|e| failed("following", &here, e))?);
            continue;
        }
        if !stat.is_folder() {
            let why = io::Error::from_raw_os_error(libc::ENOTDIR);
            return Err(failed("looking at", &here, why));
        }
        walk = Walk {
            folder: found,
            path: here,
        };
    }
    walk.end().map(Some)
}

/// The components of a path in reverse order.
fn components(path: &Path) -> io::Result<Vec<CString>> {
    let mut all = Vec::new();
    for component in path.components() {
        if let Component::Normal(_) | Component::ParentDir = component {
            all.push(CString::new(component.as_os_str().as_bytes())?);
        }
    }
    all.reverse();
    Ok(all)
}

fn read_link(link: &OwnedFd) -> io::Result<PathBuf> {
    let mut buffer = vec![0; 4096];
    let length = at::read_link(link.as_fd(), &mut buffer)?;
    buffer.truncate(length);
    Ok(std::ffi::OsString::from_vec(buffer).into())
}

fn is_missing(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::NotFound
}

fn failed(doing: &'static str, path: &Path, why: io::Error) -> Flaw {
    let path = path.to_owned();
    Flaw::Failed { doing, path, why }
}

/// Whether a file of this owner can be trusted.
fn is_safe(uid: u32) -> bool {
    rights::is_roots(uid) || uid == user::effective_uid()
}

impl Walk {
    fn begin() -> Result<Walk, Flaw> {
        let path = PathBuf::from("/");
        let root = at::open(Base::Working, c"/", FOLDER, 0);
        let folder = root.map_err(|e| failed("looking at", &path, e))?;
        Ok(Walk { folder, path })
    }

    fn up(mut self) -> Result<Walk, Flaw> {
        self.path.pop();
        let above = at::open(Base::Folder(self.folder.as_fd()), c"..", FOLDER, 0);
        self.folder = above.map_err(|e| failed("looking at", &self.path, e))?;
        Ok(self)
    }

    fn stat(&self) -> Result<Stat, Flaw> {
        at::stat(self.folder.as_fd()).map_err(|e| failed("looking at", &self.path, e))
    }

    /// Fails if another user can change the contents of the directory. Returns whether others may add files, but not remove
    /// those of this user (sticky bit).
    fn check(&self) -> Result<bool, Flaw> {
        let Stat { uid, gid, mode, .. } = self.stat()?;
        let path = || self.path.clone();
        if !is_safe(uid) {
            return Err(Flaw::Belongs { path: path(), uid });
        }
        let everybody = mode & libc::S_IWOTH != 0;
        let own_group = gid == 0 || gid == user::effective_gid();
        let group = mode & libc::S_IWGRP != 0 && !own_group;
        if !everybody && !group {
            return Ok(false);
        }
        if mode & libc::S_ISVTX != 0 {
            return Ok(true);
        }
        let group = Some(gid).filter(|_| !everybody);
        Err(Flaw::Open {
            path: path(),
            group,
        })
    }

    fn is_empty(&self) -> Result<bool, Flaw> {
        let entries = std::fs::read_dir(&self.path);
        let mut entries = entries.map_err(|e| failed("reading", &self.path, e))?;
        Ok(entries.next().is_none())
    }

    /// Opens the last directory. One that others may write to, and that is not empty, may have files of theirs. A sticky one
    /// is meant to be shared, even if it is empty. An empty one without the sticky bit, such as a new volume of a
    /// container, is for the caller to close.
    fn end(self) -> Result<File, Flaw> {
        let Stat { uid, gid, mode, .. } = self.stat()?;
        if uid != user::effective_uid() {
            let path = self.path;
            return Err(Flaw::Belongs { path, uid });
        }
        match self.check() {
            Ok(false) => {}
            Ok(true) => {
                let group = Some(gid).filter(|_| mode & libc::S_IWOTH == 0);
                let path = self.path;
                return Err(Flaw::Open { path, group });
            }
            Err(Flaw::Open { .. }) if self.is_empty()? => {}
            Err(flaw) => return Err(flaw),
        }
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let folder = at::open(Base::Folder(self.folder.as_fd()), c".", flags, 0);
        let folder = folder.map_err(|e| failed("opening", &self.path, e))?;
        Ok(File::from(folder))
    }
}

/// Removes the permissions of group and others from a directory.
///
/// # Errors
/// As `fstat(2)` and `fchmod(2)`.
pub fn close_to_others(folder: &File) -> io::Result<()> {
    let mode = folder.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        folder.set_permissions(Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Creates a directory in a private one, with mode 0700, unless it exists.
///
/// # Errors
/// As `mkdirat(2)`; `ENOTDIR` if a file has its name.
pub fn make_in(folder: &File, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    let base = Base::Folder(folder.as_fd());
    match at::make_folder(base, &name, 0o700) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // A symbolic link of this user to a directory is fine.
            at::open(base, &name, libc::O_PATH | libc::O_DIRECTORY, 0).map(drop)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let folder =
                std::env::temp_dir().join(format!("rpm-private-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            Scratch(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn flaw(path: &Path) -> Flaw {
        match find(path, Missing::Make) {
            Err(flaw) => flaw,
            Ok(_) => panic!("{path:?} is taken for private"),
        }
    }

    #[test]
    fn missing_directories_are_created_and_own_links_followed() {
        let scratch = Scratch::new("made");
        let home = scratch.0.join("a/b/home");
        assert!(find(&home, Missing::Leave).unwrap().is_none());
        assert!(!scratch.0.join("a").exists());
        let folder = find(&home, Missing::Make).unwrap().unwrap();
        for made in ["a", "a/b", "a/b/home"] {
            let meta = scratch.0.join(made).metadata().unwrap();
            assert_eq!(meta.mode() & 0o7777, 0o700);
        }
        symlink("a/../a/b", scratch.0.join("link")).unwrap();
        let same = find(&scratch.0.join("./link//home"), Missing::Leave);
        let inode = |file: &File| file.metadata().unwrap().ino();
        assert_eq!(inode(&same.unwrap().unwrap()), inode(&folder));
        make_in(&folder, "logs").unwrap();
        make_in(&folder, "logs").unwrap();
        fs::write(home.join("run"), "").unwrap();
        assert!(make_in(&folder, "run").is_err());
        folder
            .set_permissions(Permissions::from_mode(0o755))
            .unwrap();
        close_to_others(&folder).unwrap();
        assert_eq!(home.metadata().unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_private_only_if_it_is_new() {
        let scratch = Scratch::new("shared");
        let home = scratch.0.join("home");
        fs::create_dir(&home).unwrap();
        let mode = |bits| fs::set_permissions(&home, Permissions::from_mode(bits)).unwrap();
        mode(0o777);
        find(&home, Missing::Make).unwrap().unwrap();
        for (bits, planted) in [(0o1777, false), (0o777, true), (0o1777, true)] {
            mode(bits);
            if planted {
                fs::write(home.join("list"), "").unwrap();
            }
            assert!(matches!(flaw(&home), Flaw::Open { path, group: None } if path == home));
            let found = home.metadata().unwrap().mode() & 0o7777;
            assert_eq!(found, bits, "it stays as it is");
        }
        mode(0o755);
        find(&home, Missing::Make).unwrap().unwrap();
    }

    #[test]
    fn nothing_is_created_where_others_could_interfere() {
        let scratch = Scratch::new("refused");
        let open = scratch.0.join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(flaw(&open.join("h")), Flaw::Open { path, group: None } if path == open));
        assert!(!open.join("h").exists());
        let sticky = scratch.0.join("sticky");
        fs::create_dir(&sticky).unwrap();
        fs::set_permissions(&sticky, Permissions::from_mode(0o1777)).unwrap();
        symlink(&scratch.0, sticky.join("link")).unwrap();
        assert!(matches!(flaw(&sticky.join("link")), Flaw::Link(_)));
        find(&sticky.join("h"), Missing::Make).unwrap().unwrap();
        if !rights::is_root() {
            return;
        }
        let them = |path: &Path| std::os::unix::fs::lchown(path, Some(4321), Some(4321)).unwrap();
        symlink(scratch.0.join("target"), scratch.0.join("theirs")).unwrap();
        them(&scratch.0.join("theirs"));
        fs::create_dir(scratch.0.join("target")).unwrap();
        fs::create_dir_all(scratch.0.join("alice/.rpm")).unwrap();
        them(&scratch.0.join("alice"));
        them(&sticky.join("h"));
        for (path, whose) in [
            ("theirs", "theirs"),
            ("alice/.rpm", "alice"),
            ("alice/new", "alice"),
            ("sticky/h", "sticky/h"),
        ] {
            let whose = scratch.0.join(whose);
            let found = flaw(&scratch.0.join(path));
            let is_meant = matches!(&found, Flaw::Belongs { path, uid: 4321 } if *path == whose);
            assert!(is_meant, "{path}: {found:?}");
        }
        assert!(!scratch.0.join("alice/new").exists());
        chown(&open, None, Some(4321)).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o775)).unwrap();
        assert!(matches!(
            flaw(&open.join("h")),
            Flaw::Open {
                group: Some(4321),
                ..
            }
        ));
    }
}
