//! Configuration in layers: environment over file over default. Flags are the program's own.
//!
//! An environment variable names a key as `PREFIX` and the key in capitals, with `__` between levels:
//! `P2PD_STORE__MAX_SIZE=1GiB`. Lists are separated by commas.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use p2p_proto::ByteCount;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use toml::{Table, Value};

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
    /// A variable says something wrong.
    #[error("{variable}: {message}")]
    Environment {
        /// Which.
        variable: String,
        /// What is wrong.
        message: String,
    },
}

/// The configuration of a program whose variables begin with `env_prefix`. A given file must exist; a missing default one
/// means defaults. Variables in `reserved` are no keys.
///
/// # Errors
/// What cannot be read or understood, with file, line and key, or with the variable's name.
pub fn load_with<T: DeserializeOwned>(
    env_prefix: &str,
    explicit: Option<&Path>,
    default: &Path,
    reserved: &[&str],
) -> Result<T, ConfigError> {
    let variables = env::vars()
        .filter(|(name, _)| name.starts_with(env_prefix) && !reserved.contains(&name.as_str()))
        .collect::<Vec<_>>();
    let (file, text) = read(explicit, default)?;
    layered(&file, &text, env_prefix, &variables)
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
    let wrong = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        ConfigError::File {
            file: file.to_owned(),
            line,
            message: one_line(error.message()),
        }
    };
    // By itself first: then an error has a line.
    let mut config: T = toml::from_str(text).map_err(|error| wrong(&error))?;
    let mut table: Table = toml::from_str(text).map_err(|error| wrong(&error))?;
    for (variable, value) in variables {
        let wrong = |message: String| ConfigError::Environment {
            variable: variable.clone(),
            message,
        };
        let keys: Vec<String> = variable
            .trim_start_matches(prefix)
            .split("__")
            .map(str::to_lowercase)
            .collect();
        config = set_any(&mut table, &keys, value).map_err(wrong)?;
    }
    Ok(config)
}

/// Sets the key to the first reading of the text that the configuration takes.
fn set_any<T: DeserializeOwned>(table: &mut Table, keys: &[String], text: &str) -> Result<T, String> {
    let mut refused = String::new();
    for value in readings(text) {
        let mut trial = table.clone();
        set(&mut trial, keys, value)?;
        match T::deserialize(Value::Table(trial.clone())) {
            Ok(config) => {
                *table = trial;
                return Ok(config);
            }
            Err(error) => refused = one_line(error.message()),
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

/// The parser's words on one line; a "field" is a key here.
fn one_line(message: &str) -> String {
    let message = message.replacen("unknown field", "unknown key", 1);
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A length of time: `500ms`, `10s`, `15m`, `2h`, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl std::str::FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is no time; write for example 500ms, 10s, 15m, 2h or 90d");
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u64 = text[..text.len() - unit.len()].parse().map_err(|_| bad())?;
        let milliseconds = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        number
            .checked_mul(milliseconds)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(bad)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (divisor, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(divisor, _)| ms > 0 && ms.is_multiple_of(*divisor))
            .unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / divisor)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A number of bytes, or `unlimited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<ByteCount>);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "unlimited" {
            return Ok(Self(None));
        }
        text.parse()
            .map(|bytes| Self(Some(bytes)))
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
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
            error.starts_with("/etc/t.toml:3: ") && error.contains("maxsize"),
            "{error}"
        );
        let error = load("\nwait = \"soon\"\n", &[]).unwrap_err();
        assert!(
            error.starts_with("/etc/t.toml:2: ") && error.contains("soon"),
            "{error}"
        );
        let error = load("name = \n", &[]).unwrap_err();
        assert!(error.starts_with("/etc/t.toml:1: "), "{error}");
    }

    #[test]
    fn errors_name_the_variable() {
        let error = load("", &[("T_STORE__MAXSIZE", "1")]).unwrap_err();
        assert!(
            error.starts_with("T_STORE__MAXSIZE: ") && error.contains("maxsize"),
            "{error}"
        );
        let error = load("", &[("T_WAIT", "soon")]).unwrap_err();
        assert!(error.starts_with("T_WAIT: ") && error.contains("soon"), "{error}");
    }

    #[test]
    fn a_given_file_must_exist() {
        let missing = Path::new("/nonexistent/t.toml");
        assert!(load_with::<Sample>("TX_", None, missing, &[]).is_ok());
        assert!(load_with::<Sample>("TX_", Some(missing), missing, &[]).is_err());
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("90d", 7_776_000_000),
        ] {
            let parsed: HumanDuration = text.parse().unwrap();
            assert_eq!((parsed.0.as_millis(), parsed.to_string().as_str()), (ms, text));
        }
        for bad in ["", "10", "s", "-1s", "1.5h", "10 weeks", "99999999999999999d"] {
            assert!(bad.parse::<HumanDuration>().is_err(), "{bad}");
        }
    }
}
