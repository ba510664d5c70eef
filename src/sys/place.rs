//! A user-supplied path, resolved with the rights that apply to it.
//!
//! The owner of a folder can replace its contents at any moment. So root walks a path folder by folder, holds each by a
//! descriptor, and checks its owner:
//!
//! - A folder of root's that nobody else can write to is trusted, and so is a link of root's in it.
//! - From the first folder of another user on, everything is done with the rights of that user, see
//!   [`super::rights`]: a link there reaches only what that user may reach.
//! - In a folder of root's that others can write to (`/tmp`), a file, folder or link belongs to its owner, as above. A
//!   link of root's there is not followed, and a file of root's with several names not opened: anybody may have put it
//!   there.
//!
//! For any other user, the kernel's own checks suffice. Nothing in [`Place::find`], [`Place::open`] and
//! [`Place::remove`] allocates, so that a child between fork and exec may use them.

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

/// How many links a path may lead over. `path_resolution(7)`
const MOST_LINKS: usize = 40;
/// How often a file that comes and goes is tried to be opened.
const TRIES: usize = 4;

/// Where a path leads.
#[derive(Debug)]
pub struct Place {
    /// The folder; none: the kernel looks the path up.
    folder: Option<OwnedFd>,
    /// Whose rights count there.
    rights: Rights,
    control: Control,
    /// The path, free of links where there is a folder.
    path: Text,
    /// Where in it the name begins.
    name: usize,
    /// The name is a link that only the kernel can follow, to an open file in `/proc`.
    magic: bool,
}

/// Who can change what a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Root alone.
    Root,
    /// Others as well.
    Shared,
    /// The user whose rights are taken, and it is that user's folder.
    Owner,
    /// It was reached with the rights of a user, and is somebody else's.
    Other,
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Whether it was made by this.
    pub made: bool,
}

fn error(errno: libc::c_int) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Place {
    /// Where a path leads, over all links. The file need not be there; its folder must.
    pub fn find(path: &Path) -> io::Result<Place> {
        Place::look(path, false)
    }

    /// The same, and makes the folders that are missing, mode 0700.
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

    /// The path, without any link in it where this process is root.
    pub fn path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(self.path.bytes()))
    }

    /// Whose rights count here.
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

    /// The name of an older one of a log file.
    fn older(&self, number: u32) -> io::Result<CString> {
        let mut name = self.name()?.to_bytes().to_vec();
        if number > 0 {
            name.extend_from_slice(format!(".{number}").as_bytes());
        }
        Ok(CString::new(name)?)
    }

    /// Opens the file. With O_CREAT it is made where it is missing, mode 0600; never is a FIFO or a terminal waited
    /// for.
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
        // A link that leads to nothing.
        let file = at::open(self.base(), self.name()?, flags, 0o600)?.into();
        Ok(Opened { file, made: true })
    }

    /// Opens what is there.
    fn open_there(&self, flags: libc::c_int) -> io::Result<File> {
        let file = at::open(self.base(), self.name()?, flags, 0)?;
        if self.control == Control::Shared {
            let stat = at::stat(file.as_fd())?;
            // Somebody has exchanged it, or given another file this name.
            if !rights::is_roots(stat.uid) || stat.links > 1 {
                return Err(error(libc::EPERM));
            }
        }
        Ok(file.into())
    }

    /// In the folder of a user, opens a file of root's that the user may not open, if it lies nowhere else: the user
    /// can remove it, and reaches no other file by it.
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

    /// Whether what is made here belongs to this user.
    pub fn is_own(&self) -> bool {
        self.rights == Rights::Own
    }

    /// Gives a file that was made here these permissions, with the rights that count here: no file that belongs to
    /// anybody else can get them.
    pub fn permit(&self, file: &File, mode: u32) -> io::Result<()> {
        let _acting = self.rights.take()?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    }

    /// Whether nobody but this user and root can put anything in its place.
    pub fn is_trusted(&self) -> bool {
        self.rights == Rights::Own && self.control == Control::Root
    }

    /// What is there: of the file, or of an older one of a log file.
    pub fn stat(&self, older: u32) -> io::Result<Stat> {
        let _acting = self.rights.take()?;
        at::stat_at(self.base(), &self.older(older)?)
    }

    /// Gives an older one of a log file the number of another; 0 is the file itself.
    pub fn renumber(&self, from: u32, to: u32) -> io::Result<()> {
        let (from, to) = (self.older(from)?, self.older(to)?);
        let _acting = self.rights.take()?;
        at::rename(self.base(), &from, &to)
    }

    /// Removes an older one of a log file.
    pub fn remove_older(&self, number: u32) -> io::Result<()> {
        let name = self.older(number)?;
        let _acting = self.rights.take()?;
        at::remove(self.base(), &name)
    }

    /// Removes the file.
    pub fn remove(&self) -> io::Result<()> {
        let _acting = self.rights.take()?;
        at::remove(self.base(), self.name()?)
    }
}

/// Opens a file for reading that a user named.
pub fn read(path: &Path) -> io::Result<File> {
    Ok(Place::find(path)?.open(libc::O_RDONLY)?.file)
}

/// The same where a path was found with these rights, free of links.
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
pub fn remove(path: &Path) -> io::Result<()> {
    Place::find(path)?.remove()
}

/// What to say behind an error of an operation on a place: why root may not do what root may do elsewhere.
pub fn hint(why: &io::Error) -> &'static str {
    let ours = [libc::EPERM, libc::EACCES, libc::ELOOP];
    if rights::is_root() && why.raw_os_error().is_some_and(|e| ours.contains(&e)) {
        " (in a folder that another user can write to, root acts with that user's rights and follows no link of its own)"
    } else {
        ""
    }
}

/// A path while it is looked up.
struct Walk {
    folder: OwnedFd,
    /// The way to it.
    way: Text,
    /// What is left of the path.
    rest: Text,
    rights: Rights,
    acting: Option<Acting>,
    links: usize,
    make: bool,
}

/// What became of a step.
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
            way: Text::of(b"/")?,
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
                // No file has such a name.
                b"" | b"." | b".." if last => return Err(error(libc::EISDIR)),
                b"." => continue,
                b".." => {
                    self.folder = at::open(Base::Folder(self.folder.as_fd()), c"..", FOLDER, 0)?;
                    self.way.drop_component();
                    continue;
                }
                _ => {}
            }
            if let Step::There { control, magic } = self.step(name, last)? {
                let at = self.way.push_component(name.to_bytes())?;
                return Ok(Place {
                    folder: Some(self.folder),
                    rights: self.rights,
                    control,
                    path: self.way,
                    name: at,
                    magic,
                });
            }
        }
    }

    /// Who can change what this folder holds. From another user's folder on, that user's rights are all there is.
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
            // Whoever made it may have made it when others could write to the folder.
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
        self.way.push_component(name.to_bytes())?;
        self.folder = found;
        Ok(Step::On)
    }

    fn follow(&mut self, link: &OwnedFd, last: bool, control: Control) -> io::Result<Step> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(error(libc::ELOOP));
        }
        let target = Text::of_link(link.as_fd())?;
        // `pipe:[123]`: what is open in a process, `proc(5)`.
        if last && control == Control::Root && target.bytes().ends_with(b"]") {
            return Ok(Step::There {
                control,
                magic: true,
            });
        }
        if target.bytes().starts_with(b"/") {
            self.folder = at::open(Base::Working, c"/", FOLDER, 0)?;
            self.way = Text::of(b"/")?;
        }
        self.rest = target.before(&self.rest)?;
        Ok(Step::On)
    }
}
