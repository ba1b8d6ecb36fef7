//! Images: the content-addressed store, its archives, and root file systems made from it.
//!
//! Never starts anything.
