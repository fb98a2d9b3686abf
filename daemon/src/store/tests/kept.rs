//! What must be true of parts: of what fetches and imports left, and of damaged contents. And that work goes on there.

use std::{collections::BTreeSet, sync::Mutex};

use super::{
    cuts::{self, Damage, longer},
    invariants::{Checked, failed, sound, tidy},
    scenarios::long,
    world::{Promises, hashed},
    *,
};

macro_rules! ensure {
    ($true:expr, $($message:tt)+) => {
        if !$true {
            return Err(format!($($message)+));
        }
    };
}

/// Every row of a part.
pub(super) struct Parts {
    pub(super) fetches: Vec<partials::Partial>,
    pub(super) imports: Vec<cut_imports::CutImport>,
}

impl Parts {
    pub(super) async fn of(store: &Store) -> Result<Self, String> {
        let read = async {
            let mut reader = store.inner.metadata.reader().acquire().await?;
            Ok::<_, StoreError>(Self {
                fetches: partials::all(&mut reader).await?,
                imports: cut_imports::all(&mut reader).await?,
            })
        };
        read.await.map_err(failed("list the parts"))
    }

    /// Bytes that the books count for them.
    pub(super) fn bytes(&self) -> u64 {
        let fetches = self.fetches.iter().map(|partial| partial.size);
        fetches.chain(self.imports.iter().map(|import| import.done)).sum()
    }

    /// Bytes of a damaged content that are good.
    pub(super) fn good_bytes(&self, hash: ContentHash) -> u64 {
        let of_hash = self.fetches.iter().find(|partial| partial.hash == hash);
        of_hash.map_or(0, |partial| partial.groups.as_ref().unwrap().bytes())
    }

    /// The names that are in `partial/`.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let of_fetch = |partial: &partials::Partial| {
            let layer = Layer::group_count(partial.size) > 0;
            let name = partial.hash.to_string();
            std::iter::once(name.clone()).chain(layer.then(|| partial_files::layer_name(&name)))
        };
        let of_import =
            |import: &cut_imports::CutImport| [import.name.clone(), partial_files::layer_name(&import.name)];
        let fetches = self.fetches.iter().flat_map(of_fetch);
        fetches.chain(self.imports.iter().flat_map(of_import)).collect()
    }

    /// The bytes that each row speaks of are there and right, and nothing that was promised is missing.
    pub(super) fn are_true(
        &self,
        store: &Store,
        contents: &[(ContentHash, u64)],
        promises: &Promises,
    ) -> Checked {
        for partial in &self.fetches {
            fetch_is_true(store, partial)?;
        }
        for import in &self.imports {
            import_is_true(store, import)?;
        }
        let whole = |hash| contents.iter().any(|content| content.0 == hash);
        for (hash, groups) in promises.kept.iter().filter(|kept| !whole(kept.0)) {
            let partial = self.fetches.iter().find(|partial| partial.hash == *hash);
            let partial = partial.ok_or_else(|| format!("of groups {groups:?} nothing is kept"))?;
            let there = partial.groups.as_ref().unwrap();
            for &group in groups {
                let kept = there.has(group as u64 * GROUP, 1);
                ensure!(kept, "group {group} was in a checkpoint and is not kept");
            }
        }
        let done = self.imports.iter().map(|import| import.done).max().unwrap_or(0);
        ensure!(
            done >= promises.hashed || whole(ContentHash::of(&longer())),
            "an import goes on at {done}, not at {}",
            promises.hashed
        );
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(failed(&format!("read {}", path.display())))
}

/// The file that a part has, or has soon.
fn either(partial: PathBuf, named: PathBuf) -> PathBuf {
    if partial.exists() { partial } else { named }
}

fn fetch_is_true(store: &Store, partial: &partials::Partial) -> Checked {
    let (disk, name, size) = (&store.inner.disk, partial.hash.to_string(), partial.size);
    let groups = partial.groups.as_ref().ok_or("a row without a bitmap")?;
    let named = |kind| disk.named(kind, partial.hash);
    let bytes = read(&either(disk.partials().join(&name), named(disk::Kind::Content)))?;
    ensure!(
        bytes.len() as u64 == size,
        "a part has {} bytes of {size}",
        bytes.len()
    );
    let mut values = Vec::new();
    if Layer::group_count(size) > 0 {
        let layer = disk.partials().join(partial_files::layer_name(&name));
        values = read(&either(layer, named(disk::Kind::Layer)))?;
    }
    let values = values.as_chunks().0.to_vec();
    let layer = Layer::from_values(partial.hash, size, values);
    let layer = layer.map_err(failed("the layer of a part"))?;
    for (group, bytes) in bytes.chunks(GROUP_LEN).enumerate() {
        let offset = group as u64 * GROUP;
        ensure!(
            !groups.has(offset, 1) || layer.verify(offset, bytes),
            "group {group} is called good and is not"
        );
    }
    Ok(())
}

