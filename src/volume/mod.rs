//! Named volumes on the local disk.
