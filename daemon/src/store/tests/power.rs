//! The power is lost at every single operation of every scenario, and what a disk may then hold is started again. And
//! each fsync is left out once: something must break, or it is here with a reason.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::Instant,
};

use super::{
    super::sys::{
        faults::{Fault, Kind, Step},
        power::{Image, Variant},
    },
    invariants::after_power_loss,
    scenarios::Scenario,
    world::{Promises, World},
};

/// The two ends (with both lengths a file may have), and a mixture.
fn variants(seed: u64) -> [Variant; 4] {
    [
        Variant::Lost,
        Variant::NamesKept,
        Variant::NamesKeptShort,
        Variant::Mixed(seed),
    ]
}

/// Does it once with nothing going wrong; where it begins, and a point after its end.
pub(super) async fn record(scenario: Scenario) -> (World, usize, usize) {
    let world = World::new();
    let store = scenario.prepare(&world).await;
    let begin = world.sys.count();
    scenario.run(&world, store.as_ref()).await.unwrap();
    let end = world.sys.look();
    if let Some(store) = store {
        store.close().await;
    }
    (world, begin, end)
}

/// The operations worth a test: of the many folders that a start makes a few will do.
pub(super) fn points(world: &World, begin: usize, end: usize) -> Vec<usize> {
    let steps = world.sys.steps(0);
    (begin..=end)
        .filter(|&at| steps[at].kind != Kind::MakeFolder || at % 400 == 0)
        .collect()
}

/// Loses the power before an operation while the program runs, so that it too sees everything fail from then on.
async fn lose_power(scenario: Scenario, point: usize) -> World {
    let world = World::new();
    let store = scenario.prepare(&world).await;
    world.sys.arm(Some(Fault::PowerLoss(point)));
    let done = scenario.run(&world, store.as_ref()).await;
    if world.sys.count() <= point {
        assert!(done.is_ok(), "nothing failed");
        world.sys.look();
    }
    if let Some(store) = store {
        store.close().await;
    }
    world
}

/// The power lost at every point: of one recorded run, all that differ of the disks that may come of it; and of a run
/// that is really cut there, one mixed disk.
async fn survive(scenario: Scenario) {
    let began = Instant::now();
    let (recorded, begin, end) = record(scenario).await;
    let (points, mut seen, mut made) = (points(&recorded, begin, end), HashSet::new(), 0);
    for &point in &points {
        let step = &recorded.sys.steps(point)[0];
        let check = async |image: &Image, promises: &Promises, what: String| {
            let path = step.path.display();
            if let Err(wrong) = after_power_loss(image, promises).await {
                let kind = step.kind;
                panic!("{scenario:?}, power lost before {kind:?} of {path} ({point}), {what}: {wrong}");
            }
        };
        let promises = recorded.promises(point);
        for variant in variants(point as u64) {
            let image = recorded.sys.lose_power(point, variant, None);
            made += 1;
            if seen.insert(fingerprint(&image, &promises)) {
                check(&image, &promises, format!("{variant:?}")).await;
            }
        }
        let cut = lose_power(scenario, point).await;
        assert_eq!(cut.sys.steps(point)[0].kind, step.kind, "as recorded");
        let image = cut.sys.lose_power(point, Variant::Mixed(!(point as u64)), None);
        // Also what was said after the loss.
        check(&image, &cut.promises(usize::MAX), "really cut".to_owned()).await;
    }
    println!(
        "{scenario:?}: power lost at {} points, {made} disks ({} different), {} runs really cut, in {:?}",
        points.len(),
        seen.len(),
        points.len(),
        began.elapsed()
    );
}

fn fingerprint(image: &Image, promises: &Promises) -> u64 {
    let mut hasher = DefaultHasher::new();
    (image, format!("{promises:?}")).hash(&mut hasher);
    hasher.finish()
}

async fn survives(scenarios: &[Scenario]) {
    for &scenario in scenarios {
        Box::pin(survive(scenario)).await;
    }
}

#[tokio::test]
async fn imports_survive_a_loss_of_power() {
    survives(&[
        Scenario::Import,
        Scenario::ImportSmall,
        Scenario::ImportClone,
        Scenario::ImportTwice,
    ])
    .await;
}

#[tokio::test]
async fn streams_and_fetches_survive_a_loss_of_power() {
    survives(&[Scenario::Stream, Scenario::Fetch, Scenario::FetchInto]).await;
}

#[tokio::test]
async fn fetches_with_checkpoints_survive_a_loss_of_power() {
    survives(&[Scenario::FetchCut, Scenario::Replica, Scenario::Discard]).await;
}

