//! Why a program could not be executed, as a sentence.

use std::io;

use crate::error::Reason;
use crate::model::command::Command;
use crate::paths::Home;
use crate::supervisor::program::Program;
use crate::sys::place;
use crate::sys::spawn::Stage;

/// Why a program could not be executed: the step, the path and the reason.
pub(crate) fn sentence(
    program: &Program,
    home: &Home,
    stage: Stage,
    which: usize,
    reason: &io::Error,
) -> String {
    let records = home.records(program.id);
    let command = Command::of(&program.spec);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = command
        .argv
        .first()
        .map(|word| text(word))
        .unwrap_or_default();
    let file = command
        .programs
        .get(which)
        .map(|file| text(file))
        .unwrap_or_default();
    let doing = match stage {
        Stage::Session => "starting a session".to_owned(),
        Stage::Cgroup => "joining its cgroup".to_owned(),
        Stage::Stdin => "opening /dev/null".to_owned(),
        Stage::Stdout => format!("opening {}", records.out().display()),
        Stage::Stderr => format!("opening {}", records.err().display()),
        Stage::Record => "recording its pid".to_owned(),
        Stage::LogFile if is_folder(reason) => {
            let log = program.named_logs().get(which).cloned().unwrap_or_default();
            return format!("writing output to {}: it is a folder", log.display());
        }
        Stage::LogFile => "looking at its log files".to_owned(),
        Stage::PidFile if reason.raw_os_error() == Some(libc::ENXIO) => {
            let path = program.pid_file(home);
            return format!(
                "writing {}: it is a FIFO, a device or a socket; name another file",
                path.display()
            );
        }
        Stage::PidFile => format!("writing {}", program.pid_file(home).display()),
        Stage::Given => "passing descriptors on".to_owned(),
        Stage::Limits => "setting the limit of open files".to_owned(),
        Stage::Directory => format!("entering {}", text(&program.spec.cwd)),
        Stage::Script => format!("opening {}", text(&program.spec.script)),
        Stage::Program if command.programs.len() > 1 && not_found(reason) => {
            return format!("executing {name}: not found in PATH");
        }
        Stage::Program => format!("executing {file}"),
        Stage::Interpreter => {
            format!("executing {file}: its interpreter, named in its first line, is missing")
        }
    };
    let hint = match stage {
        Stage::PidFile => place::hint(reason),
        _ => "",
    };
    format!("{doing}: {}{hint}", Reason(reason))
}

fn is_folder(reason: &io::Error) -> bool {
    reason.raw_os_error() == Some(libc::EISDIR)
}

fn not_found(reason: &io::Error) -> bool {
    reason.kind() == io::ErrorKind::NotFound
}
