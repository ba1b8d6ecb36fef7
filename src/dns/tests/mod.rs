//! The resolvers on real sockets, in namespaces of their own.

mod forwarding;
mod hostile;
mod names;
mod tables;
