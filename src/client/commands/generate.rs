//! Writes process files: the sample of `rpm generate`, and the programs of `rpm start --write`.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::client::daemon::session::{DONE, Session};
use crate::config::json::Json;
use crate::config::settings;
use crate::error::{Context, Error, Result};
use crate::model::field::FIELDS;
use crate::model::spec::Spec;

/// `rpm generate`
pub fn run(session: &mut Session) -> Result<u8> {
    let word = session.invocation.words.first();
    let mut path = PathBuf::from(word.map_or("processes".as_ref(), |word| word.as_os_str()));
    if path.extension().is_none_or(|ending| ending != "json") {
        path.as_mut_os_string().push(".json");
    }
    let stem = path.file_stem().unwrap_or_default();
    let name = match word {
        Some(_) => stem.to_string_lossy().into_owned(),
        None => "clock".to_owned(),
    };
    write_new(&path, &sample(&name, &path))?;
    let path = path.display();
    session.say(&format!(
        "rpm: wrote {path}; rpm start {path} starts what is in it\n"
    ))?;
    Ok(DONE)
}

fn sample(name: &str, path: &Path) -> String {
    let mut json = Json::new(false);
    json.string(name.as_bytes());
    let (name, path) = (json.finish(), path.display());
    let name = name.trim_end();
    format!(
        r#"// rpm start {path}
// rpm help start lists all settings: --kill-timeout there is "kill_timeout" here.
{{
  "apps": [
    {{
      "name": {name},
      // A file, or a command of the shell. It runs in the directory of this file, unless "cwd" names another.
      "script": "while sleep 5; do echo \"$GREETING, it is $(date)\"; done",
      "instances": 1,
      "env": {{ "GREETING": "Hello" }},
      // On top of that with: rpm start {path} --env production
      "env_production": {{ "GREETING": "Good day" }},
    }},
  ],
}}
"#
    )
}

/// The path of the file that `--write` writes for a program.
pub fn path_for(spec: &Spec) -> PathBuf {
    format!("{}.config.json", spec.file_name()).into()
}

/// Writes the settings that differ from their defaults, without the environment and an inherited umask.
pub fn write(path: &Path, spec: &Spec, given: &[&str]) -> Result<()> {
    let default = Spec::default();
    let mut json = Json::new(true).exact();
    json.object(|json| {
        json.key(b"apps").array(|json| {
            json.object(|json| {
                for field in FIELDS {
                    let values = (field.write)(spec);
                    let told = field.name != "umask" || given.contains(&field.name);
                    if told && values != (field.write)(&default) {
                        settings::write(json.key(field.name.as_bytes()), field, &values);
                    }
                }
            });
        });
    });
    write_new(path, &json.finish())
}

/// Writes a new file.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let mut file = match File::create_new(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let path = path.display();
            return Err(Error::new(format!(
                "{path} exists already and is not changed"
            )));
        }
        opened => opened.doing(doing)?,
    };
    file.write_all(text.as_bytes()).doing(doing)
}
