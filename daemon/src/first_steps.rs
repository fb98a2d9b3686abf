//! `p2pd first-steps`: what the package says once it has started the daemon. Internal: the maintainer script runs it, and
//! so does the test of the first hour, so that both say the same.

use std::{env, fs, ops::Range, os::unix::net::UnixStream, process::ExitCode};

use crate::Config;

/// Ids of the people of a machine, as Debian gives them.
const PEOPLE: Range<u32> = 1000..60_000;

/// Says what is next; fails when no daemon answers.
#[must_use]
pub fn run(config: &Config) -> ExitCode {
    let socket = config.control_socket();
    if let Err(error) = UnixStream::connect(&socket) {
        eprintln!(
            "p2pd: nothing answers at {}: {error}. Is it running? sudo systemctl status p2pd",
            socket.display()
        );
        return ExitCode::FAILURE;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = person(env::var("SUDO_USER").ok().as_deref(), &accounts).unwrap_or("USER");
    let group = &config.control.group;
    println!("p2pd runs. Next: sudo usermod -aG {group} {user}; then, as {user}: p2pctl login");
    ExitCode::SUCCESS
}

/// Who will use the daemon: the person that called sudo, or the only person of this machine.
fn person<'a>(caller: Option<&str>, accounts: &'a str) -> Option<&'a str> {
    let people: Vec<&str> = accounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, id) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            PEOPLE.contains(&id).then_some(name)
        })
        .collect();
    match people.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|name| Some(**name) == caller).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_one_that_called_or_the_only_one() {
        let root = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
        let ana = format!("{root}ana:x:1000:1000::/home/ana:/bin/sh\n");
        let both = format!("{ana}bea:x:1001:1001::/home/bea:/bin/sh\n");
        assert_eq!(person(Some("root"), root), None);
        assert_eq!(person(Some("root"), &ana), Some("ana"));
        assert_eq!(person(None, &both), None);
        assert_eq!(person(Some("bea"), &both), Some("bea"));
        assert_eq!(person(Some("eve"), &both), None);
    }
}
