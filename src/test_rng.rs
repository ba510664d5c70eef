//! Numbers for tests of random input.

/// Numbers without any pattern, the same every time: xorshift64, Marsaglia 2003.
pub fn test_rng() -> impl FnMut() -> u64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    }
}
