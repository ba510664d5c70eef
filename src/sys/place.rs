//! A user-supplied path, resolved with the rights that apply to it.
//!
//! The owner of a directory can replace its contents at any moment. So root walks a path directory by directory, holds
//! each by a descriptor, and checks its owner:
//!
//! - A directory of root that only root can write to is trusted, and so is a symbolic link of root in it.
//! - From the first directory of another user on, all operations are done with the rights of that user, see
//!   [`super::rights`]. So a link there reaches only what that user may access.
//! - In a directory of root that others can write to (`/tmp`), the rights of the owner of a file, directory or link
//!   apply, as above. A link of root is not followed, and a file of root with several hard links not opened: another
//!   user may have placed it there.
//!
//! For other users, the kernel's own checks suffice. [`Place::find`], [`Place::open`] and [`Place::remove`] do not
//! allocate, so a child may call them between fork and exec.

use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::at::{self, Base, Stat};
use super::rights::{self, Acting, Rights};

mod create;
#[cfg(test)]
mod tests;
mod text;

use text::Text;

/// The most symbolic links in a path. `path_resolution(7)`
const MOST_LINKS: usize = 40;
/// The most attempts to open a file that is created and removed meanwhile.
const TRIES: usize = 4;

/// A resolved path.
#[derive(Debug)]
pub struct Place {
    /// The directory of the file. `None`: the kernel resolves the path.
    folder: Option<OwnedFd>,
    /// The rights that apply there.
    rights: Rights,
    control: Control,
    /// The path; without symbolic links if there is a `folder`.
    path: Text,
    /// The offset of the file name in `path`.
    name: usize,
    /// The name is a magic link to an open file, which only the kernel can follow. `proc_pid_fd(5)`
    magic: bool,
}

/// Who can change the contents of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Only root.
    Root,
    /// Other users too.
    Shared,
    /// The user whose rights apply, who owns it.
    Owner,
    /// Another user than the one whose rights apply.
    Other,
}

/// An opened file.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Whether it was created by this call.
    pub made: bool,
}

