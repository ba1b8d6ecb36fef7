//! The long-lived helper.
