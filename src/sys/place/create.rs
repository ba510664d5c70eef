//! Checks that a file can be created, for a caller that creates it later.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::Place;
use crate::sys::at;

impl Place {
    /// Checks whether a file may be created here.
    pub fn check_create(&self) -> io::Result<()> {
        let _acting = self.rights.take()?;
        let folder = self.path().parent().filter(|_| self.folder.is_none());
        let folder = folder.map_or(&b"."[..], |folder| folder.as_os_str().as_bytes());
        at::check_write(self.base(), &CString::new(folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_can_be_created_in_a_folder_that_can_be_written() {
        let folder = std::env::temp_dir().join(format!("rpm-create-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x");
        Place::find(&path).unwrap().check_create().unwrap();
        assert!(!path.exists());
        if !crate::sys::rights::is_root() {
            fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
            let error = Place::find(&path).unwrap().check_create().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
