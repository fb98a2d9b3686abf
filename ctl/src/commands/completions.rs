//! `completions`: the script that completes commands in a shell, made from the command line itself.

use clap::CommandFactory;

use crate::{
    cli::{Cli, CompletionsArgs, Shell},
    context::Context,
    exit::Stop,
    output::json,
};

/// Prints the script.
pub(crate) fn run(ctx: &Context, args: &CompletionsArgs) -> Result<(), Stop> {
    let script = script(args.shell);
    if ctx.out.is_json() {
        let shell = word(args.shell);
        return ctx.out.json("completions", &json::Completions { shell, script });
    }
    ctx.out.line(script.trim_end())
}

fn script(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => p2p_packaging::Shell::Bash,
        Shell::Zsh => p2p_packaging::Shell::Zsh,
        Shell::Fish => p2p_packaging::Shell::Fish,
    };
    let mut script = Vec::new();
    p2p_packaging::completions(generator, &Cli::command(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

const fn word(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn each_script_knows_each_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for verb in Cli::command().get_subcommands() {
                let (name, hidden) = (verb.get_name(), verb.is_hide_set());
                assert_eq!(script.contains(name), !hidden, "{shell:?} {name}");
            }
        }
    }

    /// What a shell says that reads the script and then does this; none where that shell is not installed.
    fn sourced(shell: Shell, then: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        std::fs::write(&file, script(shell)).unwrap();
        // zsh completes only once it was told to.
        let first = match shell {
            Shell::Zsh => "autoload -U compinit && compinit -u -D && ",
            Shell::Bash | Shell::Fish => "",
        };
        let line = format!("{first}source '{}' && {then}", file.display());
        match Command::new(word(shell)).args(["-c", &line]).output() {
            Ok(done) => {
                assert!(done.status.success(), "{done:?}");
                Some(String::from_utf8(done.stdout).unwrap())
            }
            Err(error) => {
                eprintln!("NOT TESTED: {}: {error}", word(shell));
                None
            }
        }
    }

    #[test]
    fn bash_completes_a_verb_and_a_flag() {
        // As bash calls it: the command, the word under the cursor and the one before.
        let completes = |words: &str, at: u32| {
            let then = format!(
                "COMP_WORDS=({words}) COMP_CWORD={at} && \
                 _p2pctl p2pctl \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{at}-1]}}\" && \
                 echo \"${{COMPREPLY[@]}}\""
            );
            sourced(Shell::Bash, &then).expect("bash is everywhere")
        };
        assert_eq!(completes("p2pctl downl", 1).trim(), "download");
        assert_eq!(completes("p2pctl upload --cop", 2).trim(), "--copies");
        assert_eq!(completes("p2pctl completions f", 2).trim(), "fish");
    }

    #[test]
    fn zsh_and_fish_can_read_theirs() {
        sourced(Shell::Fish, "complete -C 'p2pctl downl'").inspect(|said| assert!(said.contains("download")));
        sourced(Shell::Zsh, "echo $_comps[p2pctl]")
            .inspect(|said| assert!(said.contains("_p2pctl"), "{said}"));
    }
}
