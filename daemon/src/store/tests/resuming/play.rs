//! Fetches that are cut and go on, over and over: no checkpoint is lost, and no byte is wrong.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Piece(usize),
    Checkpoint,
    Drop,
    Kill,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..7_usize).prop_map(Act::Piece),
        2 => Just(Act::Checkpoint),
        1 => Just(Act::Drop),
        1 => Just(Act::Kill),
    ];
    prop::collection::vec(act, 1..16)
}

/// Does all of it and says how it ended: the durable groups never go, and what is there is the content's.
async fn play(bytes: &[u8], eager: bool, acts: &[Act]) {
    let groups: Vec<_> = bytes.chunks(GROUP_LEN).collect();
    let (layer, every) = (layer_of(bytes), if eager { GROUP } else { u64::MAX });
    let (hash, size) = (layer.hash(), layer.size());
    let mut home = Home::new();
    let mut store = home.open_eager(None, every).await;
    let mut fetch = store.begin(hash, size).await.unwrap();
    let (mut written, mut durable) = (BTreeSet::new(), BTreeSet::new());
    let _ = fetch.set_layer(layer.clone());
    for act in acts {
        match act {
            Act::Piece(index) => {
                let index = index % groups.len();
                write_group(&fetch, bytes, index);
                written.insert(index);
                continue;
            }
            Act::Checkpoint => {
                fetch.checkpoint().await.unwrap();
                durable.clone_from(&written);
                continue;
            }
            Act::Drop => drop(fetch),
            Act::Kill => {
                settled(&store).await;
                home = home.killed();
                drop(fetch);
                store = home.open_eager(None, every).await;
            }
        }
        fetch = store.begin(hash, size).await.unwrap();
        let _ = fetch.set_layer(layer.clone());
        let there = |index: &usize| fetch.has(*index as u64 * GROUP, groups[*index].len() as u64);
        let now: BTreeSet<_> = (0..groups.len()).filter(there).collect();
        assert!(now.is_superset(&durable), "{now:?} has not {durable:?}");
        assert!(now.is_subset(&written), "{now:?} is more than {written:?}");
        assert!(eager || now == durable, "{now:?} is not {durable:?}");
        for &index in &now {
            let mut read = vec![0; groups[index].len()];
            fetch.read_at(index as u64 * GROUP, &mut read).unwrap();
            assert!(read == groups[index], "group {index} is not the content's");
        }
        written.clone_from(&now);
        durable = now;
    }
    for index in 0..groups.len() {
        write_group(&fetch, bytes, index);
    }
    fetch.commit(Purpose::Nothing).await.unwrap();
    drop(fetch);
    assert_eq!(read_all(&store, hash).await, bytes);
    assert_eq!(home.files("partial"), Vec::<PathBuf>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_checkpoint_is_lost_and_no_byte_is_wrong(
        size in prop_oneof![1..=GROUP_LEN, GROUP_LEN + 1..7 * GROUP_LEN], eager in any::<bool>(), acts in acts(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(play(&data(30, size), eager, &acts));
    }
}
