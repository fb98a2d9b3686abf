//! See `p2p_tests::fuzz::grants`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| p2p_tests::fuzz::grants::run(data));
