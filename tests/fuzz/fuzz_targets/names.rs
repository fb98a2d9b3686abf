//! See `p2p_tests::fuzz::names`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| p2p_tests::fuzz::names::run(data));
