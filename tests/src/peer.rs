//! A real `p2pd`, and `p2pctl` that talks to it.

use std::{
    fs,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    directory::{Account, Directory},
    process::{Process, free_port, program},
    wait,
};

/// The byte that is changed: in the first group, and not at its beginning.
const SPOILT: u64 = 4711;

/// A running daemon.
pub struct Peer {
    /// The process.
    pub process: Process,
    /// Its name.
    pub name: String,
    /// Its peer port on 127.0.0.1.
    pub port: u16,
    /// Configuration, state, sockets and log.
    pub folder: PathBuf,
    /// What its environment has besides the test's own.
    environment: Vec<(String, String)>,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Peer {
    /// Changes a byte of what it stores, behind its back.
    ///
    /// # Panics
    /// When it does not store that.
    pub fn spoil(&self, hash: &str) {
        let contents = self.folder.join("state/store/content");
        let path = contents.join(&hash[..2]).join(hash);
        let file = fs::File::options().read(true).write(true).open(path);
        let file = file.expect("the content");
        let mut byte = [0];
        file.read_exact_at(&mut byte, SPOILT).expect("a byte");
        file.write_all_at(&[!byte[0]], SPOILT).expect("a byte");
    }

    /// Starts one in this folder, with these lines after the usual configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, name: &str, config: &str) -> Self {
        Self::start_in(folder, name, config, &[])
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(folder: &Path, name: &str, config: &str, environment: &[(String, String)]) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let port = free_port();
        let store = if config.contains("[store]") {
            ""
        } else {
            "[store]\nreserve_free = \"1MiB\"\n"
        };
        let listen = format!("[peer]\nlisten = [\"127.0.0.1:{port}\"]\n");
        let config = if config.contains("[peer]\n") {
            config.replace("[peer]\n", &listen)
        } else {
            format!("{config}\n{listen}")
        };
        let text = format!(
            "peer_name = \"{name}\"\nstate_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n{store}{config}",
            folder.display()
        );
        fs::write(folder.join("p2pd.toml"), text).expect("a configuration");
        let mut peer = Self {
            process: serve(folder, environment),
            name: name.to_owned(),
            port,
            folder: folder.to_owned(),
            environment: environment.to_vec(),
        };
        peer.wait_until_up();
        peer
    }

    /// Starts it again after a stop or a kill, as it was.
    pub fn restart(&mut self) {
        self.process = serve(&self.folder, &self.environment);
        self.wait_until_up();
    }