fn import_is_true(store: &Store, import: &cut_imports::CutImport) -> Checked {
    let folder = store.inner.disk.partials();
    let copy = read(&folder.join(&import.name))?;
    let values = read(&folder.join(partial_files::layer_name(&import.name)))?;
    let (done, count) = (import.done as usize, (import.done / GROUP) as usize);
    ensure!(
        done > 0 && copy.len() >= done,
        "a copy is shorter than {done} bytes"
    );
    ensure!(copy[..done] == longer()[..done], "a copy is not of its source");
    // One byte more closes the last group.
    let mut builder = LayerBuilder::new();
    builder.push(&longer()[..=done]);
    let right = builder.closed().as_flattened();
    ensure!(
        values.len() >= count * 32 && values[..count * 32] == *right,
        "the values beside a copy are not of its bytes"
    );
    Ok(())
}

/// Fetches and imports what is there in part, and finds that it goes on where it was.
pub(super) async fn goes_on(store: &Store, promises: &Promises) -> Checked {
    for &hash in &promises.rotten {
        match store.verify(hash, None, quiet()).await {
            Ok(Verdict::Good) => return Err("what is rotten is called good".to_owned()),
            Ok(Verdict::Damaged { .. }) | Err(StoreError::NotStored { .. }) => {}
            Err(error) => return Err(failed("verify")(error)),
        }
    }
    let parts = Parts::of(store).await?;
    if parts.fetches.is_empty() && parts.imports.is_empty() && promises.rotten.is_empty() {
        return Ok(());
    }
    for partial in &parts.fetches {
        let bytes = &bytes_of(partial.hash)?;
        let begun = store.begin(partial.hash, partial.size).await;
        let begun = begun.map_err(failed("begin again"))?;
        let good = partial.groups.as_ref().unwrap();
        ensure!(
            begun.resumed_bytes() == good.bytes(),
            "a fetch forgets what its row says"
        );
        for (group, right) in bytes.chunks(GROUP_LEN).enumerate() {
            let offset = group as u64 * GROUP;
            let mut read = vec![0; right.len()];
            let there = good.has(offset, 1);
            ensure!(
                begun.has(offset, right.len() as u64) == there,
                "of group {group} other things are said"
            );
            let done = begun.read_at(offset, &mut read);
            ensure!(
                done.is_ok() == there && (!there || read == right),
                "group {group} is claimed and not there"
            );
        }
        drop(begun);
        cuts::bring_all(store, bytes, Purpose::Nothing)
            .await
            .map_err(failed("fetch the rest"))?;
    }
    for damaged in store.damaged().await.map_err(failed("list the damage"))? {
        // Of which nothing was good.
        cuts::bring_all(store, &bytes_of(damaged.hash)?, Purpose::Nothing)
            .await
            .map_err(failed("fetch all of it"))?;
    }
    for import in &parts.imports {
        let first = Arc::new(Mutex::new(0));
        let sink = first.clone();
        let source = File::open(&promises.source).map_err(failed("open the source"))?;
        let progress: ProgressSink = Arc::new(move |done| {
            let mut first = sink.lock().unwrap();
            if *first == 0 {
                *first = done;
            }
        });
        let imported = store
            .import_file(source.into(), Purpose::Nothing, progress, &never())
            .await;
        let imported = imported.map_err(failed("go on with an import"))?;
        ensure!(
            imported.hash == ContentHash::of(&longer()),
            "an import became something else"
        );
        let (first, size) = (*first.lock().unwrap(), imported.size);
        let right = (import.done + BUFFER_LEN as u64).min(size);
        ensure!(
            first == right,
            "an import went on at {first} and not after {}",
            import.done
        );
    }
    let left = hashed(store.inner.metadata.reader())
        .await
        .map_err(failed("list the imports"))?;
    ensure!(left == 0, "an import is done and still there");
    let healed = Promises {
        rotten: Vec::new(),
        ..promises.clone()
    };
    sound(store, &healed).await?;
    tidy(store).await
}

fn bytes_of(hash: ContentHash) -> Result<Vec<u8>, String> {
    let mut known = [long(), Damage::Small.bytes()].into_iter();
    let found = known.find(|bytes| ContentHash::of(bytes) == hash);
    found.ok_or_else(|| format!("{hash} is no content of these tests"))
}