fn error(errno: libc::c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Place {
    /// Resolves a path with all symbolic links. The file need not exist; its directory must.
    ///
    /// # Errors
    /// As `path_resolution(7)`; `EPERM` if the rights of another user cannot be assumed.
    pub fn find(path: &Path) -> io::Result<Place> {
        Place::look(path, false)
    }

    /// Resolves a path, and creates missing directories with mode 0700.
    ///
    /// # Errors
    /// As [`Place::find`], and as `mkdirat(2)`.
    pub fn make(path: &Path) -> io::Result<Place> {
        Place::look(path, true)
    }

    fn look(path: &Path, make: bool) -> io::Result<Place> {
        if rights::is_root() {
            return Walk::new(path, make)?.run();
        }
        if make {
            let folder = path.parent().unwrap_or(path);
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Place {
            folder: None,
            rights: Rights::Own,
            control: Control::Root,
            path: Text::of(path.as_os_str().as_bytes())?,
            name: 0,
            magic: false,
        })
    }

    /// The path; without symbolic links if this process is root.
    pub fn path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(self.path.bytes()))
    }

    /// The rights that apply to this path.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    fn base(&self) -> Base<'_> {
        match &self.folder {
            Some(folder) => Base::Folder(folder.as_fd()),
            None => Base::Working,
        }
    }

    fn name(&self) -> io::Result<&CStr> {
        self.path.name(self.name)
    }

    /// The name of a rotated file; 0 is the file itself.
    fn older(&self, number: u32) -> io::Result<CString> {
        let mut name = self.name()?.to_bytes().to_vec();
        if number > 0 {
            name.extend_from_slice(format!(".{number}").as_bytes());
        }
        Ok(CString::new(name)?)
    }

    /// Opens the file without blocking. With O_CREAT it is created with mode 0600 if it does not exist.
    ///
    /// # Errors
    /// As `openat(2)`; `EPERM` or `ELOOP` if another user may have placed it there.
    pub fn open(&self, flags: libc::c_int) -> io::Result<Opened> {
        let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
        let follow = self.folder.is_none() || self.magic;
        let flags = flags | if follow { 0 } else { libc::O_NOFOLLOW };
        let acting = self.rights.take()?;
        for _ in 0..TRIES {
            match self.open_there(flags & !libc::O_CREAT) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                Err(e) => return self.open_roots(flags, e, acting),
                Ok(file) => return Ok(Opened { file, made: false }),
            }
            if flags & libc::O_CREAT == 0 {
                return Err(error(libc::ENOENT));
            }
            match at::open(self.base(), self.name()?, flags | libc::O_EXCL, 0o600) {
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {}
                Err(e) => return Err(e),
                Ok(file) => {
                    let file = file.into();
                    return Ok(Opened { file, made: true });
                }
            }
        }
        if !follow {
            return Err(error(libc::EEXIST));
        }
        // A dangling symbolic link.
        let file = at::open(self.base(), self.name()?, flags, 0o600)?.into();
        Ok(Opened { file, made: true })
    }

    /// Opens an existing file.
    fn open_there(&self, flags: libc::c_int) -> io::Result<File> {
        let file = at::open(self.base(), self.name()?, flags, 0)?;
        if self.control == Control::Shared {
            let stat = at::stat(file.as_fd())?;
            // Another user replaced it, or made a hard link to another file.
            if !rights::is_roots(stat.uid) || stat.links > 1 {
                return Err(error(libc::EPERM));
            }
        }
        Ok(file.into())
    }

    /// Opens a file of root in the directory of a user who may not open it, if it has no other hard link. The user could
    /// remove it, and gains access to no other file.
    fn open_roots(&self, flags: libc::c_int, why: io::Error, acting: Acting) -> io::Result<Opened> {
        drop(acting);
        let denied = why.raw_os_error() == Some(libc::EACCES);
        if !denied || self.control != Control::Owner {
            return Err(why);
        }
        let is_meant =
            |stat: Stat| stat.is_regular() && rights::is_roots(stat.uid) && stat.links == 1;
        if !at::stat_at(self.base(), self.name()?).is_ok_and(is_meant) {
            return Err(why);
        }
        let flags = flags & !libc::O_CREAT;
        let file = at::open(self.base(), self.name()?, flags, 0)?;
        if at::stat(file.as_fd()).is_ok_and(is_meant) {
            let file = file.into();
            Ok(Opened { file, made: false })
        } else {
            Err(why)
        }
    }

    /// Whether a file created here belongs to the user of this process.
    pub fn is_own(&self) -> bool {
        self.rights == Rights::Own
    }

    /// Sets the permissions of a file that was created here, with the rights that apply here, so it fails on a file of
    /// another user.
    ///
    /// # Errors
    /// As `fchmod(2)`; `EPERM` if the rights cannot be assumed.
    pub fn permit(&self, file: &File, mode: u32) -> io::Result<()> {
        let _acting = self.rights.take()?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    }

    /// Whether only this user and root can replace the file.
    pub fn is_trusted(&self) -> bool {
        self.rights == Rights::Own && self.control == Control::Root
    }

    /// The status of the file, or of a rotated file; 0 is the file itself.
    ///
    /// # Errors
    /// As `fstatat(2)`; `EPERM` if the rights cannot be assumed.
    pub fn stat(&self, older: u32) -> io::Result<Stat> {
        let _acting = self.rights.take()?;
        at::stat_at(self.base(), &self.older(older)?)
    }

    /// Renames a rotated file to another number; 0 is the file itself.
    ///
    /// # Errors
    /// As `renameat(2)`; `EPERM` if the rights cannot be assumed.
    pub fn renumber(&self, from: u32, to: u32) -> io::Result<()> {
        let (from, to) = (self.older(from)?, self.older(to)?);
        let _acting = self.rights.take()?;
        at::rename(self.base(), &from, &to)
    }

    /// Removes a rotated file.
    ///
    /// # Errors
    /// As `unlinkat(2)`; `EPERM` if the rights cannot be assumed.
    pub fn remove_older(&self, number: u32) -> io::Result<()> {
        let name = self.older(number)?;
        let _acting = self.rights.take()?;
        at::remove(self.base(), &name)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// As `unlinkat(2)`; `EPERM` if the rights cannot be assumed.
    pub fn remove(&self) -> io::Result<()> {
        let _acting = self.rights.take()?;
        at::remove(self.base(), self.name()?)
    }
}

/// Opens a file that a user named, for reading.
///
/// # Errors
/// As [`Place::find`] and [`Place::open`].
pub fn read(path: &Path) -> io::Result<File> {
    Ok(Place::find(path)?.open(libc::O_RDONLY)?.file)
}

/// Opens a file for reading whose path was resolved earlier, with these rights.
///
/// # Errors
/// As [`read`].
pub fn read_as(path: &Path, rights: Rights) -> io::Result<File> {
    let place = Place::find(path)?;
    if place.rights == rights {
        return Ok(place.open(libc::O_RDONLY)?.file);
    }
    let _acting = rights.take()?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    Ok(at::open(Base::Working, place.path.name(0)?, flags, 0)?.into())
}

/// Removes a file that a user named.
///
/// # Errors
/// As [`Place::find`] and [`Place::remove`].
pub fn remove(path: &Path) -> io::Result<()> {
    Place::find(path)?.remove()
}

/// Explains an error of this module, to be appended to it: why root may not do this here. Empty for other errors.
pub fn hint(why: &io::Error) -> &'static str {
    let ours = [libc::EPERM, libc::EACCES, libc::ELOOP];
    if rights::is_root() && why.raw_os_error().is_some_and(|e| ours.contains(&e)) {
        " (in a folder that another user can write to, rpm uses that user's rights instead of root's, and follows no link of root)"
    } else {
        ""
    }
}

