//! Resolving a path component by component, as root.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::text::Text;
use super::{Control, Place, error};
use crate::sys::at::{self, Base};
use crate::sys::rights::{self, Acting, Rights};

/// The most symbolic links in a path. `path_resolution(7)`
const MOST_LINKS: usize = 40;

/// The state of resolving a path.
pub(super) struct Walk {
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
    pub(super) fn new(path: &Path, make: bool) -> io::Result<Walk> {
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

    pub(super) fn run(mut self) -> io::Result<Place> {
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
