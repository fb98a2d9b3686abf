//! `make torture SEED= COUNT= POINT=`: kills daemons while work is in flight, and checks that nothing is lost. Without a
//! seed it takes one from the clock, and prints it. Exit 1 with a violation, 2 for a bad number.

use std::{
    io::Write,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use p2p_tests::torture::{Wish, run};

fn main() -> ExitCode {
    match wish() {
        Ok(wish) => match run(wish, &mut std::io::stdout().lock()) {
            Ok(tally) if tally.violations() == 0 => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "torture: {error}");
                ExitCode::FAILURE
            }
        },
        Err(complaint) => {
            eprintln!("torture: {complaint}");
            ExitCode::from(2)
        }
    }
}

fn wish() -> Result<Wish, String> {
    let only = number("POINT")?;
    let seed = match number("SEED")? {
        Some(seed) => seed,
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |now| now.as_secs()),
    };
    let count = number("COUNT")?.unwrap_or(if only.is_some() { 1 } else { 240 });
    let small = |number: u64| u32::try_from(number).map_err(|_| format!("{number} is too many"));
    Ok(Wish {
        seed,
        count: small(count)?,
        only: only.map(small).transpose()?,
    })
}

/// An environment variable; unset and empty are the same.
fn number(name: &str) -> Result<Option<u64>, String> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            let number = text.parse();
            number
                .map(Some)
                .map_err(|_| format!("{name}={text} is no number"))
        }
        _ => Ok(None),
    }
}
