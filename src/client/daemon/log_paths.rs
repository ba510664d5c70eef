//! Log files that are links to a descriptor, such as `access.log -> /dev/stdout` in images of servers.
//!
//! The daemon takes such a path for its own output by its name alone: it follows no link, since the file system of a path
//! that a user named may hang. So the client sends where the link leads.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::model::spec::Spec;
use crate::protocol::request::Request;
use crate::sys::shared_output::{self, named};

/// The request with the descriptors in the place of links to them.
pub fn resolved(request: &Request) -> Cow<'_, Request> {
    let spec = match request {
        Request::Start { spec, .. } => spec,
        Request::Restart {
            told: Some(spec), ..
        } => spec,
        _ => return Cow::Borrowed(request),
    };
    let Some(spec) = without_links(spec) else {
        return Cow::Borrowed(request);
    };
    let mut request = request.clone();
    if let Request::Start { spec: old, .. }
    | Request::Restart {
        told: Some(old), ..
    } = &mut request
    {
        **old = spec;
    }
    Cow::Owned(request)
}

/// The program without such links; none where it names none.
fn without_links(spec: &Spec) -> Option<Spec> {
    let linked = |file: &[u8]| {
        let folder = Path::new(OsStr::from_bytes(&spec.cwd));
        let path = Some(file).filter(|file| !file.is_empty())?;
        shared_output::linked(&folder.join(OsStr::from_bytes(path)))
    };
    let files = [&spec.out_file, &spec.error_file, &spec.log_file].map(|file| linked(file));
    if files.iter().all(Option::is_none) {
        return None;
    }
    let mut spec = spec.clone();
    let old = [&mut spec.out_file, &mut spec.error_file, &mut spec.log_file];
    for (old, new) in old.into_iter().zip(files) {
        if let Some(new) = new {
            *old = new.into_os_string().into_vec();
        }
    }
    Some(spec)
}

/// Whether what a program has printed to this path can be read there, now or later: it is a file, or will be one. A FIFO or
/// a terminal has it no longer, and `/dev/stdout` is the daemon's to a program and another one to whoever reads it.
pub fn keeps_output(path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    if path.as_os_str().is_empty() || named(path).is_some() {
        return false;
    }
    path.metadata().map_or(true, |found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::Want;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_links_to_descriptors_are_replaced() {
        let folder = std::env::temp_dir().join(format!("rpm-links-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, to) in [
            ("access", "/dev/stdout"),
            ("again", "access"),
            ("other", "/dev/fd/7"),
            ("file", "x.log"),
        ] {
            let _ = std::fs::remove_file(folder.join(name));
            symlink(to, folder.join(name)).unwrap();
        }
        let sent = |out: &str, error: &str, both: &str| {
            let spec = Spec {
                cwd: folder.as_os_str().as_bytes().to_vec(),
                out_file: out.into(),
                error_file: error.into(),
                log_file: both.into(),
                ..Spec::default()
            };
            let start = Request::Start {
                spec: Box::new(spec),
                force: false,
                want: Want::Up,
            };
            match resolved(&start).into_owned() {
                Request::Start { spec, .. } => [spec.out_file, spec.error_file, spec.log_file]
                    .map(|file| String::from_utf8(file).unwrap()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            sent("access", "again", "other"),
            ["/dev/stdout", "/dev/stdout", "/dev/fd/7"]
        );
        for same in [["file", "new", ""], ["/dev/stdout", "NULL", "/dev/null"]] {
            let [out, error, both] = same;
            assert_eq!(sent(out, error, both), same);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
