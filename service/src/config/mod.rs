//! Configuration in layers: flags over environment over file over default.
//!
//! An environment variable names a key as `PREFIX` and the key in capitals, with `__` between levels:
//! `P2PD_STORE__MAX_SIZE=1GiB`. Lists are separated by commas. The flag `--set store.max_size=1GiB` goes before it.
//! [`wrong`] says what is wrong in words that help, [`entries`] what changed between two configurations.

mod entries;
mod values;
mod wrong;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use self::{
    entries::{Changes, Entry, When, changes, quoted},
    values::{HumanDuration, Limit, LogFilter, Rate, address_or_nowhere, size_text},
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something wrong.
    #[error("{}:{line}: {message}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, with the key.
        message: String,
    },
    /// A variable or a flag says something wrong.
    #[error("{variable}: {message}")]
    Environment {
        /// Which.
        variable: String,
        /// What is wrong.
        message: String,
    },
}

/// Where a program's configuration comes from. Read again as often as wanted: flags and environment stay, the file may
/// have changed.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of `--config`; it must exist.
    pub file: Option<PathBuf>,
    /// What `--set` says, as `KEY=VALUE`.
    pub set: Vec<String>,
}

/// What a program's variables are called, and where its file is.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// What its environment variables begin with.
    pub prefix: &'a str,
    /// Variables with that prefix that are no keys.
    pub reserved: &'a [&'a str],
    /// The file that may be missing.
    pub default_file: &'a Path,
}

/// A key and its value from outside the file.
struct Override {
    /// How the user wrote the key.
    shown: String,
    keys: Vec<String>,
    value: String,
}

impl Sources {
    /// From this file alone, or the default one.
    #[must_use]
    pub fn file(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            set: Vec::new(),
        }
    }

    /// The configuration. A file that was named must exist; a missing default one means defaults.
    ///
    /// # Errors
    /// What cannot be read or understood, with file, line and key, or with the variable's or the flag's name.
    pub fn load<T: DeserializeOwned>(&self, naming: Naming<'_>) -> Result<T, ConfigError> {
        let Naming { prefix, reserved, .. } = naming;
        let mut variables: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .filter(|(name, _)| name.starts_with(prefix) && !reserved.contains(&name.as_str()))
            .collect();
        // Always the same one is complained of first.
        variables.sort();
        let mut over = from_variables(prefix, &variables);
        for text in &self.set {
            over.push(flag(text)?);
        }
        let (file, text) = read(self.file.as_deref(), naming.default_file)?;
        layers(&file, &text, &over)
    }

    /// What `--check-config` says of a good configuration: which file it is, or that there is none.
    #[must_use]
    pub fn verdict(&self, naming: Naming<'_>) -> String {
        let file = self.file.as_deref().unwrap_or(naming.default_file);
        if file.exists() {
            format!("{}: good", file.display())
        } else {
            format!("{}: missing, so the defaults hold", file.display())
        }
    }
}

fn flag(text: &str) -> Result<Override, ConfigError> {
    let bad = || ConfigError::Environment {
        variable: format!("--set {text}"),
        message: "write KEY=VALUE, for example store.max_size=1TiB".to_owned(),
    };
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    Ok(Override {
        shown: format!("--set {key}"),
        keys: key.trim().split('.').map(str::to_owned).collect(),
        value: value.trim().to_owned(),
    })
}

fn from_variables(prefix: &str, variables: &[(String, String)]) -> Vec<Override> {
    let over = variables.iter().map(|(variable, value)| Override {
        shown: variable.clone(),
        keys: variable
            .strip_prefix(prefix)
            .unwrap_or(variable)
            .split("__")
            .map(str::to_lowercase)
            .collect(),
        value: value.clone(),
    });
    over.collect()
}

fn read(explicit: Option<&Path>, default: &Path) -> Result<(PathBuf, String), ConfigError> {
    let file = explicit.unwrap_or(default).to_owned();
    match fs::read_to_string(&file) {
        Ok(text) => Ok((file, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && explicit.is_none() => {
            Ok((file, String::new()))
        }
        Err(source) => Err(ConfigError::Read { file, source }),
    }
}

/// The configuration in the text of `file`, with these variables over it.
///
/// # Errors
/// What cannot be understood, with file, line and key, or with the variable's name.
pub fn layered<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    prefix: &str,
    variables: &[(String, String)],
) -> Result<T, ConfigError> {
    layers(file, text, &from_variables(prefix, variables))
}

fn layers<T: DeserializeOwned>(file: &Path, text: &str, over: &[Override]) -> Result<T, ConfigError> {
    let wrong = |error: &toml::de::Error, message: String| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        ConfigError::File {
            file: file.to_owned(),
            line,
            message,
        }
    };
    let mut table: Table = toml::from_str(text).map_err(|error| wrong(&error, wrong::one_line(&error)))?;
    // From the text, an error has a line; from the table it has a key.
    let mut config: T = match toml::from_str(text) {
        Ok(config) => config,
        Err(with_line) => {
            let message = match from_table::<T>(&table) {
                Err(with_key) => wrong::sentence(&with_key),
                Ok(_) => wrong::one_line(&with_line),
            };
            return Err(wrong(&with_line, message));
        }
    };
    for Override { shown, keys, value } in over {
        let wrong = |message: String| ConfigError::Environment {
            variable: shown.clone(),
            message,
        };
        config = set_any(&mut table, keys, value).map_err(wrong)?;
    }
    Ok(config)
}

