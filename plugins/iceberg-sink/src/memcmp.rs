//! `memcmp`, eight bytes at a time.
//!
//! wasi-libc has it byte by byte, and each of its steps looks at the host's deadline as well: in a
//! table of decimals and texts it took an eighth of the component's time, for the least and the
//! greatest value of each page and for dictionaries. Linkers take the first definition of a symbol
//! before they look into libraries, so this one replaces it for all that is linked here.

#[cfg(any(test, target_family = "wasm"))]
use std::cmp::Ordering;
#[cfg(target_family = "wasm")]
use std::ffi::c_int;

/// Compares `count` bytes, as C has it.
///
/// # Safety
/// As much can be read at both places.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    if count == 0 {
        // C allows any pointer then.
        return 0;
    }
    // SAFETY: the caller's promise; slices of a byte have no alignment.
    let (left, right) = unsafe {
        (
            std::slice::from_raw_parts(left, count),
            std::slice::from_raw_parts(right, count),
        )
    };
    order(left, right) as c_int
}

#[cfg(any(test, target_family = "wasm"))]
/// The order of two slices of the same length. It must not compare slices itself, which would come
/// back here.
fn order(left: &[u8], right: &[u8]) -> Ordering {
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    for (left, right) in left_words.iter().zip(right_words) {
        let (left, right) = (u64::from_ne_bytes(*left), u64::from_ne_bytes(*right));
        if left != right {
            return u64::from_be(left).cmp(&u64::from_be(right));
        }
    }
    for (left, right) in left_rest.iter().zip(right_rest) {
        if left != right {
            return left.cmp(right);
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn bytes_are_ordered_wherever_they_differ() {
        for length in 0..40 {
            let left = vec![7_u8; length];
            assert!(order(&left, &left.clone()).is_eq(), "{length}");
            for at in 0..length {
                for byte in [0_u8, 6, 8, 0x80, 0xff] {
                    for next in [0_u8, 7, 0xff] {
                        let mut right = left.clone();
                        right[at] = byte;
                        right[at + 1..].fill(next);
                        assert_eq!(order(&left, &right), left.cmp(&right), "{length}, {at}");
                        assert_eq!(order(&right, &left), right.cmp(&left), "{length}, {at}");
                    }
                }
            }
        }
    }
}
