//! Every single operation of every scenario fails once: with a full disk, and with an error of the device.

use std::time::Instant;

use rustix::io::Errno;

use super::{
    super::sys::{
        faults::{Fault, Kind, Step},
        power::Variant,
    },
    invariants::{Checked, after_power_loss, descriptors, sound, tidy},
    kept::Parts,
    power::{points, record},
    scenarios::{LONG, Scenario},
    world::{Ack, Promises, World},
    *,
};

/// What a disk refuses when it is full.
fn takes_room(kind: Kind) -> bool {
    !matches!(kind, Kind::Read | Kind::Remove)
}

/// The caller hears of it, in the right words.
fn answer(scenario: Scenario, step: &Step, errno: Errno, done: &Result<(), StoreError>) -> Checked {
    let right = match done {
        // A file that cannot be removed stays until the next start; nobody has to know.
        Ok(()) => step.kind == Kind::Remove || scenario.bears(step),
        Err(StoreError::NoSpace { .. }) => {
            errno == Errno::NOSPC
                && !matches!(
                    scenario,
                    Scenario::FetchInto | Scenario::Export | Scenario::ExportClone
                )
        }
        Err(StoreError::OutputFull { .. }) => {
            errno == Errno::NOSPC
                && matches!(
                    scenario,
                    Scenario::FetchInto | Scenario::Export | Scenario::ExportClone
                )
        }
        Err(StoreError::Io { .. }) => errno == Errno::IO || scenario.opens(),
        Err(StoreError::Folder { .. }) => scenario.opens(),
        Err(_) => false,
    };
    right
        .then_some(())
        .ok_or_else(|| format!("the answer is {done:?}"))
}

/// What is not promised any more: after a failed fsync nobody believes the part, and what cannot be read is gone.
fn spared(mut promises: Promises, step: &Step) -> Promises {
    if matches!(step.kind, Kind::SyncFile | Kind::SyncFolder | Kind::Read) {
        promises.kept.clear();
        promises.hashed = 0;
    }
    promises
}

/// Of a part of which an fsync failed nothing is left to go on with, though its last checkpoint may be as it was.
async fn poisoned(scenario: Scenario, step: &Step, store: &Store) -> Checked {
    let grows = matches!(
        scenario,
        Scenario::FetchCut | Scenario::Replica | Scenario::ImportCut | Scenario::ImportOn
    );
    let synced =
        matches!(step.kind, Kind::SyncFile | Kind::SyncFolder) && step.path.starts_with("store/partial");
    if !grows || !synced {
        return Ok(());
    }
    let parts = Parts::of(store).await?;
    match parts.fetches.is_empty() && parts.imports.is_empty() {
        true => Ok(()),
        false => Err("an fsync of it failed, and it is believed".to_owned()),
    }
}

/// The store says what of its own disk failed.
fn noted(store: &Store, step: &Step, errno: Errno) -> Checked {
    let ours = step.path != Path::new("a passed file");
    let fails = matches!(
        step.kind,
        Kind::SyncFile | Kind::SyncFolder | Kind::Write | Kind::Read
    );
    if errno != Errno::IO || !ours || !fails {
        return Ok(());
    }
    match store.faults().as_slice() {
        [] => Err("nobody hears of it".to_owned()),
        _ => Ok(()),
    }
}