fn from_table<T: DeserializeOwned>(table: &Table) -> Result<T, toml::de::Error> {
    T::deserialize(Value::Table(table.clone()))
}

/// Sets the key to the first reading of the text that the configuration takes.
fn set_any<T: DeserializeOwned>(table: &mut Table, keys: &[String], text: &str) -> Result<T, String> {
    let mut refused = String::new();
    for value in readings(text) {
        let mut trial = table.clone();
        set(&mut trial, keys, value)?;
        match from_table(&trial) {
            Ok(config) => {
                *table = trial;
                return Ok(config);
            }
            // The variable names the key.
            Err(error) => refused = wrong::without_key(&error),
        }
    }
    Err(refused)
}

/// A text may be a list, a number or a truth value; above all it is a text, whose complaint is the best to read.
fn readings(text: &str) -> Vec<Value> {
    let list = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let list = Value::Array(list.map(|part| Value::String(part.to_owned())).collect());
    let number = text.parse().ok().map(Value::Integer);
    let truth = text.parse().ok().map(Value::Boolean);
    [Some(list), number, truth, Some(Value::String(text.to_owned()))]
        .into_iter()
        .flatten()
        .collect()
}

fn set(table: &mut Table, keys: &[String], value: Value) -> Result<(), String> {
    let Some((last, parents)) = keys.split_last() else {
        return Err("names no key".to_owned());
    };
    let mut at = table;
    for key in parents {
        let next = at
            .entry(key.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        at = next
            .as_table_mut()
            .ok_or_else(|| format!("{key} has no keys in it"))?;
    }
    at.insert(last.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use p2p_proto::ByteCount;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        name: String,
        wait: HumanDuration,
        store: Store,
    }

    #[derive(Debug, Default, Deserialize, PartialEq, Eq)]
    #[serde(default, deny_unknown_fields)]
    struct Store {
        max_size: Limit,
        count: u32,
        paths: Vec<String>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                name: "x".into(),
                wait: HumanDuration(Duration::from_secs(10)),
                store: Store::default(),
            }
        }
    }

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Sample, String> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        layered(Path::new("/etc/t.toml"), text, "T_", &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_means_defaults() {
        assert_eq!(load("", &[]).unwrap(), Sample::default());
    }

    #[test]
    fn environment_over_file_over_default() {
        let text = "name = \"file\"\nwait = \"2m\"\n[store]\nmax_size = \"1GiB\"\ncount = 3\n";
        let both = load(
            text,
            &[
                ("T_NAME", "env"),
                ("T_STORE__COUNT", "4"),
                ("T_STORE__PATHS", "/a, /b"),
            ],
        )
        .unwrap();
        assert_eq!(
            (both.name.as_str(), both.wait.0.as_secs(), both.store.count),
            ("env", 120, 4)
        );
        assert_eq!(both.store.max_size, Limit(Some(ByteCount(1 << 30))));
        assert_eq!(both.store.paths, ["/a", "/b"]);
        assert_eq!(load(text, &[("T_NAME", "12")]).unwrap().name, "12");
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let error = load("name = \"a\"\n[store]\nmaxsize = \"1GiB\"\n", &[]).unwrap_err();
        assert!(
            error.starts_with("/etc/t.toml:3: unknown key maxsize; did you mean max_size?"),
            "{error}"
        );
        let error = load("\nwait = \"soon\"\n", &[]).unwrap_err();
        assert!(error.starts_with("/etc/t.toml:2: wait: \"soon\""), "{error}");
        let error = load("name = \n", &[]).unwrap_err();
        assert!(error.starts_with("/etc/t.toml:1: "), "{error}");
    }

    #[test]
    fn errors_name_the_variable() {
        let error = load("", &[("T_STORE__MAXSIZE", "1")]).unwrap_err();
        assert!(
            error.starts_with("T_STORE__MAXSIZE: unknown key maxsize; did you mean max_size?"),
            "{error}"
        );
        let error = load("", &[("T_STOR__COUNT", "1")]).unwrap_err();
        assert_eq!(error, "T_STOR__COUNT: unknown key stor; did you mean store?");
        let error = load("", &[("T_WAIT", "soon")]).unwrap_err();
        assert!(error.starts_with("T_WAIT: ") && error.contains("soon"), "{error}");
    }

    #[test]
    fn a_given_file_must_exist() {
        let naming = Naming {
            prefix: "TX_",
            reserved: &[],
            default_file: Path::new("/nonexistent/t.toml"),
        };
        assert!(Sources::default().load::<Sample>(naming).is_ok());
        assert!(Sources::default().verdict(naming).ends_with("the defaults hold"));
        let missing = Sources::file(Some(naming.default_file));
        assert!(missing.load::<Sample>(naming).is_err());
    }

    #[test]
    fn flags_go_before_variables() {
        let over = |set: &str| {
            let mut over = from_variables("T_", &[("T_STORE__COUNT".to_owned(), "4".to_owned())]);
            over.push(flag(set).map_err(|error| error.to_string())?);
            layers::<Sample>(Path::new("x"), "[store]\ncount = 3\n", &over).map_err(|error| error.to_string())
        };
        assert_eq!(over("store.count=5").unwrap().store.count, 5);
        assert_eq!(over("name=x").unwrap().store.count, 4);
        assert_eq!(
            over("store.cuont=5").unwrap_err(),
            "--set store.cuont: unknown key cuont; did you mean count?"
        );
        assert!(over("store.count").unwrap_err().contains("KEY=VALUE"));
    }
}
