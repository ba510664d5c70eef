//! `rpm startup` and `rpm unstartup`: the daemon as a service of init.

mod platform;
mod service;
mod site;
mod text;

use std::path::PathBuf;

use crate::client::daemon::connect;
use crate::client::daemon::session::{DONE, FAILED, Session};
use crate::client::display::output;
use crate::client::display::shell;
use crate::error::{Context, Error, Result};
use crate::paths::Home;
use crate::sys::user;
use platform::{Platform, Scene};
use service::Service;
use site::{Found, Site};

/// `rpm startup`
pub fn startup(session: &mut Session) -> Result<u8> {
    let (person, site) = subject(session)?;
    if session.invocation.options.print {
        return print(&site);
    }
    let found = site.look()?;
    if site.platform.for_root && !may(&site) {
        return sudo(session, &site, &person);
    }
    if let Some(caller) = caller_of_sudo(session) {
        let command = format!("rpm startup {} -u {caller}", site.platform.name);
        output::complain(format!(
            "for the programs of root; for those of {caller}: {command}"
        ));
    }
    site.check()?;
    let home = Home::new(PathBuf::from(&site.service.home));
    let served =
        found == Found::Nothing && site.runs() && matches!(connect::connect(&home), Ok(Some(_)));
    let back = format!("rpm unstartup {} takes it back", site.platform.name);
    site.install()
        .map_err(|error| Error::new(format!("{error}; {back}")))?;
    session.say(&news(&site, found, served))?;
    Ok(DONE)
}

/// `rpm unstartup`
pub fn unstartup(session: &mut Session) -> Result<u8> {
    let (person, site) = subject(session)?;
    let file = site.scene.path(&site.file());
    if site.look()? == Found::Nothing {
        session.say(&format!(
            "rpm: nothing to remove: there is no {}\n",
            file.display()
        ))?;
        return Ok(DONE);
    }
    if site.platform.for_root && !may(&site) {
        return sudo(session, &site, &person);
    }
    if !site.remove() {
        return Ok(FAILED);
    }
    session.say(&format!("rpm: {} is removed\n", file.display()))?;
    Ok(DONE)
}

/// What the command line is about: whose programs, and which service of which init.
fn subject(session: &Session) -> Result<(Person, Site)> {
    let options = &session.invocation.options;
    let scene = scene(options.root.as_deref())?;
    let platform = platform(session, &scene)?;
    let person = Person::of(session, platform)?;
    let service = person.service(options.service_name.as_deref())?;
    let site = person.site(platform, service, scene, options.silent);
    Ok((person, site))
}

/// This machine, or one that does not run, below a folder.
fn scene(root: Option<&str>) -> Result<Scene> {
    let Some(root) = root else {
        return Ok(Scene::here());
    };
    let root = std::path::absolute(root).doing(|| "finding the folder of --root")?;
    Ok(Scene {
        root,
        ..Scene::default()
    })
}

/// The platform that the word names, else that of the init that runs here.
fn platform(session: &Session, scene: &Scene) -> Result<&'static Platform> {
    let words = session.words()?;
    let names = platform::names();
    match words.first() {
        Some(word) => platform::find(word).ok_or_else(|| {
            let word = output::harmless(word);
            Error::new(format!("no platform is called {word}; there are {names}"))
        }),
        None => scene.detect().ok_or_else(|| {
            Error::new(format!(
                "no init that rpm knows runs here; name one: {names}. A container needs none: its process 1 can be \
                 rpmd --foreground"
            ))
        }),
    }
}

/// Whose programs they are.
struct Person {
    name: String,
    home: PathBuf,
    /// `RPM_HOME`, where it is not the usual one.
    rpm_home: Option<PathBuf>,
}

impl Person {
    fn of(session: &Session, platform: &Platform) -> Result<Person> {
        let options = &session.invocation.options;
        let uid = user::effective_uid();
        let own = user::user_name(uid);
        let name = options.user.clone().or_else(|| own.clone());
        let name = name.ok_or_else(|| {
            Error::new(format!(
                "/etc/passwd has no name for user {uid}; give it with --user"
            ))
        })?;
        let is_own = own.as_ref() == Some(&name);
        if !platform.for_root && !is_own {
            let platform = platform.name;
            return Err(Error::new(format!(
                "{platform} serves only you; run this as {name}"
            )));
        }
        let set = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
        let home = match &options.home {
            Some(home) => Some(PathBuf::from(home)),
            // sudo may leave the HOME of the one who called it.
            None if is_own && uid != 0 => set("HOME")
                .map(PathBuf::from)
                .or_else(|| user::home_dir(uid)),
            None => user::home_of(&name),
        };
        let home = home.ok_or_else(|| {
            Error::new(format!(
                "/etc/passwd has no user {name}; where the home folder is say with --hp"
            ))
        })?;
        let rpm_home = set("RPM_HOME").map(PathBuf::from);
        Ok(Person {
            name,
            // Whoever says where another user's home is means the usual place there.
            rpm_home: rpm_home
                .filter(|folder| *folder != home.join(".rpm") && options.home.is_none()),
            home,
        })
    }