    /// The same, soon after it is up; what it said when it does not come up in this time.
    ///
    /// # Errors
    /// Its log.
    pub fn try_restart(&mut self, limit: Duration) -> Result<(), String> {
        self.process = serve(&self.folder, &self.environment);
        let socket = self.socket();
        let look = || match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(_) => Some(true),
            Err(_) => (!self.process.runs()).then_some(false),
        };
        match wait::closely(limit, look) {
            Some(true) => Ok(()),
            Some(false) => Err(format!("it ended: {}", self.process.log())),
            None => Err(format!("no socket: {}", self.process.log())),
        }
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("run/control.sock")
    }

    /// Logs in with the directory's true fingerprint.
    ///
    /// # Panics
    /// When that fails.
    pub fn login(&self, directory: &Directory, account: &Account) {
        let answer = self.try_login(&directory.url, &directory.fingerprint, account);
        assert_eq!(answer.code, 0, "{answer:?}");
    }

    /// Logs in; whatever comes of it.
    #[must_use]
    pub fn try_login(&self, url: &str, fingerprint: &str, account: &Account) -> Answer {
        let args = [
            "login",
            "--directory",
            url,
            "--user",
            &account.name,
            "--password-stdin",
            "--ca-fingerprint",
            fingerprint,
        ];
        self.ctl_with(&args, account.password.as_bytes())
    }

    /// Runs `p2pctl` against this daemon.
    #[must_use]
    pub fn ctl(&self, args: &[&str]) -> Answer {
        self.ctl_with(args, b"")
    }

    /// The same with these bytes on its standard input.
    ///
    /// # Panics
    /// When `p2pctl` cannot be started.
    #[must_use]
    pub fn ctl_with(&self, args: &[&str], stdin: &[u8]) -> Answer {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("p2pctl");
        let mut pipe = child.stdin.take().expect("a pipe");
        let stdin = stdin.to_vec();
        let feeding = std::thread::spawn(move || {
            // A command that does not read its input closes the pipe.
            let _ = pipe.write_all(&stdin);
        });
        let output = child.wait_with_output().expect("p2pctl");
        feeding.join().expect("a thread that only writes");
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command, to be started in another way.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("p2pctl"));
        command
            .arg("--socket")
            .arg(self.socket())
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Ends it by SIGKILL, and starts it again as it was.
    pub fn restart_after_kill(&mut self) {
        self.process.kill();
        self.restart();
    }

    /// Runs `p2pctl`, which must fail with this exit code; the last line that it said.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[must_use]
    pub fn says_last(&self, code: i32, args: &[&str]) -> String {
        let answer = self.ctl(args);
        assert_eq!(answer.code, code, "{args:?}: {answer:?}");
        answer.err.lines().last().unwrap_or_default().to_owned()
    }

    /// Runs `p2pctl --json` and does not wait for it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn begin(&self, args: &[&str]) -> Running {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        Running(self.command(&args).spawn().expect("p2pctl"))
    }

    /// The newest transfer that fits, as `p2pctl transfers` tells of it.
    #[must_use]
    pub fn transfer(&self, direction: &str, name: &str) -> Option<Value> {
        let all = self.json(&["transfers"]);
        let fits = |transfer: &&Value| transfer["direction"] == direction && transfer["name"] == name;
        all["transfers"].as_array()?.iter().rev().find(fits).cloned()
    }

    /// Waits until the newest download of this name is in that state; how it is then told of.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub fn until_download(&self, name: &str, state: &str, limit: Duration) -> Value {
        let what = format!("the download of {name} to be {state}");
        wait::until(&what, limit, || {
            self.transfer("download", name)
                .filter(|transfer| transfer["state"] == state)
        })
    }

    /// Runs `p2pctl --json`, which must exit with 0; what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let answer = self.ctl(&args);
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.json()
    }

    /// Runs `p2pctl --json`, which must fail with this exit code; the error object.
    ///
    /// # Panics
    /// When it does anything else.
    pub fn fails(&self, code: i32, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let answer = self.ctl(&args);
        assert_eq!(answer.code, code, "{args:?}: {answer:?}");
        let error = answer.json();
        assert_eq!(error["schema"], "p2pctl.error/1");
        assert_eq!(error["code"], code);
        error
    }

    /// Runs `p2pctl`, which must fail with this exit code, say one line, and print nothing; the line.
    ///
    /// # Panics
    /// When it does anything else.
    #[must_use]
    pub fn says(&self, code: i32, args: &[&str]) -> String {
        self.ctl(args).says(code)
    }

    /// Publishes a file; its object in the answer.
    ///
    /// # Panics
    /// When that fails.
    pub fn upload(&self, path: &Path) -> Value {
        self.json(&["upload", path.to_str().expect("a path in UTF-8")])["files"][0].clone()
    }

    /// Files that the daemon's store has, complete or not, below its folder.
    #[must_use]
    pub fn stored(&self) -> Vec<PathBuf> {
        let store = self.folder.join("state/store");
        let mut found = Vec::new();
        let mut folders = vec![store.join("content"), store.join("tmp")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    fn wait_until_up(&mut self) {
        let (socket, process) = (self.folder.join("run/control.sock"), &mut self.process);
        wait::until("the control socket", wait::SOON, || {
            assert!(process.runs(), "p2pd ended: {}", process.log());
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }
}

/// A `p2pctl` that runs.
pub struct Running(Child);

impl Running {
    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn end(self) -> Answer {
        let output = self.0.wait_with_output().expect("p2pctl");
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    /// Standard output as one JSON object.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The one line on standard error with which it failed.
    ///
    /// # Panics
    /// When the exit code is another one, or there is more to read.
    #[must_use]
    pub fn says(&self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
        let line = self.err.strip_suffix('\n').unwrap_or(&self.err);
        assert!(!line.is_empty() && !line.contains('\n'), "{self:?}");
        line.to_owned()
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

fn serve(folder: &Path, environment: &[(String, String)]) -> Process {
    let mut command = Command::new(program("p2pd"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.arg("--config").arg(folder.join("p2pd.toml"));
    Process::start(command, &folder.join("log"))
}
