//! Control groups, version 2: where the daemon may create them, and the group of a program. `cgroups(7)`, the kernel's
//! `admin-guide/cgroup-v2`, and for systemd its `CGROUP_DELEGATION`.
//!
//! No controller is enabled in them. They only record which processes belong together.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::pid::Pid;
use super::user;

/// How deep and how wide the groups below one are followed.
const MOST_GROUPS: usize = 1000;

/// What the first bytes of the name of a daemon's folder are.
pub const PREFIX: &str = "rpmd.";

/// The folder of a process's cgroup, from its `/proc/PID/mountinfo` and `/proc/PID/cgroup`; none where the hierarchy
/// of version 2 is not mounted, or its mount does not show the group.
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

/// A path of `mountinfo`, in which blanks and backslashes are three octal digits. `proc_pid_mountinfo(5)`
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

/// Whether systemd has handed a cgroup over to its processes. The nearest folder with the mark decides: the manager of
/// a user has one too, and what is below it is that manager's. Where the mark cannot be read (before systemd 251 only
/// root can), a folder that was given to the user of a system service is known by its owner.
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

/// The folder that this process may make groups in, as far as anybody but the kernel has a say; none where it may not.
pub fn own_folder() -> Option<PathBuf> {
    let read = |path| fs::read_to_string(path).ok();
    let folder = folder_of(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)?;
    // As sd_booted(3) has it.
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
        // SAFETY: both strings end in NUL, and the kernel writes at most the given number of bytes.
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

/// The group beside which a daemon's folder stands, if the process is in a group below one: such a process is part of
/// a program.
pub fn outside_of(folder: &Path) -> Option<&Path> {
    let is_daemons = |path: &&Path| {
        let name = path.file_name().map(OsStrExt::as_bytes);
        name.is_some_and(|name| name.starts_with(PREFIX.as_bytes()))
    };
    folder.ancestors().filter(is_daemons).last()?.parent()
}

/// One group, by its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// The group of this folder, whether it is there or not.
    pub fn at(folder: PathBuf) -> Cgroup {
        Cgroup(folder)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Whether a path of the hierarchy, as `/proc/PID/cgroup` has it, is this group or one below it.
    pub fn has(&self, path: &str) -> bool {
        let path = Path::new(path);
        path.ancestors()
            .any(|above| match (above.file_name(), above.parent()) {
                // Two names are enough, the daemon's and the program's: the namespace may hide what is above them.
                (Some(own), Some(parent)) => {
                    self.0.file_name() == Some(own)
                        && self.0.parent().and_then(Path::file_name) == parent.file_name()
                }
                _ => false,
            })
    }

    /// Makes it.
    ///
    /// # Errors
    /// As `mkdir(2)`; `AlreadyExists` where it is there.
    pub fn make(&self) -> io::Result<()> {
        fs::create_dir(&self.0)
    }

    /// Whether it is there, and a group of version 2.
    pub fn exists(&self) -> bool {
        self.0.join("cgroup.events").is_file()
    }

    /// The file that a process writes "0" to in order to join it.
    pub fn members_file(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Moves this process there.
    ///
    /// # Errors
    /// `EACCES` where the process may not write to the group above both.
    pub fn join(&self) -> io::Result<()> {
        fs::write(self.members_file(), "0")
    }

    /// Whether a process lives in it or below it. One that was removed is empty.
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
    /// A list could not be read, or has processes of a pid namespace that this process does not see: the kernel gives
    /// them no number.
    pub fn pids(&self) -> io::Result<Vec<Pid>> {
        let mut found = Vec::new();
        for folder in self.folders() {
            let text = match fs::read_to_string(folder.join("cgroup.procs")) {
                Ok(text) => text,
                Err(e) if is_gone(&e) => continue,
                // A group of threads has no list of its own: the group above has them. `cgroups(7)`
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

    /// Kills all in it and below it, those too that are forked meanwhile. Linux 5.14
    ///
    /// # Errors
    /// `NotFound` where the kernel cannot do it, or the group is not there.
    pub fn kill(&self) -> io::Result<()> {
        use std::io::Write;
        let mut options = fs::File::options();
        // Not made where it is missing: `fs::write` would try.
        let mut file = options.write(true).open(self.0.join("cgroup.kill"))?;
        file.write_all(b"1")
    }

    /// Removes it and what was made below it, if nothing lives there.
    pub fn remove(&self) {
        if self.is_populated().unwrap_or(true) {
            return;
        }
        for folder in self.folders().into_iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }

    /// Its folder and those below, a parent before its children.
    fn folders(&self) -> Vec<PathBuf> {
        let mut all = vec![self.0.clone()];
        let mut at = 0;
        while let Some(folder) = all.get(at).filter(|_| all.len() < MOST_GROUPS) {
            // A folder has two links and one for each folder in it: most programs make none.
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
    // A group that is removed while its file is open.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_folder_of_a_process_is_found_below_the_mount() {
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
        // A part of the hierarchy alone is mounted.
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
    fn only_what_systemd_delegates_is_used() {
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
    fn a_daemon_that_is_part_of_a_program_stands_beside_the_outermost_daemon() {
        let outside = |path: &str| outside_of(Path::new(path)).map(Path::to_owned);
        assert_eq!(outside("/c/a.service"), None);
        assert_eq!(
            outside("/c/a.service/rpmd.1-2/7"),
            Some("/c/a.service".into())
        );
        assert_eq!(outside("/c/rpmd.1-2/7/rpmd.1-3/0"), Some("/c".into()));
    }

    #[test]
    fn a_path_is_in_the_group_or_not() {
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
    fn a_group_of_this_kernel() {
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
        assert!(below.exists(), "somebody lives there");
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