#[tokio::test]
async fn imports_with_checkpoints_survive_a_loss_of_power() {
    survives(&[Scenario::ImportCut, Scenario::ImportOn]).await;
}

#[tokio::test]
async fn damage_survives_a_loss_of_power() {
    survives(&[
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
async fn starts_after_a_kill_survive_a_loss_of_power() {
    survives(&[Scenario::KilledFetch, Scenario::KilledImport, Scenario::KilledRot]).await;
}

#[tokio::test]
async fn drops_survive_a_loss_of_power() {
    survives(&[Scenario::Drop, Scenario::Forget, Scenario::RestartIndex]).await;
}

#[tokio::test]
async fn starts_survive_a_loss_of_power() {
    survives(&[Scenario::FirstOpen, Scenario::CutOpen, Scenario::Sweep]).await;
}

/// Fsyncs that nothing depends on, and why they are there.
fn may_go(scenario: Scenario, steps: &[Step], at: usize) -> bool {
    let step = &steps[at];
    let is_bytes = |step: &Step| step.kind == Kind::SyncFile && !step.path.starts_with("store/tmp");
    let last_bytes = is_bytes(step) && !steps[at + 1..].iter().any(is_bytes);
    let of_start = ["store", "store/content", "store/layer"].map(Path::new);
    let of_partial = step.path == Path::new("store/partial");
    let alike = |other: &&Step| (other.kind, &other.path) == (step.kind, &step.path);
    match (scenario, step.kind) {
        // Whether the content is here already is asked with the right to give names, and for that nobody waits while
        // another one fsyncs: the second copy is durable before it is thrown away.
        (Scenario::ImportTwice, Kind::SyncFile) => true,
        // An earlier start came past them; only that is not known without asking. `CutOpen` is where it did not.
        (Scenario::Sweep, Kind::SyncFolder) => true,
        (_, Kind::SyncFolder) if scenario.is_killed() && of_start.contains(&&*step.path) => true,
        // The name that the checkpoint had made durable is back; that it was gone was never fsynced. In `KilledRot` there
        // was none.
        (Scenario::KilledFetch | Scenario::KilledImport, Kind::SyncFolder) => of_partial,
        // The commit that was killed came past them, and the same bytes were written again.
        (Scenario::KilledFetch | Scenario::KilledImport, Kind::SyncFile) => last_bytes,
        // All of the bytes were good, so none was written.
        (Scenario::RotLayer, Kind::SyncFile) => last_bytes,
        // Nothing lay where damage goes, and the first fsync there is that of its removal. In `RotAfterCut` something did.
        (Scenario::Rot | Scenario::RotShort | Scenario::RotSmall, Kind::SyncFolder) => {
            of_partial && !steps[..at].iter().any(|other| alike(&other))
        }
        _ => false,
    }
}

/// Leaves out one fsync of a recorded run; true when a loss of power after it shows that.
async fn is_missed(world: &World, ignored: usize, end: usize) -> bool {
    // The last point first: most was promised there.
    let points = points(world, ignored + 1, end);
    for &point in points.last().into_iter().chain(&points) {
        let promises = world.promises(point);
        for variant in [Variant::NamesKept, Variant::Lost, Variant::NamesKeptShort] {
            let image = world.sys.lose_power(point, variant, Some(ignored));
            let with_it = world.sys.lose_power(point, variant, None);
            // Those are looked at by the other tests.
            if fingerprint(&image, &promises) == fingerprint(&with_it, &promises) {
                continue;
            }
            if after_power_loss(&image, &promises).await.is_err() {
                return true;
            }
        }
    }
    false
}

#[tokio::test]
async fn no_fsync_can_be_left_out() {
    let (mut tested, mut spared, mut wrong, began) = (0, 0, Vec::new(), Instant::now());
    for scenario in Scenario::ALL {
        let (world, begin, end) = record(scenario).await;
        let steps = world.sys.steps(begin);
        for (index, step) in steps.iter().enumerate() {
            let at = begin + index;
            if !matches!(step.kind, Kind::SyncFile | Kind::SyncFolder) {
                continue;
            }
            let missed = is_missed(&world, at, end).await;
            if missed == may_go(scenario, &steps, index) {
                let path = step.path.display();
                wrong.push(format!(
                    "{scenario:?}: {:?} of {path} ({at}), missed: {missed}",
                    step.kind
                ));
            }
            tested += 1;
            spared += usize::from(!missed);
        }
    }
    println!(
        "{tested} fsyncs left out, of which {spared} may go, in {:?}",
        began.elapsed()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