/// The state of resolving a path.
struct Walk {
    folder: OwnedFd,
    /// The path of `folder`, without symbolic links.
    walked: Text,
    /// The rest of the path.
    rest: Text,
    rights: Rights,
    acting: Option<Acting>,
    links: usize,
    make: bool,
}

/// The result of resolving one component.
enum Step {
    On,
    There { control: Control, magic: bool },
}

const FOLDER: libc::c_int = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;

impl Walk {
    fn new(path: &Path, make: bool) -> io::Result<Walk> {
        let rest = Text::of(path.as_os_str().as_bytes())?;
        if !path.is_absolute() {
            return Err(error(libc::EINVAL));
        }
        Ok(Walk {
            folder: at::open(Base::Working, c"/", FOLDER, 0)?,
            walked: Text::of(b"/")?,
            rest,
            rights: Rights::Own,
            acting: None,
            links: 0,
            make,
        })
    }

    fn run(mut self) -> io::Result<Place> {
        loop {
            let component = self.rest.take_component()?;
            let name = component.name(0)?;
            let last = self.rest.bytes().is_empty();
            match name.to_bytes() {
                // A directory, not a file name.
                b"" | b"." | b".." if last => return Err(error(libc::EISDIR)),
                b"." => continue,
                b".." => {
                    self.folder = at::open(Base::Folder(self.folder.as_fd()), c"..", FOLDER, 0)?;
                    self.walked.drop_component();
                    continue;
                }
                _ => {}
            }
            if let Step::There { control, magic } = self.step(name, last)? {
                let at = self.walked.push_component(name.to_bytes())?;
                return Ok(Place {
                    folder: Some(self.folder),
                    rights: self.rights,
                    control,
                    path: self.walked,
                    name: at,
                    magic,
                });
            }
        }
    }

    /// Who can change the current directory. At the first directory of another user, assumes that user's rights.
    fn control(&mut self) -> io::Result<Control> {
        let stat = at::stat(self.folder.as_fd())?;
        let others = rights::is_root() && !rights::is_roots(stat.uid);
        match self.rights {
            Rights::Own if others => {
                self.act_as(stat.uid)?;
                Ok(Control::Owner)
            }
            Rights::Own if stat.mode & 0o022 != 0 => Ok(Control::Shared),
            Rights::Own => Ok(Control::Root),
            Rights::Of(uid) if stat.uid == uid => Ok(Control::Owner),
            Rights::Of(_) => Ok(Control::Other),
        }
    }

    fn act_as(&mut self, uid: u32) -> io::Result<()> {
        self.rights = Rights::Of(uid);
        self.acting = Some(self.rights.take()?);
        Ok(())
    }

    fn step(&mut self, name: &CStr, last: bool) -> io::Result<Step> {
        let control = self.control()?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let there = |control| Step::There {
            control,
            magic: false,
        };
        let mut found = at::open(Base::Folder(self.folder.as_fd()), name, flags, 0);
        let missing =
            |e: &io::Result<OwnedFd>| matches!(e, Err(e) if e.raw_os_error() == Some(libc::ENOENT));
        if missing(&found) && last {
            return Ok(there(control));
        }
        if missing(&found) && self.make {
            let base = Base::Folder(self.folder.as_fd());
            match at::make_folder(base, name, 0o700) {
                Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
                _ => found = at::open(base, name, flags, 0),
            }
        }
        let found = found?;
        let stat = at::stat(found.as_fd())?;
        let mut control = control;
        let others = !rights::is_roots(stat.uid);
        match control {
            // The owner may have created the link while others could write to the directory.
            Control::Root if others && stat.is_link() => self.act_as(stat.uid)?,
            Control::Shared if others => {
                self.act_as(stat.uid)?;
                control = Control::Other;
            }
            Control::Shared if stat.is_link() => return Err(error(libc::ELOOP)),
            _ => {}
        }
        if stat.is_link() {
            return self.follow(&found, last, control);
        }
        if last {
            return Ok(there(control));
        }
        if !stat.is_folder() {
            return Err(error(libc::ENOTDIR));
        }
        self.walked.push_component(name.to_bytes())?;
        self.folder = found;
        Ok(Step::On)
    }

    fn follow(&mut self, link: &OwnedFd, last: bool, control: Control) -> io::Result<Step> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(error(libc::ELOOP));
        }
        let target = Text::of_link(link.as_fd())?;
        // A magic link such as `pipe:[123]`. `proc_pid_fd(5)`
        if last && control == Control::Root && target.bytes().ends_with(b"]") {
            return Ok(Step::There {
                control,
                magic: true,
            });
        }
        if target.bytes().starts_with(b"/") {
            self.folder = at::open(Base::Working, c"/", FOLDER, 0)?;
            self.walked = Text::of(b"/")?;
        }
        self.rest = target.before(&self.rest)?;
        Ok(Step::On)
    }
}
