//! Files that users passed, and what they may cost. One may be of a file system that answers nobody (FUSE, NFS), and then
//! every call on it hangs, closing it too. So a file is called only on a thread that may block, in a turn: a file has 2 at
//! once, a user 16, all users 256, which leaves the other half of the runtime's threads to the store. It is closed in a
//! turn as well, wherever it is dropped, and counts against its user until it is closed.
//!
//! [`UserFiles`] owns the counts. A crash leaves nothing: the kernel closes what a process had open.

use std::{
    collections::HashMap,
    fs::File,
    os::fd::{IntoRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use p2p_service::accept::{Gate, Place};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};

/// Open files of one user, as many as connections of his at the control socket, and of all.
const PER_USER: usize = 64;
const TOTAL: usize = 256;

/// Calls at once: on one file, on those of one user, and on all. Tokio has 512 threads that may block.
const CALLS_PER_FILE: usize = 2;
const CALLS_PER_USER: usize = 16;
const CALLS: usize = 256;

/// A file that answers no call for so long hangs.
const HANGS: Duration = Duration::from_secs(5);

/// How often it is looked whether one does.
const LOOK: Duration = Duration::from_secs(1);

/// The bounds of all users' files.
pub struct UserFiles {
    gate: Gate<u32>,
    all: Arc<Semaphore>,
    users: Mutex<HashMap<u32, Weak<Semaphore>>>,
}

impl Default for UserFiles {
    fn default() -> Self {
        Self {
            gate: Gate::new(PER_USER, TOTAL),
            all: Arc::new(Semaphore::new(CALLS)),
            users: Mutex::default(),
        }
    }
}

impl UserFiles {
    /// A seat for one more file of this user; none when he has too many. Inside the runtime.
    #[must_use]
    pub fn seat(&self, uid: u32) -> Option<Seat> {
        let place = self.gate.enter(uid)?;
        let mut users = lock(&self.users);
        let known = users.get(&uid).and_then(Weak::upgrade);
        let user = known.unwrap_or_else(|| {
            users.retain(|_, user| user.strong_count() > 0);
            let user = Arc::new(Semaphore::new(CALLS_PER_USER));
            users.insert(uid, Arc::downgrade(&user));
            user
        });
        Some(Seat {
            calls: [
                Arc::new(Semaphore::new(CALLS_PER_FILE)),
                user,
                Arc::clone(&self.all),
            ],
            pace: Arc::default(),
            runtime: Handle::current(),
            _place: place,
        })
    }
}

/// The right to have one file of a user's open.
#[derive(Debug)]
pub struct Seat {
    /// Of the file, of its user, of all: taken in this order.
    calls: [Arc<Semaphore>; 3],
    pace: Arc<Mutex<Pace>>,
    runtime: Handle,
    _place: Place<u32>,
}

impl Seat {
    /// Puts the file on it.
    #[must_use]
    pub fn take(self, file: OwnedFd) -> UserFile {
        UserFile(Arc::new(Open {
            held: Some((File::from(file), self)),
        }))
    }

    /// Waits for the right to make one call on the file.
    pub async fn turn(&self) -> Turn {
        let [file, user, all] = self.calls.each_ref().map(permit);
        let permits = [file.await, user.await, all.await];
        lock(&self.pace).begins(Instant::now());
        Turn {
            pace: Arc::clone(&self.pace),
            _permits: permits,
        }
    }
}

async fn permit(calls: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(calls).acquire_owned().await;
    permit.expect("these semaphores are never closed")
}

/// The right to make one call on a file; goes to the thread that makes it.
#[derive(Debug)]
pub struct Turn {
    pace: Arc<Mutex<Pace>>,
    _permits: [OwnedSemaphorePermit; 3],
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.pace).ends(Instant::now());
    }
}

/// The calls on one file.
#[derive(Debug, Default)]
struct Pace {
    under_way: usize,
    /// When one was answered, or the first of those under way was made.
    answered: Option<Instant>,
}

impl Pace {
    fn begins(&mut self, now: Instant) {
        if self.under_way == 0 {
            self.answered = Some(now);
        }
        self.under_way += 1;
    }

    fn ends(&mut self, now: Instant) {
        self.under_way -= 1;
        self.answered = Some(now);
    }

    fn hangs(&self, now: Instant) -> bool {
        self.under_way > 0 && self.answered.is_some_and(|at| now.duration_since(at) >= HANGS)
    }
}

/// A user's open file; clones are handles to one. It may be dropped anywhere.
#[derive(Clone, Debug)]
pub struct UserFile(Arc<Open>);

#[derive(Debug)]
struct Open {
    /// Until it is dropped.
    held: Option<(File, Seat)>,
}

impl UserFile {
    fn held(&self) -> &(File, Seat) {
        self.0.held.as_ref().expect("a file is there until it is dropped")
    }

