//! The value of a module, as Node evaluates it.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::place;
use crate::error::{Context, Error, Result};
use crate::sys::poll::{Interest, PollSet};

/// How long a module may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Prints what the module exports as JSON. `import` takes both kinds of modules; what they print themselves must not
/// come in between, and what they leave running must not hold anybody up. Node gives `-e` the globals `module` and
/// `exports`, to which a CommonJS file in an ES package would export without an error; without them it fails, and is
/// read as what it is.
const PROGRAM: &str = "
process.stdout.write = process.stderr.write.bind(process.stderr);
const [fs, path, url, Module] = ['fs', 'path', 'url', 'module'].map(name => require(name));
const file = process.argv[1];
const commonjs = error => {
  const missing = /^(module|exports|require|__filename|__dirname) is not defined/;
  if (!(error instanceof ReferenceError && missing.test(error.message))) throw error;
  const m = new Module(file);
  m.filename = file;
  m.paths = Module._nodeModulePaths(path.dirname(file));
  try {
    m._compile(fs.readFileSync(file, 'utf8'), file);
  } catch (e) {
    throw e instanceof SyntaxError ? error : e;
  }
  return { default: m.exports };
};
const read = () => {
  for (const name of ['module', 'exports', 'require', '__filename', '__dirname']) delete globalThis[name];
  return import(url.pathToFileURL(file).href);
};
// Node sets them at the end of this turn.
new Promise(resolve => setImmediate(resolve))
  .then(read)
  .catch(commonjs)
  .then(m => m.default === undefined ? { ...m } : m.default)
  .then(v => {
    const text = JSON.stringify(v, (_, x) => x === Infinity ? 'Infinity' : x);
    if (text === undefined) throw new Error('the module exports ' + typeof v + ', not programs');
    fs.writeFileSync(1, text);
    process.exit(0);
  })
  .catch(e => { console.error(e && e.stack || e); process.exit(1); });
";

/// The JSON of what a module exports.
pub fn evaluate(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("evaluating {}", path.display());
    // Node would say the same in many more words.
    std::fs::File::open(path).doing(|| format!("reading {}", path.display()))?;
    let file = place::absolute(path).map_err(Error::new)?;
    let mut command = Command::new("node");
    command.arg("-e").arg(PROGRAM).arg("--");
    command.arg(OsStr::from_bytes(&file));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(format!(
            "{}: node is not in PATH; install Node, or write the file as JSON",
            doing()
        )),
        _ => Error::io(doing(), &error),
    })?;
    let read = child.stdout.take().map(read_in_time);
    let heard = read.unwrap_or(Ok(None)).doing(doing);
    if !matches!(heard, Ok(Some(_))) {
        let _ = child.kill();
    }
    finish(&mut child, heard?, &doing())
}

fn finish(child: &mut Child, heard: Option<Vec<u8>>, doing: &str) -> Result<Vec<u8>> {
    let status = child.wait().doing(|| doing)?;
    match heard {
        None => Err(Error::new(format!(
            "{doing}: it took longer than {} s",
            LIMIT.as_secs()
        ))),
        Some(bytes) if status.success() => Ok(bytes),
        Some(_) => Err(Error::new(format!(
            "{doing}: node failed ({status}); see its messages above"
        ))),
    }
}

/// All that is written into the pipe; none where it does not end in time.
fn read_in_time(mut stdout: ChildStdout) -> std::io::Result<Option<Vec<u8>>> {
    let end = Instant::now() + LIMIT;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut set = PollSet::default();
        set.push(stdout.as_fd(), Interest::READ, ());
        set.wait(Some(left))?;
        if set.ready().next().is_none() {
            if left.is_zero() {
                return Ok(None);
            }
            continue;
        }
        match stdout.read(&mut chunk) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(n) => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
