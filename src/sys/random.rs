//! Random bytes that nobody can guess.

use std::io;

/// Fills an array from the kernel's generator.
///
/// # Errors
/// If the kernel has none to give, which no kernel since 3.17 does once it has booted.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the buffer is ours and N bytes long.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    match usize::try_from(got) {
        // Requests of up to 256 bytes are never cut short (getrandom(2)).
        Ok(got) if got == N => Ok(bytes),
        Ok(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// A number below `limit`, for choices where nothing but balance depends on it; 0 if `limit` is 0.
pub fn below(limit: usize) -> usize {
    let number = bytes().map_or(0, usize::from_ne_bytes);
    number.checked_rem(limit).unwrap_or(0)
}

/// Puts `items` in an order of chance.
pub fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1));
    }
}
