//! Control groups, version 2: where the daemon may create them, and the group of a program. `cgroups(7)`, the kernel's
//! `admin-guide/cgroup-v2`, and systemd's `CGROUP_DELEGATION`.
//!
//! No controller is enabled. A group only records which processes belong to a program.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::pid::Pid;
use super::user;

/// The most groups that are visited below one group, itself included.
const MOST_GROUPS: usize = 1000;

/// The prefix of the name of a daemon's group.
pub const PREFIX: &str = "rpmd.";

/// The directory of a process's cgroup, from its `/proc/PID/mountinfo` and `/proc/PID/cgroup`. `None` if the hierarchy of
/// version 2 is not mounted, or the mount does not show the group.
pub fn folder_of(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    // The kernel appends this to the path of a group that was removed.
    let own = own.strip_suffix(" (deleted)").unwrap_or(own);
    if own.split('/').any(|part| part == "..") {
        return None;
    }
    mountinfo.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        if rest.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (root, mount) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(if below.as_os_str().is_empty() {
            PathBuf::from(mount)
        } else {
            Path::new(&mount).join(below)
        })
    })
}

/// Decodes a path of `mountinfo`, in which spaces and backslashes are `\` and three octal digits.
/// `proc_pid_mountinfo(5)`
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..3).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (byte, part.get(3..)) {
            (Some(byte), Some(rest)) => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            _ => plain.push_str(part),
        }
    }
    plain
}

/// Whether systemd delegated a cgroup to its processes. The nearest marked directory decides: the groups below a user
/// manager, which is marked too, belong to that manager. If the mark cannot be read (before systemd 251 only root can),
/// a group that was delegated to the user of a system service is recognized by its owner.
fn is_delegated(folder: &Path, is_marked: impl Fn(&Path) -> bool, is_owned: bool) -> bool {
    let names_manager = |path: &Path| {
        let name = path.file_name().map(OsStrExt::as_bytes);
        name.is_some_and(|name| name.starts_with(b"user@"))
    };
    match folder.ancestors().find(|path| is_marked(path)) {
        Some(path) => !names_manager(path),
        None => is_owned && !folder.ancestors().any(names_manager),
    }
}

/// The directory of this process's group, if systemd, where it runs, permits groups below it. The kernel may still
/// refuse.
pub fn own_folder() -> Option<PathBuf> {
    let read = |path| fs::read_to_string(path).ok();
    let folder = folder_of(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)?;
    // As sd_booted(3) does.
    if !Path::new("/run/systemd/system").exists() {
        return Some(folder);
    }
    let uid = user::effective_uid();
    let is_owned = uid != 0 && fs::metadata(&folder).is_ok_and(|meta| meta.uid() == uid);
    is_delegated(&folder, is_marked, is_owned).then_some(folder)
}

fn is_marked(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 8];
        // SAFETY: both strings end in NUL; the kernel writes at most the given number of bytes.
        let length = unsafe {
            libc::getxattr(
                path.as_ptr(),
                name.as_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        length == 1 && value.first() == Some(&b'1')
    })
}

/// The parent of the outermost daemon's group above a group, if there is one. A process in such a group is part of a
/// program.
pub fn outside_of(folder: &Path) -> Option<&Path> {
    let is_daemons = |path: &&Path| {
        let name = path.file_name().map(OsStrExt::as_bytes);
        name.is_some_and(|name| name.starts_with(PREFIX.as_bytes()))
    };
    folder.ancestors().filter(is_daemons).last()?.parent()
}

