//! What `ps` shows of this process.

use std::ffi::CString;
use std::io;

/// Sets the short name (15 bytes are kept) and the command line, as far as the place of the original
/// command line has room.
///
/// # Errors
/// If `/proc` does not tell where the command line is.
pub fn set(name: &str, line: &str, _: &super::clone::SingleThreaded) -> io::Result<()> {
    rustix::thread::set_name(&CString::new(name)?)?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name may hold spaces; what follows its closing bracket starts with field 3.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let field = |number: usize| {
        after.split_whitespace().nth(number - 3).and_then(|text| text.parse::<usize>().ok())
    };
    let (Some(start), Some(end)) = (field(48), field(49)) else {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    };
    let room = end.saturating_sub(start);
    if start == 0 || room < 2 {
        return Ok(());
    }
    let length = line.len().min(room - 1);
    // SAFETY: the kernel says that the argument strings of this process are there, on its stack, which
    // is writable; there is one thread, and no reference into them is held: `std::env` copies.
    unsafe {
        let place = std::ptr::with_exposed_provenance_mut::<u8>(start);
        std::ptr::write_bytes(place, 0, room);
        std::ptr::copy_nonoverlapping(line.as_ptr(), place, length);
    }
    Ok(())
}
