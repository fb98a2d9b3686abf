//! Several machines on this one: each has a network, a host name, files, users and processes of its own, and a cable to
//! one switch. [`bare`] ones run the programs that were just built, as packages would; [`debian`] ones are a real Debian
//! with a real systemd, where packages are installed. Machines end when they are dropped, and with them all that runs on
//! them; nothing of the host is changed.

mod bare;
mod debian;
mod shell;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
};

pub use self::{debian::Layer, shell::Shell};
use crate::{Terminal, check, wait};

/// The first three numbers of every address.
const NETWORK: &str = "10.74.0";

/// Machines that see each other under their names, and `NAME.lab`.
pub struct Lab {
    machines: Vec<Machine>,
    // Last: who ends badly shows his logs first.
    _folder: tempfile::TempDir,
}

/// What is on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bare,
    Debian,
}

/// One machine.
pub struct Machine {
    /// Its name, without `.lab`.
    pub name: String,
    kind: Kind,
    /// The process that its namespaces are known by on the host.
    outside: String,
    folder: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
}

impl Lab {
    /// Starts bare ones. None, said loudly, where this user or kernel has no machines to give.
    ///
    /// # Panics
    /// When they do not come up; and where tests may not be left out.
    #[must_use]
    pub fn start(names: &[&str]) -> Option<Self> {
        possible().then(|| {
            Self::connected(names, |folder, name, hosts| {
                let command = bare::command(folder, name, hosts);
                Machine::boot(Kind::Bare, folder, name, command)
            })
        })
    }

