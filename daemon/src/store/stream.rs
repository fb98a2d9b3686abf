//! Import of a stream, of which nobody knows the length: room is asked for as it grows, a buffer at a time. Owns a
//! temporary file that goes with it unless it is finished; a crash leaves that file in `tmp/`.

use std::sync::Arc;

use tokio_util::bytes::Bytes;

use super::{
    Inner, Store, blocking,
    buffer::{BUFFER_LEN, Buffer},
    commit::{Imported, Origin, Purpose, Whole, commit},
    disk::TempFile,
    error::StoreError,
    layer::LayerBuilder,
    space::Reservation,
};

/// A stream on its way into the store. Dropped, nothing of it stays.
pub struct StreamImport {
    store: Store,
    /// Away while a buffer is being written; gone after a failure.
    state: Option<Box<State>>,
}

struct State {
    file: TempFile,
    layer: LayerBuilder,
    reservation: Reservation,
    buffer: Buffer,
    filled: usize,
}

impl Store {
    /// Begins an import of bytes that come one after the other.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub async fn import_stream(&self) -> Result<StreamImport, StoreError> {
        let inner = self.inner.clone();
        let file = blocking(move || {
            let refused = inner.space.io(BUFFER_LEN as u64, "make a temporary file");
            inner.disk.create_temporary().map_err(refused)
        })
        .await?;
        let reservation = Reservation::new(self.inner.space.clone());
        let state = State {
            file,
            layer: LayerBuilder::new(),
            reservation,
            buffer: Buffer::new(),
            filled: 0,
        };
        Ok(StreamImport {
            store: self.clone(),
            state: Some(Box::new(state)),
        })
    }
}

impl StreamImport {
    /// The next bytes.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] before the byte that does not fit is written. After any error, and after a call that was
    /// dropped half-way, the import is [`StoreError::Poisoned`].
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let mut rest = &bytes[..];
        let mut state = self.state.take().ok_or(StoreError::Poisoned)?;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BUFFER_LEN - state.filled));
            state.buffer.bytes_mut()[state.filled..][..now.len()].copy_from_slice(now);
            state.filled += now.len();
            rest = later;
            if state.filled == BUFFER_LEN {
                state = flush(self.store.inner.clone(), state).await?;
            }
        }
        self.state = Some(state);
        Ok(())
    }

    /// Bytes pushed so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state
            .as_ref()
            .map_or(0, |state| state.layer.size() + state.filled as u64)
    }

    /// That was all: makes it durable.
    ///
    /// # Errors
    /// As [`StreamImport::push`], and those of the disk; then nothing is kept.
    pub async fn finish(mut self, purpose: Purpose) -> Result<Imported, StoreError> {
        let state = self.state.take().ok_or(StoreError::Poisoned)?;
        let State {
            file,
            layer,
            reservation,
            ..
        } = *flush(self.store.inner.clone(), state).await?;
        let whole = Whole {
            file,
            layer: layer.finish(),
            layer_file: None,
            reservation,
            origin: Origin::New,
            purpose,
        };
        self.store.finish(commit(self.store.inner.clone(), whole)).await
    }
}

/// Writes and hashes what is in the buffer.
async fn flush(inner: Arc<Inner>, mut state: Box<State>) -> Result<Box<State>, StoreError> {
    blocking(move || {
        let bytes = &state.buffer.bytes()[..state.filled];
        state.reservation.promise(bytes.len() as u64)?;
        state.reservation.claim_disk(bytes.len() as u64)?;
        if let Err(error) = state.file.write_at(state.layer.size(), bytes) {
            let error = state.reservation.io("write the stream")(error);
            inner.faults.note(None, &error);
            return Err(error);
        }
        state.reservation.wrote(bytes.len() as u64);
        state.layer.push(bytes);
        state.filled = 0;
        Ok(state)
    })
    .await
}
