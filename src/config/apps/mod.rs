//! The programs of a process file, in pm2's attributes. All are read and checked before any is started.

#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use self::values::{
    Filter, did_you_mean, filter, instances, is_left_out, nearest_attribute, port, switch, text_in,
    text_of, variables,
};
use super::attribute::{self, Support};
use super::dump::{Fault, assignment};
use super::json::{Member, Node, Value};
use super::place::{absolute, at_home};
use super::{limit, script, settings};
use crate::error::Reason;
use crate::model::command;
use crate::model::field::{self, FIELDS};
use crate::model::life::Want;
use crate::model::spec::{BESIDE, Environment, Spec, name_of};
use crate::units;

/// The options of the command line for the programs of a file.
pub struct Options<'a> {
    /// The settings of a program that has none of its own: umask and environment.
    pub base: &'a Spec,
    /// The fields given on the command line, which override those in the file.
    pub overrides: &'a Spec,
    /// The names of these fields.
    pub given: &'a [&'static str],
    /// NAME, if `env_NAME` is applied after `env`.
    pub env: Option<&'a str>,
    /// The names of the selected programs; all programs if empty.
    pub only: &'a [String],
    /// Whether they will be started; then their executables must exist.
    pub starts: bool,
}

/// One program.
#[derive(Debug)]
pub struct App {
    /// Its settings.
    pub spec: Spec,
    /// Whether it is started when it is added to the list.
    pub want: Want,
    /// Whether it is started even if a program of its name exists.
    pub force: bool,
}

/// The state of reading the programs of a file.
pub struct Apps<'a> {
    options: &'a Options<'a>,
    folder: &'a Path,
    done: Done,
    names: Vec<String>,
}

/// The result of reading a file.
#[derive(Default)]
pub struct Done {
    /// The selected programs.
    pub apps: Vec<App>,
    /// Errors. If there are any, no program may be started.
    pub faults: Vec<Fault>,
    /// What was ignored.
    pub warnings: Vec<Fault>,
}

