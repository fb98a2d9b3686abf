//! The file of the last events, `state_dir/events` (mode 0600): one JSON object a line, only ever added to, and written anew
//! when it has twice as many lines as are kept. Owned by [`super::bus`].
//!
//! Nothing is synced: a kill loses nothing that was written, a loss of power some of the last lines. A line that was cut,
//! and what follows it, is taken off at the next start; a file that is there in part is as good as a shorter one. Between
//! the old file and the new one is a rename.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Event;

/// More than this no file of ours has, in bytes; what follows is not read.
const LONGEST: u64 = 64 << 20;

/// What is known of the events of one directory: all up to `last`; nil for one that had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The last event that is known.
    pub last: Uuid,
}

/// A line to be written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// The first of a file: the place before that of its first event.
    After(u64),
    /// An event.
    Event(&'a Event),
    /// What the directory told up to here.
    Directory(Mark),
}

/// A line as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadLine {
    After(u64),
    Event(Box<Event>),
    Directory(Mark),
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Events after this place are all here; none for a new file.
    pub after: Option<u64>,
    /// By place.
    pub events: Vec<Event>,
    /// The last mark.
    pub mark: Option<Mark>,
}

/// The file.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    lines: usize,
    /// The last line may be cut: the file is to be written anew.
    cut: bool,
}

impl Log {
    /// Opens or makes it, and takes off what was cut.
    pub fn open(path: &Path) -> io::Result<(Self, Written)> {
        let mut file = options().create(true).open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(LONGEST).read_to_end(&mut bytes)?;
        let (written, good, lines) = read(&bytes);
        if good < file.metadata()?.len() {
            tracing::info!("{}: the last events were cut, and are forgotten", path.display());
            file.set_len(good)?;
        }
        let log = Self {
            path: path.to_owned(),
            file,
            lines,
            cut: false,
        };
        Ok((log, written))
    }

    /// Lines in it.
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// It must be written anew before it is added to.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Adds lines. After an error it [is cut](Self::is_cut).
    pub fn append(&mut self, lines: &[Line<'_>]) -> io::Result<()> {
        let bytes = bytes_of(lines)?;
        self.cut = true;
        self.file.write_all(&bytes)?;
        self.cut = false;
        self.lines += lines.len();
        Ok(())
    }

    /// As after an append that failed.
    #[cfg(test)]
    pub const fn spoil(&mut self) {
        self.cut = true;
    }

    /// Puts a file with only these lines in its place.
    pub fn rewrite(&mut self, lines: &[Line<'_>]) -> io::Result<()> {
        let bytes = bytes_of(lines)?;
        let next = self.path.with_extension("next");
        let mut file = options().create(true).truncate(false).open(&next)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        std::fs::rename(&next, &self.path)?;
        (self.file, self.lines, self.cut) = (file, lines.len(), false);
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

fn bytes_of(lines: &[Line<'_>]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// What whole lines say up to the first that is none, how many bytes they have, and how many they are. A line that another
/// version wrote is left out.
fn read(bytes: &[u8]) -> (Written, u64, usize) {
    let (mut written, mut good, mut lines) = (Written::default(), 0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(json) = line.strip_suffix(b"\n") else {
            break;
        };
        match serde_json::from_slice(json) {
            Ok(ReadLine::After(place)) if written.events.is_empty() => written.after = Some(place),
            Ok(ReadLine::Event(event)) => {
                let last = written.events.last().map(|last| last.place);
                if last.or(written.after).is_some_and(|last| event.place <= last) {
                    break;
                }
                written.events.push(*event);
            }
            Ok(ReadLine::Directory(mark)) => written.mark = Some(mark),
            Ok(ReadLine::After(_)) => break,
            Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok() => {}
            Err(_) => break,
        }
        good += line.len() as u64;
        lines += 1;
    }
    (written, good, lines)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use jiff::Timestamp;

    use super::*;
    use crate::events::What;

    fn event(place: u64) -> Event {
        Event {
            place,
            at: Timestamp::UNIX_EPOCH,
            account: None,
            from: None,
            what: What::Lost {
                reason: format!("number {place}"),
            },
        }
    }

    fn places(written: &Written) -> Vec<u64> {
        written.events.iter().map(|event| event.place).collect()
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_the_whole_lines_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let events: Vec<Event> = (5..9).map(event).collect();
        let mark = Mark {
            cluster: Uuid::from_u128(1),
            last: Uuid::from_u128(2),
        };
        let (mut log, new) = Log::open(&path).unwrap();
        assert!(new.after.is_none() && new.events.is_empty());
        log.append(&[Line::After(4)]).unwrap();
        let lines: Vec<Line<'_>> = events.iter().map(Line::Event).collect();
        log.append(&lines).unwrap();
        log.append(&[Line::Directory(mark)]).unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (mut log, written) = Log::open(&path).unwrap();
            let ends = whole[..length].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(log.lines(), ends);
            assert_eq!(
                places(&written),
                (5..9).take(ends.saturating_sub(1)).collect::<Vec<_>>()
            );
            assert_eq!(written.mark.is_some(), ends == 6);
            // What is added then is read again.
            log.append(&[Line::Event(&event(20))]).unwrap();
            let (_, again) = Log::open(&path).unwrap();
            assert_eq!(places(&again).last(), Some(&20));
        }
    }

    #[test]
    fn zeros_and_places_that_do_not_rise_end_it_and_strange_lines_do_not() {
        let first = bytes_of(&[Line::After(0), Line::Event(&event(1))]).unwrap();
        let second = bytes_of(&[Line::Event(&event(2))]).unwrap();
        let strange = b"{\"event\":{\"place\":9,\"what\":{\"kind\":\"of_tomorrow\"}}}\n".to_vec();
        let all = [first.clone(), strange.clone(), second.clone()].concat();
        let (written, good, lines) = read(&all);
        assert_eq!(
            (places(&written), good as usize, lines),
            (vec![1, 2], all.len(), 4)
        );
        for bad in [vec![0; 50], b"{\"event\n".to_vec(), first.clone(), b"\n".to_vec()] {
            let (written, good, _) = read(&[first.clone(), bad, second.clone()].concat());
            assert_eq!((places(&written), good as usize), (vec![1], first.len()));
        }
    }

    #[test]
    fn written_anew_it_has_only_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (mut log, _) = Log::open(&path).unwrap();
        log.append(&[Line::After(0), Line::Event(&event(1)), Line::Event(&event(2))])
            .unwrap();
        log.rewrite(&[Line::After(1), Line::Event(&event(2))]).unwrap();
        assert_eq!(log.lines(), 2);
        log.append(&[Line::Event(&event(3))]).unwrap();
        let (_, written) = Log::open(&path).unwrap();
        assert_eq!((written.after, places(&written)), (Some(1), vec![2, 3]));
    }
}
