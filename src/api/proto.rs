//! The code that is generated from `orca.proto`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::cast_possible_truncation,
    clippy::str_to_string,
    clippy::use_self,
    reason = "generated; the documentation is in orca.proto"
)]

tonic::include_proto!("orca.v1");