    /// Starts Debian ones, each with these layers over the plain one; `prepare` gets its files before it boots.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn debian(machines: &[(&str, Layer)], prepare: impl Fn(&str, &Path)) -> Option<Self> {
        let names: Vec<&str> = machines.iter().map(|(name, _)| *name).collect();
        let layer = |of: &str| {
            machines
                .iter()
                .find(|(name, _)| *name == of)
                .map(|(_, layer)| *layer)
        };
        if !possible() || !debian::available() {
            return None;
        }
        let lab = Self::connected(&names, |folder, name, hosts| match layer(name) {
            Some(layer) => {
                let command = debian::command(folder, name, hosts, layer, |files| prepare(name, files));
                Machine::boot(Kind::Debian, folder, name, command)
            }
            None => Machine::boot(Kind::Bare, folder, name, bare::command(folder, name, hosts)),
        });
        for machine in &lab.machines {
            machine.comes_up();
        }
        Some(lab)
    }

    /// Boots these and a switch, and connects them.
    fn connected(names: &[&str], boot: impl Fn(&Path, &str, &str) -> Machine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hosts: Vec<String> = (1..)
            .zip(names)
            .map(|(number, name)| format!("{NETWORK}.{number} {name}.lab {name}\n"))
            .collect();
        let hosts = format!("127.0.0.1 localhost\n{}", hosts.concat());
        let boot = |name: &str| boot(&folder.path().join(name), name, &hosts);
        let mut machines: Vec<Machine> = names.iter().copied().map(boot).collect();
        let switch = boot("switch");
        switch.network("ip link add br0 type bridge && ip link set br0 up");
        for (number, machine) in (1..).zip(&machines) {
            let pid = &machine.outside;
            // Of processes only the host knows all.
            switch.network(&format!(
                "ip link add p{number} type veth peer name eth0 netns {pid} && ip link set p{number} master br0 up"
            ));
            machine.network(&format!(
                "ip addr add {NETWORK}.{number}/24 dev eth0 && ip link set eth0 up"
            ));
        }
        machines.push(switch);
        Self {
            machines,
            _folder: folder,
        }
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn machine(&self, name: &str) -> &Machine {
        let found = self.machines.iter().find(|machine| machine.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// There can be machines here.
fn possible() -> bool {
    let made = Command::new("unshare")
        .args([
            "--net", "--mount", "--uts", "--pid", "--fork", "ip", "link", "add", "br0", "type", "bridge",
        ])
        .output();
    let possible = made.is_ok_and(|output| output.status.success());
    if !possible {
        check::not_tested("machines of their own need root, namespaces and bridges (util-linux, iproute2)");
    }
    possible
}

impl Machine {
    fn boot(kind: Kind, folder: &Path, name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let input = child.stdin.take();
        let mut outside = String::new();
        let said = child.stdout.take().expect("a pipe");
        BufReader::new(said).read_line(&mut outside).expect("text");
        assert!(!outside.is_empty(), "{name} did not come up");
        Self {
            name: name.to_owned(),
            kind,
            outside: outside.trim().to_owned(),
            folder: folder.to_owned(),
            child,
            input,
        }
    }

    /// A file of this machine, as the host sees it.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        let inside = inside.trim_start_matches('/');
        match self.kind {
            Kind::Bare => self.folder.join(inside),
            // Its files are mounted where only it sees them.
            Kind::Debian => Path::new("/proc")
                .join(&self.outside)
                .join("root")
                .join(self.folder.strip_prefix("/").expect("a whole path"))
                .join("root")
                .join(inside),
        }
    }

    /// A shell command of this user, in his home, with nothing but the usual in its environment.
    #[must_use]
    pub fn command(&self, user: &str, script: &str) -> Command {
        self.runs_as(user, &[], &["sh", "-c", script])
    }

    /// Runs a shell command of this user, that must succeed; what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn runs(&self, user: &str, script: &str) -> String {
        done(&mut self.command(user, script))
    }

    /// Starts again as a person would have it, and is up again.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn reboots(&self) {
        let before = self.first_process().expect("a machine that runs");
        // It ends with the machine.
        let _ = self.command("root", "systemctl reboot").output();
        wait::until("the machine to go down and come back", 3 * wait::SOON, || {
            self.first_process().filter(|now| *now != before)
        });
        self.comes_up();
    }

    /// A shell of this user on a terminal.
    #[must_use]
    pub fn shell(&self, user: &str) -> Shell {
        let prompt = format!("{user}@{}$", self.name);
        // Without job control: its process groups are outside of this machine.
        let command = self.runs_as(user, &[("PS1", &format!("{prompt} "))], &["sh", "+m", "-i"]);
        let shell = Shell {
            terminal: Terminal::start(&command, (120, 50)),
            prompt,
        };
        shell.until_prompts(1);
        shell
    }

    fn comes_up(&self) {
        if self.kind == Kind::Bare {
            return;
        }
        let up = wait::often(3 * wait::SOON, || {
            self.first_process()?;
            let output = self
                .command("root", "systemctl is-system-running")
                .output()
                .ok()?;
            matches!(output.stdout.trim_ascii(), b"running" | b"degraded").then_some(())
        });
        let console = || fs::read_to_string(self.folder.join("console")).unwrap_or_default();
        assert!(up.is_some(), "{} does not come up:\n{}", self.name, console());
    }

    /// The machine's own first process, as the host numbers it.
    fn first_process(&self) -> Option<String> {
        match self.kind {
            Kind::Bare => Some(self.outside.clone()),
            Kind::Debian => debian::first_process(&self.outside),
        }
    }

    /// Changes its network, with the host's tools and rights.
    ///
    /// # Panics
    /// When that fails.
    pub fn network(&self, script: &str) {
        done(Command::new("nsenter").args(["--target", &self.outside, "--net", "sh", "-c", script]));
    }

    fn runs_as(&self, user: &str, environment: &[(&str, &str)], words: &[&str]) -> Command {
        let home = match self.kind {
            Kind::Bare => bare::home(user),
            Kind::Debian => debian::home(user),
        };
        let pid = self.first_process().unwrap_or_default();
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target", &pid, "--net", "--mount", "--uts", "--ipc", "--pid", "--root", "--",
            ])
            .args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"])
            .args([
                "env",
                "-i",
                "--chdir",
                &home,
                "TERM=xterm-256color",
                "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            ])
            .args([format!("HOME={home}"), format!("USER={user}")])
            .args(environment.iter().map(|(name, value)| format!("{name}={value}")))
            .args(words);
        command
    }

    fn tells(&self) {
        match self.kind {
            Kind::Bare => {
                for name in ["p2pd", "p2p-directory"] {
                    if let Ok(log) = fs::read_to_string(self.path("var/log").join(name)) {
                        eprintln!("--- {name} on {} ---\n{log}", self.name);
                    }
                }
            }
            Kind::Debian => {
                let journal = "journalctl --no-pager --boot --lines 60 --unit 'p2p*'";
                let told = self.command("root", journal).output();
                let told = told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                eprintln!("--- {} ---\n{}", self.name, told.unwrap_or_default());
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tells();
        }
        // A bare one's first process ends with its input, and all others with that; only then its files are nobody's.
        drop(self.input.take());
        if self.kind == Kind::Debian {
            // An error means that it has ended already.
            let _ = self.child.kill();
            let gone = || (!Path::new("/proc").join(&self.outside).exists()).then_some(());
            let _ = wait::often(wait::SOON, gone);
        }
        let _ = self.child.wait();
    }
}

/// Runs it; what it printed.
fn done(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().expect("a program");
    let told = String::from_utf8_lossy(&stderr);
    assert!(
        status.success(),
        "{command:?}: {status}\n{}{told}",
        String::from_utf8_lossy(&stdout)
    );
    String::from_utf8(stdout).expect("text")
}
