use super::child::put_number;
use super::*;
use crate::sys::checksum::{fnv1a, hex};
use crate::sys::memory_log::MemoryLog;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{fifo, wait};
use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder, and what programs are given.
struct Scene(PathBuf, Vec<OwnedFd>);

impl Scene {
    fn new(name: &str) -> Scene {
        let folder = std::env::temp_dir().join(format!("rpm-spawn-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        fifo::make(&folder.join("out")).unwrap();
        fifo::make(&folder.join("err")).unwrap();
        Scene(folder, Vec::new())
    }

    fn path(&self, name: &str) -> CString {
        c_path(&self.0.join(name))
    }

    fn plan(&self, words: &[&str]) -> Plan {
        Plan {
            programs: vec![CString::new(words[0]).unwrap()],
            argv: words.iter().map(|w| CString::new(*w).unwrap()).collect(),
            env: vec![c"A=1".to_owned()],
            script: None,
            cgroup: None,
            cwd: c_path(Path::new("/usr")),
            umask: 0o027,
            stdout: self.path("out"),
            stderr: self.path("err"),
            id: 7,
            run: u32::MAX,
            logs: Vec::new(),
            pid_folders: Vec::new(),
            pid_file: Some(self.path("app.pid")),
            nofile: fd::nofile_limit().unwrap(),
            nice: 3,
            listen_pid: false,
        }
    }

    /// Runs a plan to its end: what was reported, what was printed.
    fn run(&self, plan: &Plan) -> (Report, String) {
        fd::sweep_cloexec();
        crate::sys::signal::reset_all();
        for old in ["pid", "app.pid"] {
            let _ = std::fs::remove_file(self.0.join(old));
        }
        let out = fifo::open(&self.0.join("out")).unwrap();
        let [null, listener, lock] = [(); 3].map(|()| fd::open_null().unwrap());
        let list = MemoryLog::new("rpm-test", 0).unwrap();
        let inherited = Inherited {
            null: null.as_fd(),
            listener: listener.as_fd(),
            list: list.fd(),
            given: &self.1,
            lock: lock.as_fd(),
        };
        let spawned = spawn(plan, inherited).unwrap();
        let mut set = PollSet::default();
        set.push(spawned.report.as_fd(), Interest::READ, ());
        set.wait(None).unwrap();
        let report = read_report(spawned.report.as_fd());
        wait::wait_for(spawned.pid).unwrap();
        let mut text = vec![0; 1 << 16];
        let n = fd::read(out.as_fd(), &mut text).unwrap_or(0);
        let record = String::from_utf8(list.read().unwrap().1).unwrap();
        if !record.is_empty() {
            let start = format!("pid id=7 pid={} start=", spawned.pid);
            assert!(record.starts_with(&start), "{record}");
            let (line, sum) = record.trim_end().rsplit_once(" sum=").unwrap();
            assert_eq!(sum.as_bytes(), hex(fnv1a(line.as_bytes())));
            assert!(line.ends_with(&format!(" run={}", plan.run)), "{line}");
            if let Ok(shown) = std::fs::read_to_string(self.0.join("app.pid")) {
                assert_eq!(shown, format!("{}\n", spawned.pid));
            }
        }
        (report, String::from_utf8(text[..n].to_vec()).unwrap())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[test]
fn a_program_sees_a_clean_world() {
    let scene = Scene::new("clean");
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | head -n 3; umask; pwd; echo $A; \
                  echo $$; cut -d ' ' -f 5,6 /proc/$$/stat";
    let (report, text) = scene.run(&scene.plan(&["/bin/sh", "-c", script]));
    assert!(matches!(report, Report::Executed));
    let lines: Vec<&str> = text.lines().collect();
    let zero = "0000000000000000";
    assert_eq!(lines[0], format!("SigBlk:\t{zero}"));
    assert_eq!(lines[1], format!("SigIgn:\t{zero}"));
    // ls itself has one more open, for the folder it lists.
    assert_eq!(lines[2..7], ["0", "1", "2", "0027", "/usr"]);
    assert_eq!(lines[7], "1");
    assert_eq!(
        lines[9],
        format!("{0} {0}", lines[8]),
        "its own group and session"
    );
}

#[test]
fn the_step_that_failed_is_named() {
    let scene = Scene::new("fails");
    let script = scene.0.join("script");
    std::fs::write(&script, "#!/nothere/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let plain = scene.0.join("plain");
    std::fs::write(&plain, "").unwrap();
    let case = |words: &[&str], change: &dyn Fn(&mut Plan)| {
        let mut plan = scene.plan(words);
        change(&mut plan);
        match scene.run(&plan).0 {
            Report::Failed { stage, reason, .. } => (stage, reason.raw_os_error().unwrap()),
            other => panic!("{words:?}: {other:?}"),
        }
    };
    let same = |_: &mut Plan| {};
    assert_eq!(case(&["/nothere"], &same), (Stage::Program, libc::ENOENT));
    assert_eq!(case(&["/tmp"], &same), (Stage::Program, libc::EISDIR));
    assert_eq!(
        case(&[plain.to_str().unwrap()], &same),
        (Stage::Program, libc::EACCES)
    );
    assert_eq!(
        case(&[script.to_str().unwrap()], &same),
        (Stage::Interpreter, libc::ENOENT)
    );
    let nowhere = |plan: &mut Plan| plan.cwd = c"/nothere".to_owned();
    assert_eq!(
        case(&["/bin/true"], &nowhere),
        (Stage::Directory, libc::ENOENT)
    );
    let script = |path: &'static CStr| move |plan: &mut Plan| plan.script = Some(path.to_owned());
    assert_eq!(
        case(&["/bin/sh"], &script(c"/nothere.sh")),
        (Stage::Script, libc::ENOENT)
    );
    assert_eq!(
        case(&["/bin/sh"], &script(c"/tmp")),
        (Stage::Script, libc::EISDIR)
    );
    let no_fifo = |plan: &mut Plan| plan.stdout = c"/nothere/out".to_owned();
    assert_eq!(
        case(&["/bin/true"], &no_fifo),
        (Stage::Stdout, libc::ENOENT)
    );
    let no_pid_file = |plan: &mut Plan| plan.pid_file = Some(c"/nothere/pid".to_owned());
    assert_eq!(
        case(&["/bin/true"], &no_pid_file),
        (Stage::PidFile, libc::ENOENT)
    );
}

#[test]
fn a_command_is_looked_for_along_the_path() {
    let scene = Scene::new("path");
    let mut plan = scene.plan(&["/nothere/echo", "x"]);
    plan.programs.push(c"/bin/echo".to_owned());
    let (report, text) = scene.run(&plan);
    assert!(matches!(report, Report::Executed));
    assert_eq!(text, "x\n");
}

#[test]
fn numbers_are_written_without_allocating() {
    for number in [0, 7, 10, 4711, u64::MAX] {
        let mut text = [0; 24];
        let end = put_number(&mut text, 0, number);
        assert_eq!(&text[..end], number.to_string().as_bytes());
    }
}

#[test]
fn what_is_given_is_found_from_3_on_whatever_its_numbers_were() {
    let mut scene = Scene::new("given");
    for text in ["one", "two", "three"] {
        let (out, into) = fd::pipe().unwrap();
        fd::write(into.as_fd(), text.as_bytes()).unwrap();
        scene.1.push(out);
    }
    scene.1.reverse();
    let script =
        "cat <&3 && cat <&4 && cat <&5 && [ $LISTEN_PID = $$ ] && ls -l /proc/$$/fd | grep -c :";
    let mut plan = scene.plan(&["/bin/sh", "-c", script]);
    plan.listen_pid = true;
    plan.env.push(c"PATH=/usr/bin:/bin".to_owned());
    let (report, text) = scene.run(&plan);
    assert!(matches!(report, Report::Executed), "{report:?}");
    // 0, 1, 2, what was given, and nothing else.
    assert_eq!(
        text,
        "threetwoone0\n".replace('0', &text[text.len() - 2..text.len() - 1])
    );
    plan.programs = vec![c"/proc/none".to_owned()];
    let (report, _) = scene.run(&plan);
    assert!(
        matches!(
            report,
            Report::Failed {
                stage: Stage::Program,
                ..
            }
        ),
        "{report:?}"
    );
}
