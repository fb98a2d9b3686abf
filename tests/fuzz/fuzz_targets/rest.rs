//! See `p2p_tests::fuzz::rest`.
#![no_main]

use std::sync::LazyLock;

use p2p_tests::fuzz::rest::Rest;

static REST: LazyLock<Rest> = LazyLock::new(Rest::new);

libfuzzer_sys::fuzz_target!(|data: &[u8]| REST.run(data));
