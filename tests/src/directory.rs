//! A real `p2p-directory`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    process::{Process, free_port, program},
    wait,
};

/// A running directory.
pub struct Directory {
    /// The process.
    pub process: Process,
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// Its port.
    pub port: u16,
    /// `sha256:` and 64 hex digits.
    pub fingerprint: String,
    folder: PathBuf,
    /// What its environment has besides the test's own.
    environment: Vec<(String, String)>,
}

/// An account and its password.
#[derive(Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl Directory {
    /// Starts one in this folder, with these lines after the usual configuration. Its lease is 3 s, so that tests need
    /// not wait long.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::with_names(folder, config, &["127.0.0.1", "localhost"])
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(folder: &Path, config: &str, environment: &[(String, String)]) -> Self {
        Self::boot(folder, config, &["127.0.0.1", "localhost"], environment)
    }

    /// The same with other names in its certificate.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn with_names(folder: &Path, config: &str, names: &[&str]) -> Self {
        Self::boot(folder, config, names, &[])
    }

    fn boot(folder: &Path, config: &str, names: &[&str], environment: &[(String, String)]) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let port = free_port();
        configure(folder, config, port, names);
        let mut directory = Self {
            process: serve(folder, environment),
            environment: environment.to_vec(),
            url: format!("https://127.0.0.1:{port}"),
            port,
            fingerprint: String::new(),
            folder: folder.to_owned(),
        };
        directory.wait_until_up();
        let printed = directory.command(&["ca-fingerprint"], None);
        directory.fingerprint = printed.trim().to_owned();
        directory
    }

    /// Writes the configuration anew with other names, and has it read while it runs.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn rename(&self, names: &[&str]) {
        configure(&self.folder, "", self.port, names);
        self.process.signal(rustix::process::Signal::HUP);
    }

    /// Writes the configuration anew with these lines in it, and has it read while it runs.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn reconfigure(&self, config: &str) {
        configure(&self.folder, config, self.port, &["127.0.0.1", "localhost"]);
        self.process.signal(rustix::process::Signal::HUP);
    }

    /// Its state folder, where its keys are.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Starts it again after a stop or a kill, as it was.
    pub fn restart(&mut self) {
        self.process = serve(&self.folder, &self.environment);
        self.wait_until_up();
    }

    /// Makes an account.
    #[must_use]
    pub fn add_user(&self, name: &str) -> Account {
        let password = format!("{name}'s own password");
        self.command(
            &["admin", "user", "add", name, "--password-stdin"],
            Some(&password),
        );
        Account {
            name: name.to_owned(),
            password,
        }
    }

    /// Runs a subcommand that must succeed; what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, args: &[&str], stdin: Option<&str>) -> String {
        let config = self.folder.join("directory.toml");
        let mut child = Command::new(program("p2p-directory"))
            .args(args)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("p2p-directory");
        if let Some(text) = stdin {
            use std::io::Write;
            child
                .stdin
                .take()
                .expect("a pipe")
                .write_all(text.as_bytes())
                .expect("a pipe");
        }
        let output = child.wait_with_output().expect("p2p-directory");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The same, as JSON.
    ///
    /// # Panics
    /// When it fails or prints something else.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.command(&args, None)).expect("JSON")
    }

    fn wait_until_up(&mut self) {
        let (port, process) = (self.port, &mut self.process);
        wait::until("the directory to listen", wait::SOON, || {
            assert!(process.runs(), "p2p-directory ended: {}", process.log());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let socket = self.folder.join("run/admin.sock");
        wait::until("the admin socket", wait::SOON, || socket.exists().then_some(()));
    }
}

fn configure(folder: &Path, config: &str, port: u16, names: &[&str]) {
    let liveness = if config.contains("[liveness]") {
        ""
    } else {
        "[liveness]\nping_interval = \"500ms\"\nlease = \"3s\"\n"
    };
    let text = format!(
        "state_dir = \"{0}/state\"\nruntime_dir = \"{0}/run\"\n{liveness}{config}\n[api]\nlisten = [\"127.0.0.1:{port}\"]\nnames = {names:?}\n",
        folder.display()
    );
    fs::write(folder.join("directory.toml"), text).expect("a configuration");
}

fn serve(folder: &Path, environment: &[(String, String)]) -> Process {
    let mut command = Command::new(program("p2p-directory"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
        .arg("serve")
        .arg("--config")
        .arg(folder.join("directory.toml"));
    Process::start(command, &folder.join("log"))
}
