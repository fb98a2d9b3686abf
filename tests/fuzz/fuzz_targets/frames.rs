//! See `p2p_tests::fuzz::frames`.
#![no_main]

use std::sync::LazyLock;

use p2p_tests::fuzz::frames::Frames;

static FRAMES: LazyLock<Frames> = LazyLock::new(Frames::new);

libfuzzer_sys::fuzz_target!(|data: &[u8]| FRAMES.run(data));