    /// The file, to be called where one may block, in a turn.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.held().0
    }

    /// Waits for the right to make one call.
    pub async fn turn(&self) -> Turn {
        self.held().1.turn().await
    }

    /// Makes a call on a thread that may block, in a turn that lasts as long as the call does, whoever still waits for it.
    ///
    /// # Errors
    /// When it panics, or the runtime ends.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = self.turn().await;
        let call = move || {
            let done = work();
            drop(turn);
            done
        };
        spawn_blocking(call).await
    }

    /// It was called, and has answered nothing for 5 s.
    #[must_use]
    pub fn hangs(&self) -> bool {
        lock(&self.held().1.pace).hangs(Instant::now())
    }

    /// Waits until it does.
    pub async fn is_found_hanging(&self) {
        let mut look = tokio::time::interval(LOOK);
        while !self.hangs() {
            look.tick().await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some((file, seat)) = self.held.take() else {
            return;
        };
        let (file, runtime) = (Closing(Some(file)), seat.runtime.clone());
        runtime.spawn(async move {
            let turn = seat.turn().await;
            spawn_blocking(move || {
                file.close();
                drop((turn, seat));
            });
        });
    }
}

/// A file on its way to be closed. When the runtime ends before, that is left to the kernel: whoever drops this must not
/// hang.
struct Closing(Option<File>);

impl Closing {
    fn close(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let _ = file.into_raw_fd();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file with bounds of its own.
#[cfg(test)]
impl From<OwnedFd> for UserFile {
    fn from(file: OwnedFd) -> Self {
        let seat = UserFiles::default().seat(0).expect("the first one");
        seat.take(file)
    }
}

#[cfg(test)]
impl From<File> for UserFile {
    fn from(file: File) -> Self {
        OwnedFd::from(file).into()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, io::Read, sync::mpsc};

    use futures::FutureExt;

    use super::*;

    fn ready<T>(work: impl Future<Output = T>) -> Option<T> {
        work.now_or_never()
    }

    /// A seat that a file takes, and the pipe's end that sees it closed.
    fn pipe(files: &UserFiles, uid: u32) -> (UserFile, File) {
        let (reads, writes) = rustix::pipe::pipe().unwrap();
        (files.seat(uid).unwrap().take(writes), reads.into())
    }

    #[tokio::test]
    async fn a_user_has_so_many_files_until_they_are_closed() {
        let files = UserFiles::default();
        let mut open: Vec<_> = (0..PER_USER).map(|_| pipe(&files, 7)).collect();
        assert!(files.seat(7).is_none() && files.seat(8).is_some());
        let (file, mut end) = open.pop().unwrap();
        // Its turns are taken: it is not closed, and still counts.
        let turns = [file.turn().await, file.turn().await];
        drop(file);
        tokio::task::yield_now().await;
        assert!(files.seat(7).is_none());
        drop(turns);
        let closed = spawn_blocking(move || end.read(&mut [0; 1]));
        assert_eq!(closed.await.unwrap().unwrap(), 0, "the last writing end is gone");
        while files.seat(7).is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn calls_are_few_on_one_file_and_of_one_user_and_leave_some_to_others() {
        let files = UserFiles::default();
        let mine: Vec<_> = (0..=CALLS_PER_USER / CALLS_PER_FILE)
            .map(|_| pipe(&files, 7).0)
            .collect();
        let mut turns = Vec::new();
        for file in &mine[1..] {
            for _ in 0..CALLS_PER_FILE {
                turns.push(ready(file.turn()).expect("a turn"));
            }
            assert!(ready(file.turn()).is_none(), "of one file");
        }
        assert!(ready(mine[0].turn()).is_none(), "of one user");
        let (other, _end) = pipe(&files, 8);
        assert_eq!(other.call(|| 1).await.unwrap(), 1);
        drop(turns.pop());
        assert!(ready(mine[0].turn()).is_some());
    }

    #[tokio::test]
    async fn a_call_has_its_turn_also_when_nobody_waits_for_it() {
        let files = UserFiles::default();
        let (file, _end) = pipe(&files, 7);
        let (go, waits) = mpsc::channel::<()>();
        let hanging = file.call(move || waits.recv());
        assert!(ready(hanging).is_none());
        let _other = ready(file.turn()).expect("the second");
        assert!(ready(file.turn()).is_none());
        drop(go);
        file.turn().await;
    }

    #[test]
    fn it_hangs_when_it_answers_nothing_for_long() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert!(!pace.hangs(start + HANGS));
        pace.begins(start);
        pace.begins(start + HANGS / 2);
        assert!(!pace.hangs(start + HANGS / 2) && pace.hangs(start + HANGS));
        pace.ends(start + HANGS);
        assert!(!pace.hangs(start + HANGS) && pace.hangs(start + 2 * HANGS));
        pace.ends(start + 2 * HANGS);
        assert!(!pace.hangs(start + 4 * HANGS));
    }
}