/// One operation fails; then everything is as if it had not been tried, and the next try succeeds.
async fn fail(scenario: Scenario, point: usize, errno: Errno) -> Checked {
    let world = World::new();
    let store = scenario.prepare(&world).await;
    world.sys.arm(Some(Fault::At(point, errno)));
    let done = scenario.run(&world, store.as_ref()).await;
    if world.sys.armed() {
        return Err("nothing failed".to_owned());
    }
    let step = &world.sys.steps(point)[0];
    answer(scenario, step, errno, &done)?;
    if let Some(store) = &store {
        settled(store).await;
        noted(store, step, errno)?;
    }
    let left = descriptors(world.base());
    if !left.is_empty() && !scenario.opens() {
        return Err(format!("these stay open: {left:?}"));
    }
    let store = match store {
        Some(store) => store,
        None => world
            .open()
            .await
            .map_err(|error| format!("open again: {error}"))?,
    };
    sound(&store, &spared(world.promises(usize::MAX), step)).await?;
    poisoned(scenario, step, &store).await?;
    // One that could not be removed is still there.
    if step.kind != Kind::Remove {
        tidy(&store).await?;
    }
    again(scenario, &world, &store)
        .await
        .map_err(|error| format!("again: {error}"))?;
    settled(&store).await;
    let promises = world.promises(usize::MAX);
    sound(&store, &promises).await?;
    let end = world.sys.look();
    store.close().await;
    drop(store);
    let left = descriptors(world.base());
    if !left.is_empty() {
        return Err(format!("these stay open: {left:?}"));
    }
    // What an fsync failed to write must not be called durable later. Other failures leave nothing new to ask.
    if !matches!(
        step.kind,
        Kind::SyncFile | Kind::SyncFolder | Kind::Rename | Kind::Commit
    ) {
        return Ok(());
    }
    let image = world.sys.lose_power(end, Variant::Lost, None);
    after_power_loss(&image, &promises)
        .await
        .map_err(|wrong| format!("after a loss of power: {wrong}"))
}

/// The same once more, and an import of the same and of other bytes.
async fn again(scenario: Scenario, world: &World, store: &Store) -> Result<(), StoreError> {
    if !scenario.opens() {
        scenario.run(world, Some(store)).await?;
    }
    // What was dropped may come back.
    if !matches!(scenario, Scenario::Drop | Scenario::RotDropped) {
        world.import(store, 50, &data(1, LONG)).await?;
    }
    world.ack(Ack::Dropping(Uuid::from_u128(51)));
    world.import(store, 52, b"something else").await
}

async fn fails_well(scenarios: &[Scenario]) {
    let (mut tested, mut wrongs, began) = (0, Vec::new(), Instant::now());
    for &scenario in scenarios {
        let (recorded, begin, end) = record(scenario).await;
        let steps = recorded.sys.steps(0);
        for point in points(&recorded, begin, end - 1) {
            for errno in [Errno::NOSPC, Errno::IO] {
                let kind = steps[point].kind;
                if errno == Errno::NOSPC && !takes_room(kind) {
                    continue;
                }
                if let Err(wrong) = fail(scenario, point, errno).await {
                    let path = steps[point].path.display();
                    wrongs.push(format!(
                        "{scenario:?}, {kind:?} of {path} ({point}) fails with {errno}: {wrong}"
                    ));
                }
                tested += 1;
            }
        }
    }
    println!("{tested} failures, in {:?}", began.elapsed());
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

#[tokio::test]
async fn imports_fail_well() {
    fails_well(&[
        Scenario::Import,
        Scenario::ImportSmall,
        Scenario::ImportClone,
        Scenario::ImportTwice,
    ])
    .await;
}

#[tokio::test]
async fn streams_and_fetches_fail_well() {
    fails_well(&[Scenario::Stream, Scenario::Fetch, Scenario::FetchInto]).await;
}

#[tokio::test]
async fn fetches_with_checkpoints_fail_well() {
    fails_well(&[Scenario::FetchCut, Scenario::Replica, Scenario::Discard]).await;
}

#[tokio::test]
async fn imports_with_checkpoints_fail_well() {
    fails_well(&[Scenario::ImportCut, Scenario::ImportOn]).await;
}

#[tokio::test]
async fn damage_fails_well() {
    fails_well(&[
        Scenario::Rot,
        Scenario::RotAfterCut,
        Scenario::RotLayer,
        Scenario::RotSmall,
        Scenario::RotShort,
        Scenario::RotDropped,
    ])
    .await;
}

#[tokio::test]
async fn starts_after_a_kill_fail_well() {
    fails_well(&[Scenario::KilledFetch, Scenario::KilledImport, Scenario::KilledRot]).await;
}

#[tokio::test]
async fn drops_and_exports_fail_well() {
    fails_well(&[
        Scenario::Drop,
        Scenario::Forget,
        Scenario::RestartIndex,
        Scenario::Export,
        Scenario::ExportClone,
    ])
    .await;
}

#[tokio::test]
async fn starts_fail_well() {
    // `CutOpen` is what `FirstOpen` does here.
    fails_well(&[Scenario::FirstOpen, Scenario::Sweep]).await;
}