/// The state of reading one program.
struct Draft<'a> {
    app: App,
    script: Option<(usize, &'a [u8])>,
    cwd: Option<(usize, &'a [u8])>,
    env: Vec<&'a Member>,
    named_env: Vec<&'a Member>,
    named: bool,
    port: Option<Vec<u8>>,
    filter: Option<Filter<'a>>,
    suffixed: bool,
    /// The names of the given fields on which the defaults of others depend.
    given: Vec<&'static str>,
}

type Checked<T> = Result<T, Fault>;

impl<'a> Apps<'a> {
    /// No programs yet. Relative paths in the file are relative to `folder`.
    pub fn new(options: &'a Options<'a>, folder: &'a Path) -> Apps<'a> {
        Apps {
            options,
            folder,
            done: Done::default(),
            names: Vec::new(),
        }
    }

    /// Reports an error at an offset in the file.
    pub fn fault(&mut self, at: usize, why: impl Into<String>) {
        self.done.faults.push((at, why.into()));
    }

    /// Reads a file: one program, an array of programs, or an object with such an array under `apps`, or under `pm2` as in
    /// a `package.json` of pm2.
    pub fn take_all(&mut self, root: &Node) {
        let inner = root.get("apps").or_else(|| root.get("pm2"));
        if inner.is_some() {
            for member in root.members() {
                match member.key.as_slice() {
                    b"apps" | b"pm2" | b"deploy" => {}
                    _ if root.get("apps").is_none() => {}
                    key => {
                        let key = String::from_utf8_lossy(key);
                        let why = format!("{key}: ignored; programs are listed under apps");
                        self.done.warnings.push((member.at, why));
                    }
                }
            }
        }
        let node = inner.unwrap_or(root);
        match &node.value {
            Value::Array(items) => items.iter().for_each(|item| self.take(item)),
            _ => self.take(node),
        }
    }

    /// Reads one program.
    fn take(&mut self, node: &Node) {
        if !matches!(node.value, Value::Object(_)) {
            let why = format!(
                "expected an object with the attributes of a program, found {}",
                node.kind()
            );
            return self.fault(node.at, why);
        }
        let name = node.get("name").and_then(Node::string);
        let label = name.map(|name| String::from_utf8_lossy(name) + ": ");
        let label = label.unwrap_or_default().into_owned();
        let before = self.done.faults.len();
        let warnings = self.done.warnings.len();
        let mut draft = self.draft();
        for member in node.members() {
            if let Err(why) = self.attribute(&mut draft, member, &label) {
                let key = String::from_utf8_lossy(&member.key);
                self.fault(member.node.at, [&label, &*key, ": ", &why].concat());
            }
        }
        if self.done.faults.len() > before {
            return;
        }
        match self.complete(draft, node.at) {
            Ok(app) => {
                if !self.is_meant(&app.spec.name) {
                    self.done.warnings.truncate(warnings);
                }
                self.add(app, node.at);
            }
            Err((at, why)) => self.fault(at, label + &why),
        }
    }

    /// Reads a program that is a shell command.
    pub fn take_command(&mut self, at: usize, name: &str, command: &[u8]) {
        let mut draft = self.draft();
        draft.app.spec.name = name.to_owned();
        draft.app.spec.cwd = self.folder.as_os_str().as_bytes().to_vec();
        let done = self.override_fields(&mut draft.app.spec).and_then(|()| {
            draft.app.spec.env = Rc::new(self.environment(&draft).map_err(|(_, why)| why)?);
            script::shell_command(&mut draft.app.spec, OsStr::from_bytes(command));
            Ok(draft.app)
        });
        match done {
            Ok(app) => self.add(app, at),
            Err(why) => self.fault(at, why),
        }
    }

    /// The result.
    pub fn finish(mut self) -> Done {
        if self.names.is_empty() && self.done.faults.is_empty() {
            self.fault(0, "it has no programs");
        }
        for wanted in self.options.only {
            if !self.names.contains(wanted) {
                let near = units::nearest(wanted, self.names.iter().map(String::as_str));
                let why = ["it has no program ", wanted, &did_you_mean(near)].concat();
                self.done.faults.push((0, why));
            }
        }
        self.done
    }

    fn draft(&self) -> Draft<'static> {
        Draft {
            app: App {
                spec: self.options.base.clone(),
                want: Want::Up,
                force: false,
            },
            script: None,
            cwd: None,
            env: Vec::new(),
            named_env: Vec::new(),
            named: false,
            port: None,
            filter: None,
            suffixed: false,
            given: Vec::new(),
        }
    }

    fn add(&mut self, app: App, at: usize) {
        let name = &app.spec.name;
        if self.names.contains(name) && !app.force {
            let why = format!("two programs have the name {name}; give each its own name");
            return self.fault(at, why);
        }
        self.names.push(name.clone());
        if !self.is_meant(name) {
            return;
        }
        let apps = self.done.apps.iter();
        let sockets = apps.filter(|other| other.spec.name != *name);
        let mut sockets = sockets.flat_map(|other| &other.spec.listen.0);
        if let Some(twice) = sockets.find(|socket| app.spec.listen.0.contains(socket)) {
            let twice = String::from_utf8_lossy(twice);
            return self.fault(
                at,
                format!("{name}: listen: another program already has {twice}"),
            );
        }
        match self.options.starts.then(|| script::check(&app.spec)) {
            Some(Err(why)) => self.fault(at, format!("{name}: script: {why}")),
            _ => self.done.apps.push(app),
        }
    }

    fn is_meant(&self, name: &String) -> bool {
        self.options.only.is_empty() || self.options.only.contains(name)
    }

    /// Reads one attribute. The error completes "KEY: …".
    fn attribute<'n>(
        &mut self,
        draft: &mut Draft<'n>,
        member: &'n Member,
        label: &str,
    ) -> Result<(), String> {
        let node = &member.node;
        let key = String::from_utf8_lossy(&member.key);
        if node.value == Value::Null {
            return Ok(());
        }
        if let Some(name) = key.strip_prefix("env_") {
            let members = variables(node)?;
            if self.options.env == Some(name) {
                draft.named_env.extend(members);
                draft.named = true;
            }
            return Ok(());
        }
        let name = field::snake(&key);
        let mut warning = None;
        match name.as_str() {
            "env" => draft.env.extend(variables(node)?),
            // The result of `condition && value` in JavaScript if the condition is false.
            _ if is_left_out(&name, node) => {}
            "script" | "exec" | "cmd" | "command" => draft.script = Some((node.at, text_in(node)?)),
            "cwd" => draft.cwd = Some((node.at, text_in(node)?)),
            "exec_mode" => {
                draft.given.push("exec_mode");
                settings::read(
                    &mut draft.app.spec,
                    field::find(&name).ok_or("no field")?,
                    node,
                )?;
            }
            "instances" => {
                draft.given.push("instances");
                draft.app.spec.instances = instances(node)?;
            }
            "port" => draft.port = Some(port(node)?),
            "filter_env" => draft.filter = Some(filter(node)?),
            "autostart" if switch(node)? => draft.app.want = Want::Up,
            "autostart" => draft.app.want = Want::Down,
            "force" => draft.app.force = switch(node)?,
            "append_env_to_name" => draft.suffixed = switch(node)?,
            "log" | "log_file" if matches!(node.value, Value::Bool(_)) => {
                let beside = switch(node)?.then(|| BESIDE.to_vec());
                draft.app.spec.log_file = beside.unwrap_or_default();
            }
            _ => match (field::find(&name), attribute::support(&name)) {
                (Some(field), _) => settings::read(&mut draft.app.spec, field, node)?,
                (None, Some(Support::Missing)) if attribute::asks(&name, node) => {
                    warning = Some("not supported yet, ignored".to_owned());
                }
                (None, Some(_)) => {}
                // A command that starts nothing may name programs that an earlier release started.
                (None, None) if limit::is_one(&name) => match limit::refusal(&name, node) {
                    Some(why) if self.options.starts => return Err(why),
                    _ => {}
                },
                (None, None) => {
                    let hint = did_you_mean(nearest_attribute(&name));
                    warning = Some(["no such attribute", &hint, ", ignored"].concat());
                }
            },
        }
        let warning = warning.map(|what| (member.at, [label, &key, ": ", &what].concat()));
        self.done.warnings.extend(warning);
        Ok(())
    }

    /// Combines the attributes of a program.
    fn complete(&mut self, mut draft: Draft, at: usize) -> Checked<App> {
        let spec = &mut draft.app.spec;
        spec.cwd = self.cwd(draft.cwd)?;
        for path in [
            &mut spec.out_file,
            &mut spec.error_file,
            &mut spec.log_file,
            &mut spec.pid_file,
        ] {
            *path = at_home(path);
        }
        self.override_fields(spec).map_err(|why| (at, why))?;
        let script = draft
            .script
            .ok_or_else(|| (at, "a program needs a script".to_owned()));
        let (place, word) = script?;
        draft.app.spec.env = Rc::new(self.environment(&draft)?);
        let App { spec, want, force } = draft.app;
        let cwd = spec.cwd.clone();
        let folder = Path::new(OsStr::from_bytes(&cwd));
        let word = OsStr::from_bytes(word);
        let mut spec = match script::meaning(spec.clone(), word, &[folder]) {
            Ok(spec) => spec,
            Err(why) if self.options.starts => return Err((place, ["script: ", &why].concat())),
            // A program can be stopped without its script.
            Err(_) if spec.name.is_empty() => Spec {
                name: script::name_for(word),
                ..spec
            },
            Err(_) => spec,
        };
        command::choose_mode(&mut spec, |field| {
            draft.given.contains(&field) || self.options.given.contains(&field)
        });
        if let Some(env) = self.options.env {
            if draft.suffixed {
                spec.name = [&spec.name, "-", env].concat();
            }
            if !draft.named && self.is_meant(&spec.name) {
                let why = [&spec.name, ": it has no env_", env].concat();
                self.done.warnings.push((at, why));
            }
        }
        Ok(App { spec, want, force })
    }

    /// The working directory of a program.
    fn cwd(&self, given: Option<(usize, &[u8])>) -> Checked<Vec<u8>> {
        let Some((at, text)) = given else {
            return Ok(self.folder.as_os_str().as_bytes().to_vec());
        };
        let folder = self.folder.join(OsStr::from_bytes(&at_home(text)));
        let done = match folder.metadata() {
            Ok(found) if found.is_dir() => absolute(&folder),
            _ if !self.options.starts => absolute(&folder),
            Ok(_) => Err(format!("{} is not a folder", folder.display())),
            Err(e) => Err(format!("{}: {}", folder.display(), Reason(&e))),
        };
        done.map_err(|why| (at, ["cwd: ", &why].concat()))
    }

    /// Applies the fields of the command line.
    fn override_fields(&self, spec: &mut Spec) -> Result<(), String> {
        for field in FIELDS
            .iter()
            .filter(|field| self.options.given.contains(&field.name))
        {
            (field.clear)(spec);
            for value in (field.write)(self.options.overrides) {
                (field.read)(spec, &value)?;
            }
        }
        Ok(())
    }

    /// The environment: that of the command line, filtered, then `env`, `env_NAME` and `port`. Null removes a variable.
    fn environment(&self, draft: &Draft) -> Checked<Environment> {
        let base = self.options.base.env.assignments();
        let mut assignments = Vec::new();
        for assignment in base {
            let filter = draft.filter.as_ref();
            if !filter.is_some_and(|filter| filter.holds(name_of(assignment))) {
                assignments.push(assignment.to_vec());
            }
        }
        for member in draft.env.iter().chain(&draft.named_env) {
            assignments.retain(|known| name_of(known) != member.key);
            if let Some(value) = text_of(&member.node) {
                assignments.push(assignment(member, &value)?);
            }
        }
        if let Some(port) = &draft.port {
            assignments.push([b"PORT=", port.as_slice()].concat());
        }
        let all = assignments.iter().map(Vec::as_slice);
        Ok(Environment::from_assignments(all))
    }
}