    fn service(&self, name: Option<&str>) -> Result<Service> {
        let usual = self.home.join(".rpm");
        let rpm_home = self.rpm_home.as_ref().unwrap_or(&usual);
        Service::new(
            name,
            &self.name,
            rpm_home,
            &connect::daemon_program()?,
            &client()?,
        )
    }

    fn site(
        &self,
        platform: &'static Platform,
        service: Service,
        scene: Scene,
        silent: bool,
    ) -> Site {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.filter(|folder| folder.is_absolute());
        Site {
            platform,
            service,
            scene,
            config: config.unwrap_or_else(|| self.home.join(".config")),
            silent,
        }
    }
}

/// The path of this program.
fn client() -> Result<PathBuf> {
    std::env::current_exe().doing(|| "finding the path of rpm")
}

/// Whether this process may do what root has to.
fn may(site: &Site) -> bool {
    user::effective_uid() == 0 || site.is_asleep()
}

/// Who became root by sudo and did not say whose programs are meant: perhaps not those of root.
fn caller_of_sudo(session: &Session) -> Option<String> {
    let options = &session.invocation.options;
    let unsaid = options.user.is_none() && !options.silent && user::effective_uid() == 0;
    let caller = std::env::var("SUDO_USER").ok().filter(|_| unsaid);
    caller.filter(|caller| !caller.is_empty() && caller != "root")
}

/// Prints the file; where it belongs goes to standard error.
fn print(site: &Site) -> Result<u8> {
    output::print((site.platform.text)(&site.service).as_bytes())?;
    if !site.silent {
        output::complain(format!(
            "this is {}, mode {:o}",
            site.file(),
            site.platform.mode
        ));
    }
    Ok(DONE)
}

/// Prints the command line that does it, for those who may not: nothing is done, so that is a failure.
fn sudo(session: &Session, site: &Site, person: &Person) -> Result<u8> {
    let mut words = vec!["sudo".to_owned()];
    if let Some(folder) = &person.rpm_home {
        words.push("env".to_owned());
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        words.push(format!("RPM_HOME={}", folder.display()));
    }
    words.push(client()?.display().to_string());
    let command = session
        .invocation
        .command
        .map_or("", |command| command.name);
    words.extend([command, site.platform.name, "-u", &person.name, "--hp"].map(str::to_owned));
    words.push(person.home.display().to_string());
    if let Some(name) = &session.invocation.options.service_name {
        words.extend(["--service-name".to_owned(), name.clone()]);
    }
    let line: Vec<String> = words.iter().map(|word| shell::quoted(word)).collect();
    if !site.silent {
        output::complain(format!(
            "{} belongs to root; nothing is done yet. This does it:",
            site.file()
        ));
    }
    output::print(format!("{}\n", line.join(" ")).as_bytes())?;
    let own = platform::find("systemd-user").filter(|own| site.scene.runs(own));
    if own.is_some() && !site.silent {
        output::complain(format!("without root: rpm {command} systemd-user"));
    }
    Ok(FAILED)
}

/// What was done, and what is left to know.
fn news(site: &Site, found: Found, served: bool) -> String {
    let file = site.scene.path(&site.file());
    let Service {
        name, user, home, ..
    } = &site.service;
    let done = match found {
        Found::Nothing => "is written",
        Found::Same => "is as it should be",
        Found::Other => "is rewritten; the service keeps its old settings until it is restarted",
    };
    let when = match site.runs() {
        true => "runs now and at each boot",
        false => "runs from the next boot on",
    };
    let mut text = format!(
        "rpm: {} {done}\nrpm: {name} {when}, for the programs of {user}\n",
        file.display()
    );
    if served && site.platform.stands_by {
        text.push_str(&format!(
            "rpm: a daemon serves {home} already; {name} stands by, and takes over the programs as they run when \
             that daemon ends: rpm kill --keep ends it\n"
        ));
    }
    if !site.platform.remark.is_empty() {
        text.push_str(&format!("rpm: {}\n", site.platform.remark));
    }
    text
}