/// A control group, by its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// The group of this directory, which need not exist.
    pub fn at(folder: PathBuf) -> Cgroup {
        Cgroup(folder)
    }

    /// Its directory.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Whether a path of `/proc/PID/cgroup` is this group or one below it.
    pub fn has(&self, path: &str) -> bool {
        let path = Path::new(path);
        path.ancestors()
            .any(|above| match (above.file_name(), above.parent()) {
                // The names of the daemon's and the program's group suffice: a cgroup namespace may hide those above.
                (Some(own), Some(parent)) => {
                    self.0.file_name() == Some(own)
                        && self.0.parent().and_then(Path::file_name) == parent.file_name()
                }
                _ => false,
            })
    }

    /// Creates it.
    ///
    /// # Errors
    /// As `mkdir(2)`; `AlreadyExists` if it exists.
    pub fn make(&self) -> io::Result<()> {
        fs::create_dir(&self.0)
    }

    /// Whether it exists and is a group of version 2.
    pub fn exists(&self) -> bool {
        self.0.join("cgroup.events").is_file()
    }

    /// The file to which a process writes "0" to join it.
    pub fn members_file(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Moves this process there.
    ///
    /// # Errors
    /// `EACCES` if the process may not write to the common ancestor of both groups.
    pub fn join(&self) -> io::Result<()> {
        fs::write(self.members_file(), "0")
    }

    /// Whether it or a group below it has a live process. A removed group has none.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn is_populated(&self) -> io::Result<bool> {
        match fs::read_to_string(self.0.join("cgroup.events")) {
            Ok(text) => Ok(!text.lines().any(|line| line == "populated 0")),
            Err(e) if is_gone(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The processes in it and below it.
    ///
    /// # Errors
    /// A list cannot be read, or it has processes of a pid namespace that is not visible here, whose pids read as 0.
    pub fn pids(&self) -> io::Result<Vec<Pid>> {
        let mut found = Vec::new();
        for folder in self.folders() {
            let text = match fs::read_to_string(folder.join("cgroup.procs")) {
                Ok(text) => text,
                Err(e) if is_gone(&e) => continue,
                // A threaded group has no list of processes; the group above has them. `cgroups(7)`
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => continue,
                Err(e) => return Err(e),
            };
            for line in text.lines() {
                let pid = line.parse().ok().and_then(Pid::new);
                let hidden =
                    || io::Error::other("its cgroup has processes of another pid namespace");
                found.push(pid.ok_or_else(hidden)?);
            }
        }
        Ok(found)
    }

    /// Kills all processes in it and below it, including those being forked. Linux 5.14
    ///
    /// # Errors
    /// `NotFound` if the kernel does not support it or the group does not exist.
    pub fn kill(&self) -> io::Result<()> {
        use std::io::Write;
        let mut options = fs::File::options();
        // Unlike `fs::write`, this does not try to create the file.
        let mut file = options.write(true).open(self.0.join("cgroup.kill"))?;
        file.write_all(b"1")
    }

    /// Removes it and the groups below it, unless one has a live process.
    pub fn remove(&self) {
        if self.is_populated().unwrap_or(true) {
            return;
        }
        for folder in self.folders().into_iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }

    /// Its directory and those below, a parent before its children.
    fn folders(&self) -> Vec<PathBuf> {
        let mut all = vec![self.0.clone()];
        let mut at = 0;
        while let Some(folder) = all.get(at).filter(|_| all.len() < MOST_GROUPS) {
            // A directory has two links and one for each subdirectory; most programs create none.
            let leaf = fs::metadata(folder).is_ok_and(|meta| meta.nlink() == 2);
            if !leaf {
                let entries = fs::read_dir(folder).into_iter().flatten().flatten();
                let below = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
                let below: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
                all.extend(below);
            }
            at += 1;
        }
        all
    }
}

fn is_gone(error: &io::Error) -> bool {
    // ENODEV: the group was removed while the file was open.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_group_of_a_process_is_found_below_the_mount() {
        let folder = |mounts: &str, own: &str| {
            folder_of(mounts, own).map(|path| path.to_str().unwrap().to_owned())
        };
        let root = "9:name=systemd:/\n1:cpu:/\n0::/\n";
        assert_eq!(folder(HYBRID, root).unwrap(), "/sys/fs/cgroup/unified");
        assert_eq!(
            folder(HYBRID, "0::/system.slice/x.service\n").unwrap(),
            "/sys/fs/cgroup/unified/system.slice/x.service"
        );
        assert_eq!(
            folder(HYBRID, "0::/a b (deleted)\n").unwrap(),
            "/sys/fs/cgroup/unified/a b"
        );
        // Only a part of the hierarchy is mounted.
        let part = "9 1 0:38 /docker/1 /sys/fs/c\\040g ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
        assert_eq!(folder(part, "0::/docker/1\n").unwrap(), "/sys/fs/c g");
        assert_eq!(folder(part, "0::/docker/1/x\n").unwrap(), "/sys/fs/c g/x");
        assert_eq!(folder(part, "0::/docker/12\n"), None);
        assert_eq!(
            folder(HYBRID, "0::/../other\n"),
            None,
            "outside of the namespace"
        );
        assert_eq!(folder(HYBRID, "1:cpu:/\n"), None, "version 1 alone");
        assert_eq!(folder("", root), None);
        assert_eq!(folder("nonsense\n - cgroup2 x\n", root), None);
    }

    #[test]
    fn only_delegated_groups_are_used() {
        let service = Path::new("/sys/fs/cgroup/system.slice/x.service");
        let inner = Path::new("/sys/fs/cgroup/system.slice/x.service/main");
        let users = Path::new("/s/user-7.slice/user@7.service/app.slice/a.scope");
        let marked = |path: &Path| path == service;
        let nobody = |_: &Path| false;
        let manager = |path: &Path| path.ends_with("user@7.service");
        assert!(is_delegated(service, marked, false));
        assert!(is_delegated(inner, marked, false));
        assert!(!is_delegated(service, nobody, false));
        assert!(is_delegated(service, nobody, true), "systemd before 251");
        assert!(
            !is_delegated(users, manager, true),
            "it is the user manager's"
        );
        assert!(!is_delegated(users, nobody, true));
        let own = |path: &Path| manager(path) || path.ends_with("a.scope");
        assert!(is_delegated(users, own, true), "by the user manager");
    }

    #[test]
    fn a_nested_daemon_uses_the_parent_of_the_outermost_daemon() {
        let outside = |path: &str| outside_of(Path::new(path)).map(Path::to_owned);
        assert_eq!(outside("/c/a.service"), None);
        assert_eq!(
            outside("/c/a.service/rpmd.1-2/7"),
            Some("/c/a.service".into())
        );
        assert_eq!(outside("/c/rpmd.1-2/7/rpmd.1-3/0"), Some("/c".into()));
    }

    #[test]
    fn paths_in_and_outside_the_group_are_told_apart() {
        let group = Cgroup::at("/sys/fs/cgroup/unified/rpmd.1-2/7".into());
        for (path, is) in [
            ("/rpmd.1-2/7", true),
            ("/system.slice/x.service/rpmd.1-2/7/of-its-own", true),
            ("/rpmd.1-2/70", false),
            ("/rpmd.1-3/7", false),
            ("/7", false),
            ("/", false),
            ("", false),
        ] {
            assert_eq!(group.has(path), is, "{path}");
        }
    }

    #[test]
    fn a_real_group_is_created_joined_killed_and_removed() {
        let Some(own) = own_folder() else { return };
        let group = Cgroup::at(own.join(format!("rpm-test-{}", std::process::id())));
        assert!(!group.is_populated().unwrap() && !group.exists());
        assert_eq!(group.pids().unwrap(), []);
        if group.make().is_err() {
            return;
        }
        assert!(group.exists() && !group.is_populated().unwrap());
        let below = Cgroup::at(group.folder().join("below"));
        below.make().unwrap();
        let file = below.members_file();
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", "echo 0 >\"$0\"; exec sleep 1000"])
            .arg(file);
        let mut child = shell.spawn().unwrap();
        while !group.is_populated().unwrap() {
            std::thread::yield_now();
        }
        assert_eq!(
            group.pids().unwrap(),
            [Pid::new(child.id() as i32).unwrap()]
        );
        group.remove();
        assert!(below.exists(), "it has a process");
        if let Err(e) = group.kill() {
            assert_eq!(e.kind(), io::ErrorKind::NotFound);
            child.kill().unwrap();
        }
        child.wait().unwrap();
        assert!(!group.is_populated().unwrap());
        group.remove();
        assert!(!group.folder().exists());
    }
}
