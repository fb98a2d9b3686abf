//! Several machines on this one: each has a network, a host name, files, users and processes of its own, and a cable to
//! one switch. The programs run there as packages run them: as users of their own, with every default. Machines end when
//! they are dropped, and with them all that runs on them; nothing of the host is changed.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
};

use crate::{Terminal, check, process::program, wait};

/// The first three numbers of every address.
const NETWORK: &str = "10.74.0";

/// The users that every machine has, with their ids; its administrator is root by another name, so that `sudo` is easy.
const USERS: [(&str, u32); 5] = [
    ("root", 0),
    ("admin", 0),
    ("p2pd", 991),
    ("p2p-directory", 992),
    ("ana", 1000),
];

/// Makes a machine's files, and becomes its first process.
const BOOT: &str = include_str!("lab/boot.sh");

/// What becomes root's without a password.
const SUDO: &str = "#!/bin/sh\nSUDO_USER=admin exec \"$@\"\n";

/// Stands for a package until there are some.
const APT: &str = include_str!("lab/apt.sh");

/// Machines that see each other under their names, and `NAME.lab`.
pub struct Lab {
    machines: Vec<Machine>,
    // Last: who ends badly shows his logs first.
    _folder: tempfile::TempDir,
}

/// One machine.
pub struct Machine {
    /// Its name, without `.lab`.
    pub name: String,
    pid: String,
    files: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
}

