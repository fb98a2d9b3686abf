//! See `p2p_tests::fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| p2p_tests::fuzz::config::run(data));
