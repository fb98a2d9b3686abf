//! Room on the disk: what may still be stored, and who was promised it. Owns the numbers, nothing on disk; after a crash
//! they are made anew from the database and the file system.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    disk::Disk,
    error::{StoreError, is_full},
};

/// The books. `usable` = the lesser of (free on the file system − kept free − promised but not yet written) and
/// (quota − stored − partial − promised).
pub(super) struct Space {
    disk: Arc<Disk>,
    bounds: Mutex<Bounds>,
    books: Mutex<Books>,
}

/// What may still be stored.
pub(super) struct Room {
    pub(super) disk_free: u64,
    pub(super) disk_size: u64,
    pub(super) quota_left: Option<u64>,
}

/// As configured.
#[derive(Clone, Copy)]
struct Bounds {
    /// The most bytes of contents.
    max_size: Option<u64>,
    /// Bytes of the file system that are never filled.
    reserve_free: u64,
}

#[derive(Clone, Copy, Default)]
struct Books {
    /// Bytes of registered contents.
    stored: u64,
    /// Bytes that are kept for partial contents and cut imports on which nobody works.
    partial: u64,
    /// Bytes promised to running imports and fetches, written or not.
    promised: u64,
    /// The part of those that the file system does not count as used yet.
    unwritten: u64,
}

impl Space {
    pub(super) fn new(
        disk: Arc<Disk>,
        max_size: Option<u64>,
        reserve_free: u64,
        stored: u64,
        partial: u64,
    ) -> Self {
        let books = Books {
            stored,
            partial,
            ..Books::default()
        };
        Self {
            disk,
            bounds: Mutex::new(Bounds {
                max_size,
                reserve_free,
            }),
            books: Mutex::new(books),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // The books are whole between any two statements, so a panic elsewhere does not spoil them.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn max_size(&self) -> Option<u64> {
        self.bounds().max_size
    }

    /// Other bounds from now on. What was promised before stays promised.
    pub(super) fn set_bounds(&self, max_size: Option<u64>, reserve_free: u64) {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = Bounds {
            max_size,
            reserve_free,
        };
    }

    fn quota_left(&self, books: &Books) -> u64 {
        let taken = books
            .stored
            .saturating_add(books.partial)
            .saturating_add(books.promised);
        self.max_size().map_or(u64::MAX, |max| max.saturating_sub(taken))
    }

    fn disk_left(&self, books: &Books) -> io::Result<u64> {
        let kept = self.bounds().reserve_free.saturating_add(books.unwritten);
        Ok(self.disk.free()?.saturating_sub(kept))
    }

    /// What may still be stored, and why no more.
    pub(super) fn room(&self) -> io::Result<Room> {
        let books = *self.books();
        Ok(Room {
            disk_free: self.disk_left(&books)?,
            disk_size: self.disk.size()?,
            quota_left: self.max_size().map(|_| self.quota_left(&books)),
        })
    }

    /// Bytes that may still be stored.
    pub(super) fn usable(&self) -> io::Result<u64> {
        let books = *self.books();
        Ok(self.disk_left(&books)?.min(self.quota_left(&books)))
    }

    /// The error of a write that found the disk full after all.
    fn full(&self, needed: u64) -> StoreError {
        let usable = self.usable().unwrap_or(0);
        StoreError::NoSpace {
            needed,
            usable,
            path: self.disk.root().to_owned(),
        }
    }

    /// For `map_err`: names what was tried, or the full disk.
    pub(super) fn io(&self, needed: u64, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |source| self.named(StoreError::Io { doing, source }, needed)
    }

    /// The error, or the full disk if that is what it tells of.
    pub(super) fn named(&self, error: StoreError, needed: u64) -> StoreError {
        match error {
            StoreError::Io { source, .. } if is_full(&source) => self.full(needed),
            other => other,
        }
    }

    /// A registered content was removed.
    pub(super) fn removed(&self, size: u64) {
        let mut books = self.books();
        books.stored = books.stored.saturating_sub(size);
    }

    /// A partial on which nobody worked was removed.
    pub(super) fn partial_removed(&self, size: u64) {
        let mut books = self.books();
        books.partial = books.partial.saturating_sub(size);
    }

    /// A registered content became a partial of as many bytes.
    pub(super) fn demoted(&self, size: u64) {
        let mut books = self.books();
        books.stored = books.stored.saturating_sub(size);
        books.partial = books.partial.saturating_add(size);
    }
}

/// Bytes promised to one import or fetch; given back when dropped, but for those that stay as a partial.
pub(super) struct Reservation {
    space: Arc<Space>,
    promised: u64,
    /// The part of those that stays when this goes.
    kept: u64,
    unwritten: u64,
}

impl Reservation {
    /// Nothing yet.
    pub(super) const fn new(space: Arc<Space>) -> Self {
        Self {
            space,
            promised: 0,
            kept: 0,
            unwritten: 0,
        }
    }

    /// Works on with a partial of so many bytes.
    pub(super) fn adopt(space: Arc<Space>, size: u64) -> Self {
        let mut books = space.books();
        books.partial = books.partial.saturating_sub(size);
        books.promised += size;
        drop(books);
        Self {
            space,
            promised: size,
            kept: size,
            unwritten: 0,
        }
    }

    /// So many of the promised bytes stay when this goes.
    pub(super) fn keep(&mut self, size: u64) {
        self.kept = size.min(self.promised);
    }

    /// Promises `more` bytes of the quota.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], and nothing was promised.
    pub(super) fn promise(&mut self, more: u64) -> Result<(), StoreError> {
        let mut books = self.space.books();
        let usable = self.space.quota_left(&books);
        if more > usable {
            return Err(self.refuse(self.promised.saturating_add(more), usable));
        }
        books.promised += more;
        self.promised += more;
        Ok(())
    }

    /// Promises `more` bytes of the disk. Bytes that are shared by reflink need none.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], and nothing was promised; when the file system does not answer.
    pub(super) fn claim_disk(&mut self, more: u64) -> Result<(), StoreError> {
        let mut books = self.space.books();
        let usable = self
            .space
            .disk_left(&books)
            .map_err(StoreError::io("measure the free space"))?;
        if more > usable {
            return Err(self.refuse(self.promised, usable));
        }
        books.unwritten += more;
        self.unwritten += more;
        Ok(())
    }

    fn refuse(&self, needed: u64, usable: u64) -> StoreError {
        StoreError::NoSpace {
            needed,
            usable,
            path: self.space.disk.root().to_owned(),
        }
    }

    /// The file system counts these bytes as used now.
    pub(super) fn wrote(&mut self, bytes: u64) {
        let bytes = bytes.min(self.unwritten);
        self.unwritten -= bytes;
        self.space.books().unwritten -= bytes;
    }

    /// The promised bytes are a registered content now.
    pub(super) fn settle(mut self, size: u64) {
        self.kept = 0;
        self.space.books().stored += size;
    }

    /// For `map_err`: names what was tried, or the full disk.
    pub(super) fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
        self.space.io(self.promised, doing)
    }

    /// The error, or the full disk if that is what it tells of.
    pub(super) fn named(&self, error: StoreError) -> StoreError {
        self.space.named(error, self.promised)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut books = self.space.books();
        books.promised -= self.promised;
        books.partial += self.kept;
        books.unwritten -= self.unwritten;
    }
}
