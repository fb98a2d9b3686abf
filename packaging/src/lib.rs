//! What a package has of a program besides the program: man pages and completions, made from its command line, so that
//! they say what it does. Each program has a hidden command `package-files FOLDER` for it.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use clap::{Command, CommandFactory};
pub use clap_complete::Shell;
use clap_mangen::Man;

/// In which part of the manual a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// For everybody.
    Commands,
    /// For who administers the machine.
    Administration,
}

/// Writes them there: a page for the program and for each of its commands, a script for each shell.
///
/// # Errors
/// Those of the file system.
pub fn package_files<C: CommandFactory>(section: Section, folder: &Path) -> io::Result<()> {
    let command = C::command();
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file = folder.join(match shell {
            Shell::Zsh => format!("_{name}"),
            shell => format!("{name}.{shell}"),
        });
        completions(shell, &command, &mut File::create(file)?);
    }
    let mut command = C::command().disable_help_subcommand(true);
    command.build();
    pages(&command, section, folder)
}

/// Writes the script that completes this program's commands in that shell.
pub fn completions(shell: Shell, command: &Command, to: &mut dyn Write) {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut shown(command), name, to);
}

/// The command line without what is hidden: the scripts would offer it.
fn shown(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .groups(command.get_groups().cloned())
        .subcommands(
            command
                .get_subcommands()
                .filter(|below| !below.is_hide_set())
                .map(shown),
        );
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown.visible_aliases(
        command
            .get_visible_aliases()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

fn pages(command: &Command, section: Section, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, section, folder)?;
    }
    let (number, manual) = match section {
        Section::Commands => ("1", "User commands"),
        Section::Administration => ("8", "System administration"),
    };
    let source = concat!("p2pd ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone())
        .section(number)
        .manual(manual)
        .source(source);
    page.generate_to(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::{Parser, Subcommand};

    use super::*;

    #[derive(Parser)]
    #[command(name = "tool", version)]
    struct Tool {
        #[command(subcommand)]
        _command: Verb,
    }

    #[derive(Subcommand)]
    enum Verb {
        /// Does it
        Act,
        /// Nobody asks for it
        #[command(hide = true)]
        Secret,
    }

    #[test]
    fn each_command_has_a_page_and_each_shell_a_script() {
        let folder = tempfile::tempdir().unwrap();
        package_files::<Tool>(Section::Administration, folder.path()).unwrap();
        let mut found: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, ["_tool", "tool-act.8", "tool.8", "tool.bash", "tool.fish"]);
        for script in ["_tool", "tool.bash", "tool.fish"] {
            let script = fs::read_to_string(folder.path().join(script)).unwrap();
            assert!(script.contains("act") && !script.contains("secret"), "{script}");
        }
        let page = fs::read_to_string(folder.path().join("tool-act.8")).unwrap();
        assert!(
            page.contains("Does it") && page.contains(".TH tool-act 8"),
            "{page}"
        );
    }
}
