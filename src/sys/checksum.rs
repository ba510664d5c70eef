//! The checksum of a line that is recorded.

/// FNV-1a of 32 bits: it finds what a crash of the machine has torn or mixed up. draft-eastlake-fnv, sections 2 and 5
///
/// It allocates nothing: a child between fork and exec calls it.
pub fn fnv1a(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

/// The digits of a checksum.
pub fn hex(sum: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u32| DIGITS.get((sum >> (28 - 4 * at) & 15) as usize);
    [0, 1, 2, 3, 4, 5, 6, 7].map(|at| digit(at).copied().unwrap_or(b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_the_draft() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        assert_eq!(&hex(0xbf9c_f068), b"bf9cf068");
    }
}
