//! Headless Chromium, controlled over a pair of pipes: <https://chromedevtools.github.io/devtools-protocol/>

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use super::run::Running;
use super::wait::readable;
use super::{Home, LIMIT};

/// A browser with one page.
pub struct Browser {
    running: Running,
    requests: File,
    answers: File,
    received: Vec<u8>,
    number: u32,
    session: String,
}

impl Browser {
    /// Starts a browser in the directory of the test, and opens a page.
    #[track_caller]
    pub fn open(home: &Home, url: &str, width: u32, height: u32) -> Browser {
        let pipe = |name: &str| {
            let path = home.base.join(name);
            rpm::sys::fifo::make(&path).unwrap();
            // Opened for reading and writing, so that the open does not block until the browser opens it.
            File::options().read(true).write(true).open(path).unwrap()
        };
        let (requests, answers) = (pipe("requests"), pipe("answers"));
        // The browser reads requests from descriptor 3 and writes replies to 4.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
             --user-data-dir=\"$PWD/profile\" --remote-debugging-pipe about:blank 3<requests 4>answers";
        let mut command = home.command(&["sh", "-c", script]);
        command.env("HOME", &home.base);
        let mut browser = Browser {
            running: Running::start(command),
            requests,
            answers,
            received: Vec::new(),
            number: 0,
            session: String::new(),
        };
        let target = browser.ask("Target.createTarget", "{\"url\":\"about:blank\"}");
        let target = string(&target, "targetId");
        let attached = browser.ask(
            "Target.attachToTarget",
            &format!("{{\"targetId\":\"{target}\",\"flatten\":true}}"),
        );
        browser.session = format!(",\"sessionId\":\"{}\"", string(&attached, "sessionId"));
        browser.resize(width, height);
        browser.ask("Page.enable", "{}");
        browser.ask("Page.navigate", &format!("{{\"url\":\"{url}\"}}"));
        browser
    }

    /// Sends a request and returns its reply, as JSON.
    #[track_caller]
    fn ask(&mut self, method: &str, parameters: &str) -> String {
        self.number += 1;
        let (number, session) = (self.number, &self.session);
        let request = format!(
            "{{\"id\":{number},\"method\":\"{method}\",\"params\":{parameters}{session}}}\0"
        );
        self.requests.write_all(request.as_bytes()).unwrap();
        let wanted = format!("{{\"id\":{number},");
        loop {
            let message = self.message();
            if message.starts_with(&wanted) {
                assert!(!message.contains("\"error\":{"), "{request}: {message}");
                return message;
            }
        }
    }

    #[track_caller]
    fn message(&mut self) -> String {
        loop {
            if let Some(end) = self.received.iter().position(|b| *b == 0) {
                let rest = self.received.split_off(end + 1);
                let message = std::mem::replace(&mut self.received, rest);
                return String::from_utf8_lossy(&message[..end]).into_owned();
            }
            assert!(
                readable(&[self.answers.as_fd()], LIMIT),
                "the browser is silent"
            );
            let mut chunk = [0; 64 << 10];
            let n = self.answers.read(&mut chunk).unwrap();
            self.received.extend_from_slice(&chunk[..n]);
        }
    }

    /// Resizes the window.
    #[track_caller]
    pub fn resize(&mut self, width: u32, height: u32) {
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            &format!(
                "{{\"width\":{width},\"height\":{height},\"deviceScaleFactor\":1,\"mobile\":false}}"
            ),
        );
    }

    /// Waits until an expression of JavaScript, without line ends and double quotes, is true in the page.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let limit = LIMIT.as_millis();
        let script = format!(
            "new Promise(done => {{ const end = Date.now() + {limit}; const look = () => {{ let so = false; \
             try {{ so = {expression}; }} catch {{}} if (so) done('condition met'); \
             else if (Date.now() > end) done('timed out: ' + document.body.innerText); \
             else setTimeout(look, 10); }}; look(); }})"
        );
        let answer = self.ask(
            "Runtime.evaluate",
            &format!("{{\"expression\":\"{script}\",\"awaitPromise\":true}}"),
        );
        assert!(answer.contains("condition met"), "{expression}: {answer}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let request = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        let _ = self.requests.write_all(request);
        if !std::thread::panicking() {
            self.running.wait();
        }
    }
}

/// A string member of a reply.
#[track_caller]
fn string(json: &str, name: &str) -> String {
    let rest = json.split(&format!("\"{name}\":\"")).nth(1).expect(json);
    rest.split('"').next().unwrap().to_owned()
}
