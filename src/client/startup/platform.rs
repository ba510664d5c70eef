//! The table of inits: how each is known, where its file of a service goes, and what makes it start the service.

use std::path::PathBuf;

use super::service::Service;
use super::text;

/// What shows that an init runs here.
#[derive(Debug, Clone, Copy)]
pub enum Sign {
    /// A file that it makes while the machine starts.
    Made(&'static str),
    /// The name of process 1.
    First(&'static str),
    /// A file that it makes below `XDG_RUNTIME_DIR` when the user logs in.
    Session(&'static str),
}

/// A command line. `NAME` stands for the name of the service, `FOLDER` for the folder of its file, and a command with
/// `SCANNED` is run for each of [`Platform::scanned`] that is in use.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// It is run in any case.
    Always(&'static str),
    /// It is run where this init runs; without it there is nothing to tell.
    Running(&'static str),
}

use Act::{Always, Running};
use Sign::{First, Made, Session};

/// One row. For a removal the order is `stop`, the links go, `release`, the file goes, `forget`.
pub struct Platform {
    /// The name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Whether the file is for root to write.
    pub for_root: bool,
    /// Whether its service waits for the end of a daemon that runs already.
    pub stands_by: bool,
    /// Any of these shows that it runs here.
    signs: &'static [Sign],
    /// Where the file goes. `CONFIG` stands for the user's folder of settings.
    pub file: &'static str,
    /// The mode of the file.
    pub mode: u32,
    /// What makes the text of the file.
    pub text: fn(&Service) -> String,
    /// Folders that the init scans for services; a link in them enables one. Those that exist get one.
    pub scanned: &'static [&'static str],
    /// After the file was written.
    pub enable: &'static [Act],
    /// Before anything is removed.
    pub stop: &'static [Act],
    /// When no link is left.
    pub release: &'static [Act],
    /// When the file is gone.
    pub forget: &'static [Act],
    /// What is left to know.
    pub remark: &'static str,
}

/// Every platform, in the order in which they are looked for: SysV's process 1 is called as that of others.
#[rustfmt::skip]
pub const PLATFORMS: &[Platform] = &[
    // sd_booted(3): the folder is there where systemd is the init.
    Platform { name: "systemd", aliases: &[], for_root: true, stands_by: true, signs: &[Made("/run/systemd/system")],
        file: "/etc/systemd/system/NAME.service", mode: 0o644, text: text::systemd, scanned: &[],
        enable: &[Running("systemctl daemon-reload"), Always("systemctl enable NAME.service"),
                  Running("systemctl start NAME.service")],
        stop: &[Running("systemctl stop NAME.service"), Always("systemctl disable NAME.service")],
        release: &[], forget: &[Running("systemctl daemon-reload")], remark: "" },
    Platform { name: "openrc", aliases: &[], for_root: true, stands_by: true, signs: &[Made("/run/openrc/softlevel")],
        file: "/etc/init.d/NAME", mode: 0o755, text: text::openrc, scanned: &[],
        enable: &[Always("rc-update add NAME default"), Running("rc-service NAME start")],
        stop: &[Running("rc-service NAME stop"), Always("rc-update delete NAME default")],
        release: &[], forget: &[], remark: "" },
    // Debian and Void have the folder in runsvdir, which the others there are links to; elsewhere it is one of these.
    Platform { name: "runit", aliases: &[], for_root: true, stands_by: true, signs: &[First("runit"), First("runsvdir")],
        file: "/etc/sv/NAME/run", mode: 0o755, text: text::runit,
        scanned: &["/etc/runit/runsvdir/default", "/etc/service", "/var/service", "/service"],
        enable: &[], stop: &[Running("sv -w 600 stop FOLDER")], release: &[Running("sv -v -w 60 exit FOLDER")], forget: &[],
        remark: "" },
    // s6-linux-init copies the first of these to the second, on a tmpfs, at each boot.
    Platform { name: "s6", aliases: &[], for_root: true, stands_by: true, signs: &[First("s6-svscan")],
        file: "/etc/s6/sv/NAME/run", mode: 0o755, text: text::s6,
        scanned: &["/etc/s6-linux-init/current/run-image/service", "/run/service", "/etc/service", "/service"],
        enable: &[Running("s6-svscanctl -a SCANNED")], stop: &[Running("s6-svc -wD -d FOLDER")],
        release: &[Running("s6-svscanctl -an SCANNED")], forget: &[], remark: "" },
    Platform { name: "sysv", aliases: &["sysvinit", "systemv"], for_root: true, stands_by: false, signs: &[First("init")],
        file: "/etc/init.d/NAME", mode: 0o755, text: text::sysv, scanned: &[],
        enable: &[Always("update-rc.d NAME defaults"), Running("/etc/init.d/NAME start")],
        stop: &[Running("/etc/init.d/NAME stop")], release: &[], forget: &[Always("update-rc.d NAME remove")],
        remark: "" },
    Platform { name: "systemd-user", aliases: &[], for_root: false, stands_by: true, signs: &[Session("systemd/private")],
        file: "CONFIG/systemd/user/NAME.service", mode: 0o644, text: text::systemd_user, scanned: &[],
        enable: &[Running("systemctl --user daemon-reload"), Always("systemctl --user enable NAME.service"),
                  Running("systemctl --user start NAME.service")],
        stop: &[Running("systemctl --user stop NAME.service"), Always("systemctl --user disable NAME.service")],
        release: &[], forget: &[Running("systemctl --user daemon-reload")],
        remark: "it starts when you log in and ends when you have logged out; loginctl enable-linger has it start at \
                 boot and stay" },
];

/// The platform of this name or alias.
pub fn find(word: &str) -> Option<&'static Platform> {
    PLATFORMS
        .iter()
        .find(|platform| platform.name == word || platform.aliases.contains(&word))
}

/// The names, for a sentence.
pub fn names() -> String {
    let names: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
    names.join(", ")
}

/// Where signs are looked for.
#[derive(Debug, Default)]
pub struct Scene {
    /// The root folder.
    pub root: PathBuf,
    /// The name of process 1.
    pub first: String,
    /// `XDG_RUNTIME_DIR`.
    pub session: Option<PathBuf>,
}

impl Scene {
    /// This machine and session.
    pub fn here() -> Scene {
        let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
        Scene {
            root: PathBuf::from("/"),
            first: first.trim_end().to_owned(),
            session: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    /// The path below the root folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The platform of the init that runs here.
    pub fn detect(&self) -> Option<&'static Platform> {
        PLATFORMS.iter().find(|platform| self.runs(platform))
    }

    /// Whether this init runs here.
    pub fn runs(&self, platform: &Platform) -> bool {
        platform.signs.iter().any(|sign| match sign {
            Made(path) => self.path(path).exists(),
            First(name) => *name == self.first,
            Session(path) => {
                let session = self.session.as_ref();
                session.is_some_and(|folder| folder.join(path).exists())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_init_is_known_by_what_it_makes_or_by_its_name() {
        let root = std::env::temp_dir().join(format!("rpm-init-{}", std::process::id()));
        let found = |first: &str| {
            let scene = Scene {
                root: root.clone(),
                first: first.to_owned(),
                session: Some(root.join("session")),
            };
            scene.detect().map(|platform| platform.name)
        };
        assert_eq!(found("sh"), None);
        assert_eq!(found("runit"), Some("runit"));
        assert_eq!(found("s6-svscan"), Some("s6"));
        assert_eq!(found("init"), Some("sysv"));
        fs::create_dir_all(root.join("session/systemd/private")).unwrap();
        assert_eq!(found("sh"), Some("systemd-user"));
        fs::create_dir_all(root.join("run/openrc/softlevel")).unwrap();
        assert_eq!(found("init"), Some("openrc"));
        fs::create_dir_all(root.join("run/systemd/system")).unwrap();
        assert_eq!(found("systemd"), Some("systemd"));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_platform_has_one_row_and_its_other_names_lead_to_it() {
        for (at, platform) in PLATFORMS.iter().enumerate() {
            for word in [&[platform.name], platform.aliases].concat() {
                assert_eq!(find(word).unwrap().name, platform.name);
            }
            assert!(PLATFORMS[at + 1..].iter().all(|p| p.name != platform.name));
        }
        assert!(find("upstart").is_none());
    }
}
