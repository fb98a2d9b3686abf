//! A file system that answers when the test wants it to: a FUSE server in the test's own process, with files in memory in
//! one folder. Calls that it holds are as those of a server that is gone: whoever made them hangs, and not even SIGKILL
//! ends him. What is held is answered when this is dropped, also by a panic; when the process ends the kernel gives up.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::io::{Errno, FdFlags, fcntl_setfd};

use crate::check;

/// A call that can be held, by its number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// fstat.
    Look = 3,
    /// read.
    Read = 15,
    /// write.
    Write = 16,
    /// statfs.
    Measure = 17,
    /// close.
    Close = 25,
    /// fallocate.
    Allocate = 43,
}

/// The mounted folder.
pub struct Hanging {
    folder: PathBuf,
    server: Arc<Server>,
}

struct Server {
    device: File,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    holds: Vec<Call>,
    held: Vec<Vec<u8>>,
    names: HashMap<Vec<u8>, u64>,
    /// By their numbers; the folder is 1.
    files: HashMap<u64, Vec<u8>>,
}

/// The most bytes of one write, and room for its header.
const MAX_WRITE: u32 = 128 << 10;
const ROOT: u64 = 1;

impl Hanging {
    /// Mounts one that holds nothing. None, said loudly, where this user may not.
    ///
    /// # Panics
    /// When the folder cannot be made; and where tests may not be left out.
    #[must_use]
    pub fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let device = File::options().read(true).write(true).open("/dev/fuse").ok();
        let mounted = device.filter(|device| {
            // Mount gets the descriptor by its number.
            fcntl_setfd(device, FdFlags::empty()).expect("a descriptor");
            let fd = device.as_raw_fd();
            let options = format!("fd={fd},rootmode=40000,user_id=0,group_id=0");
            let mut mount = Command::new("mount");
            mount.args(["-i", "-t", "fuse", "-o", &options, "p2p-tests"]);
            let done = mount.arg(folder).status();
            fcntl_setfd(device, FdFlags::CLOEXEC).expect("a descriptor");
            done.is_ok_and(|status| status.success())
        });
        let Some(device) = mounted else {
            check::not_tested("a file system that hangs needs root and /dev/fuse; run this test as root");
            return None;
        };
        let server = Arc::new(Server {
            device,
            state: Mutex::default(),
        });
        let serving = Arc::clone(&server);
        thread::spawn(move || serving.serve());
        Some(Self {
            folder: folder.to_owned(),
            server,
        })
    }

    /// From now on holds these calls.
    pub fn hold(&self, calls: &[Call]) {
        self.server.state().holds = calls.to_vec();
    }

    /// How many it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.server.state().held.len()
    }

    /// Answers what it holds, and holds nothing any more.
    pub fn answer(&self) {
        let mut state = self.server.state();
        state.holds.clear();
        for request in std::mem::take(&mut state.held) {
            self.server.answer(&mut state, &request);
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.answer();
        // Who still has a file open there keeps it.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is unmounted.
    fn serve(&self) {
        let mut buffer = vec![0; MAX_WRITE as usize + 4096];
        loop {
            match (&self.device).read(&mut buffer) {
                Ok(length) => {
                    let (mut state, request) = (self.state(), &buffer[..length]);
                    let call = number(request, 4);
                    if state.holds.iter().any(|held| *held as u32 == call) {
                        state.held.push(request.to_vec());
                    } else {
                        self.answer(&mut state, request);
                    }
                }
                // A request that was taken back before it was read.
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
                Err(_) => return,
            }
        }
    }

    fn answer(&self, state: &mut State, request: &[u8]) {
        let (error, body) = match state.does(request) {
            Some(Ok(body)) => (0, body),
            Some(Err(errno)) => (-errno.raw_os_error(), Vec::new()),
            None => return,
        };
        let mut answer = (16 + body.len() as u32).to_le_bytes().to_vec();
        answer.extend(error.to_le_bytes());
        answer.extend(&request[8..16]);
        answer.extend(body);
        // Whoever asked may be gone.
        let _ = (&self.device).write(&answer);
    }
}

impl State {
    /// The body of the answer; none to what is not answered.
    fn does(&mut self, request: &[u8]) -> Option<Result<Vec<u8>, Errno>> {
        let (call, node, body) = (number(request, 4), long(request, 16), &request[40..]);
        let name = |from: usize| {
            let mut names = body[from..].split(|byte| *byte == 0);
            move || names.next().unwrap_or_default().to_vec()
        };
        Some(match call {
            // FORGET, INTERRUPT, BATCH_FORGET
            2 | 36 | 42 => return None,
            // LOOKUP
            1 => match self.names.get(&name(0)()) {
                Some(&node) => Ok(self.entry(node)),
                None => Err(Errno::NOENT),
            },
            3 => Ok(self.attributes(node)),
            // SETATTR
            4 => {
                if number(body, 0) & (1 << 3) != 0 {
                    self.file(node).resize(long(body, 16) as usize, 0);
                }
                Ok(self.attributes(node))
            }
            // UNLINK
            10 => self
                .names
                .remove(&name(0)())
                .map(|_| Vec::new())
                .ok_or(Errno::NOENT),
            // RENAME2
            45 => {
                let mut names = name(16);
                let (old, new) = (names(), names());
                let moved = self.names.remove(&old);
                if let Some(node) = moved {
                    self.names.insert(new, node);
                }
                moved.map(|_| Vec::new()).ok_or(Errno::NOENT)
            }
            15 => {
                let (offset, length) = (long(body, 8) as usize, number(body, 16) as usize);
                let bytes = self.file(node).iter().skip(offset).take(length);
                Ok(bytes.copied().collect())
            }
            16 => {
                let (offset, length) = (long(body, 8) as usize, number(body, 16));
                let file = self.file(node);
                file.resize(file.len().max(offset + length as usize), 0);
                file[offset..][..length as usize].copy_from_slice(&body[40..][..length as usize]);
                Ok(bytes(&[length, 0]))
            }
            // STATFS: a million free blocks of 4 KiB
            17 => Ok(bytes(&[
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                4096,
                255,
                4096,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ])),
            // INIT: protocol 7.31, writes of more than a page
            26 => Ok(bytes(&[
                7,
                31,
                MAX_WRITE,
                1 << 5,
                0,
                MAX_WRITE,
                1,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ])),
            // RELEASE, FLUSH
            18 | 25 => Ok(Vec::new()),
            // CREATE
            35 => {
                let node = self.files.len() as u64 + ROOT + 1;
                self.files.insert(node, Vec::new());
                self.names.insert(name(16)(), node);
                Ok([self.entry(node), bytes(&[0; 4])].concat())
            }
            43 => {
                let end = (long(body, 8) + long(body, 16)) as usize;
                let file = self.file(node);
                file.resize(file.len().max(end), 0);
                Ok(Vec::new())
            }
            // To the kernel most of what is not there is fine.
            _ => Err(Errno::NOSYS),
        })
    }

    fn file(&mut self, node: u64) -> &mut Vec<u8> {
        self.files.entry(node).or_default()
    }

    fn entry(&self, node: u64) -> Vec<u8> {
        let head = bytes(&[node as u32, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [head, self.attribute(node)].concat()
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        [bytes(&[0; 4]), self.attribute(node)].concat()
    }

    fn attribute(&self, node: u64) -> Vec<u8> {
        let size = self.files.get(&node).map_or(0, |file| file.len() as u32);
        let mode = if node == ROOT { 0o40_755 } else { 0o100_644 };
        let mut words = [0; 22];
        (words[0], words[2], words[15], words[16]) = (node as u32, size, mode, 1);
        words[20] = 4096;
        bytes(&words)
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..][..4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..][..8].try_into().expect("eight bytes"))
}
