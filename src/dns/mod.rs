//! Names: pure tables, a server inside each sandbox, and a forwarder for the rest.
//!
//! It is handed a table and never asks.