impl Lab {
    /// Starts them. None, said loudly, where this user or kernel has no machines to give.
    ///
    /// # Panics
    /// When they do not come up; and where tests may not be left out.
    #[must_use]
    pub fn start(names: &[&str]) -> Option<Self> {
        let made = Command::new("unshare")
            .args([
                "--net", "--mount", "--uts", "--pid", "--fork", "ip", "link", "add", "br0", "type", "bridge",
            ])
            .output();
        if !made.is_ok_and(|output| output.status.success()) {
            check::not_tested(
                "machines of their own need root, namespaces and bridges (util-linux, iproute2)",
            );
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hosts: Vec<String> = (1..)
            .zip(names)
            .map(|(number, name)| format!("{NETWORK}.{number} {name}.lab {name}\n"))
            .collect();
        let hosts = format!("127.0.0.1 localhost\n{}", hosts.concat());
        let boot = |name: &str| Machine::boot(folder.path(), name, &hosts);
        let mut machines: Vec<Machine> = names.iter().copied().map(boot).collect();
        let switch = boot("switch");
        switch.root("ip link add br0 type bridge && ip link set br0 up");
        for (number, machine) in (1..).zip(&machines) {
            let pid = &machine.pid;
            // Of processes only the host knows all.
            let cable = format!("ip link add p{number} type veth peer name eth0 netns {pid}");
            done(Command::new("nsenter").args(["--target", &switch.pid, "--net", "sh", "-c", &cable]));
            switch.root(&format!("ip link set p{number} master br0 up"));
            machine.root(&format!(
                "ip addr add {NETWORK}.{number}/24 dev eth0 && ip link set eth0 up"
            ));
        }
        machines.push(switch);
        Some(Self {
            machines,
            _folder: folder,
        })
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

impl Machine {
    fn boot(folder: &Path, name: &str, hosts: &str) -> Self {
        let files = folder.join(name);
        make_files(&files, hosts);
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private", "sh", "-ec", BOOT, "sh"])
            .args([files.as_os_str(), name.as_ref()])
            .env("BIN", program("p2pd").parent().expect("a folder"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let input = child.stdin.take();
        let mut pid = String::new();
        let said = child.stdout.take().expect("a pipe");
        BufReader::new(said).read_line(&mut pid).expect("text");
        assert!(!pid.is_empty(), "{name} did not come up");
        Self {
            name: name.to_owned(),
            pid: pid.trim().to_owned(),
            files,
            child,
            input,
        }
    }

    /// A file of this machine, as the host sees it.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.files.join(inside.trim_start_matches('/'))
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

    fn root(&self, script: &str) {
        self.runs("root", script);
    }

    fn runs_as(&self, user: &str, environment: &[(&str, &str)], words: &[&str]) -> Command {
        let home = home(user);
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target", &self.pid, "--net", "--mount", "--uts", "--pid", "--root", "--",
            ])
            .args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"])
            .args([
                "env",
                "-i",
                "--chdir",
                &home,
                "TERM=xterm-256color",
                "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ])
            .args([format!("HOME={home}"), format!("USER={user}")])
            .args(environment.iter().map(|(name, value)| format!("{name}={value}")))
            .args(words);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["p2pd", "p2p-directory"] {
                if let Ok(log) = fs::read_to_string(self.path("var/log").join(name)) {
                    eprintln!("--- {name} on {} ---\n{log}", self.name);
                }
            }
        }
        // Its first process ends with its input, all others with that, and only then their files are nobody's.
        drop(self.input.take());
        // An error means that it has ended already.
        let _ = self.child.wait();
    }
}

/// A shell on a terminal, and what a person sees there.
pub struct Shell {
    terminal: Terminal,
    prompt: String,
}

impl Shell {
    /// Types a command, and waits until it has ended.
    ///
    /// # Panics
    /// When it does not.
    pub fn types(&mut self, command: &str) {
        self.asks(command, &[]);
    }

    /// Types a command, and an answer after each of these questions; waits until it has ended.
    ///
    /// # Panics
    /// When a question does not come, or it does not end.
    pub fn asks(&mut self, command: &str, answers: &[(&str, &str)]) {
        let prompts = self.prompts();
        self.terminal.types(&format!("{command}\n"));
        for (question, answer) in answers {
            self.terminal.shows(question);
            self.terminal.types(&format!("{answer}\n"));
        }
        self.until_prompts(prompts + 1);
    }

    /// All that is on the screen, without the prompt at its end.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.terminal.text();
        let text = text.strip_suffix(&self.prompt).expect("a prompt");
        text.to_owned()
    }

    fn prompts(&self) -> usize {
        let text = self.terminal.text();
        text.lines().filter(|line| line.starts_with(&self.prompt)).count()
    }

    fn until_prompts(&self, count: usize) {
        let came = wait::often(wait::SOON * 2, || {
            let ready = self.prompts() == count && self.terminal.text().ends_with(&self.prompt);
            ready.then_some(())
        });
        assert!(came.is_some(), "no prompt:\n{}", self.terminal.text());
    }
}

fn home(user: &str) -> String {
    match user {
        "root" => "/root".to_owned(),
        "ana" => "/home/ana".to_owned(),
        _ => "/tmp".to_owned(),
    }
}

/// What a machine has before it is booted.
fn make_files(files: &Path, hosts: &str) {
    let folders = [
        "usr",
        "proc",
        "dev",
        "sys",
        "etc/p2pd",
        "etc/p2p-directory",
        "run",
        "tmp",
        "root",
        "home/ana",
        "data",
        "var/lib",
        "var/log",
        "tools",
    ];
    for folder in folders {
        fs::create_dir_all(files.join(folder)).expect("a folder");
    }
    for open in ["", "etc", "run", "home", "var", "var/lib"] {
        fs::set_permissions(files.join(open), fs::Permissions::from_mode(0o755)).expect("a folder");
    }
    fs::set_permissions(files.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a folder");
    let lines = |line: &dyn Fn(&str, u32) -> String| -> String {
        USERS.iter().map(|(name, id)| line(name, *id)).collect()
    };
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(files.join(name), text).expect("a file");
        fs::set_permissions(files.join(name), fs::Permissions::from_mode(mode)).expect("a file");
    };
    let account = |name: &str, id: u32| format!("{name}:x:{id}:{id}::{}:/bin/sh\n", home(name));
    write("etc/passwd", &lines(&account), 0o644);
    write(
        "etc/group",
        &lines(&|name, id| format!("{name}:x:{id}:\n")),
        0o644,
    );
    write("etc/hosts", hosts, 0o644);
    write(
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
        0o644,
    );
    write("tools/sudo", SUDO, 0o755);
    write("tools/apt", APT, 0o755);
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
