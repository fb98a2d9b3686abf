//! See `p2p_tests::fuzz::rest`.
#![no_main]

use std::sync::LazyLock;

use p2p_tests::fuzz::rest::{Hashing, Rest};

static REST: LazyLock<Rest> = LazyLock::new(|| Rest::new(Hashing::OneIn(64)));

libfuzzer_sys::fuzz_target!(|data: &[u8]| REST.run(data));
