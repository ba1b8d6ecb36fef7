//! From text to [`crate::model::Project`]: the compose file format, with the place of every error.
//!
//! Pure but for reading the files it is pointed at. Knows nothing of what runs.
