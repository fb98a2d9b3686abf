//! How a fetch begins: room is taken, and what an earlier one left is opened. Owns nothing; a crash leaves an empty file
//! in `partial/`, or the last checkpoint as it was.

use std::{fs::File, os::unix::fs::MetadataExt};

use p2p_proto::ContentHash;

use super::{
    Store, blocking,
    claims::FetchGuard,
    disk::free_bytes,
    error::{StoreError, is_full},
    incoming::{Incoming, Stored},
    partials::{self, Continued},
    space::Reservation,
    sys::Sys,
    users::{Target, calling},
};
use crate::user_file::UserFile;

impl Store {
    /// Begins to fetch a content into the store, or goes on where an earlier fetch had its last checkpoint. Room for all
    /// of its `size` bytes is taken now. Waits for what still runs of a fetch that was dropped.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it is fetched already; [`StoreError::NoSpace`] before the first byte;
    /// [`StoreError::Mismatch`] when what is there proves another size.
    pub async fn begin(&self, hash: ContentHash, size: u64) -> Result<Incoming, StoreError> {
        let guard = self.inner.fetching.begin(hash).await;
        let guard = guard.ok_or(StoreError::Busy { hash })?;
        let store = self.clone();
        self.finish(async move {
            let continued = partials::open(&store.inner, hash, size).await?;
            blocking(move || take_room(store, hash, size, continued, guard)).await
        })
        .await
    }

    /// Begins to fetch a content into an empty regular file that the user passed: it takes no room in the store, has no
    /// checkpoints and never becomes part of it. Waits for as long as it takes to claim the space there.
    ///
    /// # Errors
    /// [`StoreError::NotRegular`], [`StoreError::NotEmpty`], [`StoreError::OutputFull`].
    pub async fn begin_into(
        &self,
        hash: ContentHash,
        size: u64,
        output: UserFile,
    ) -> Result<Incoming, StoreError> {
        let (sys, file) = (self.inner.disk.sys().clone(), output.clone());
        calling(&self.inner, &output, move || take_space(&sys, file.file(), size)).await?;
        let target = Target::Users(output);
        Ok(Incoming::new(self.clone(), hash, size, target, None, None, None))
    }
}

/// Where the user's file is.
fn take_space(sys: &Sys, file: &File, size: u64) -> Result<(), StoreError> {
    super::export::check_target(file)?;
    let usable = free_bytes(file).map_err(StoreError::io("measure the free space of the output"))?;
    let full = StoreError::OutputFull { needed: size, usable };
    if size > usable {
        return Err(full);
    }
    match sys.allocate(file, size) {
        Ok(_) => Ok(()),
        Err(error) if is_full(&error) => Err(full),
        Err(error) => Err(StoreError::Io {
            doing: "take the space of the output",
            source: error,
        }),
    }
}

/// The room, the file, and what is known.
fn take_room(
    store: Store,
    hash: ContentHash,
    size: u64,
    continued: Option<Continued>,
    guard: FetchGuard,
) -> Result<Incoming, StoreError> {
    let inner = &store.inner;
    let space = inner.space.clone();
    let (file, layer_file, known, mut reservation) = match continued {
        Some(part) => {
            let reservation = Reservation::adopt(space, size);
            (
                part.file,
                part.layer_file,
                Some((part.layer, part.groups)),
                reservation,
            )
        }
        None => {
            let mut reservation = Reservation::new(space);
            reservation.promise(size)?;
            // Nothing is made for what has no room.
            reservation.claim_disk(size)?;
            let file = inner.disk.create_partial(&hash.to_string());
            let file = file.map_err(reservation.io("make a file for a fetch"))?;
            (file, None, None, reservation)
        }
    };
    if known.is_some() {
        let meta = file.file().metadata();
        let taken = meta
            .map_err(StoreError::io("look at a partial content"))?
            .blocks()
            * 512;
        reservation.claim_disk(size.saturating_sub(taken))?;
    }
    match inner.disk.sys().allocate(file.file(), size) {
        Ok(true) => reservation.wrote(size),
        Ok(false) => {}
        Err(error) => return Err(reservation.io("take the space")(error)),
    }
    let handle = file.file().try_clone();
    let handle = handle.map_err(StoreError::io("open the file twice"))?;
    let stored = Stored {
        file,
        layer_file,
        reservation,
        durable: known.is_some(),
    };
    Ok(Incoming::new(
        store,
        hash,
        size,
        Target::Stored(handle),
        Some(stored),
        Some(guard),
        known,
    ))
}
