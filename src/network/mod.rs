//! Bridges, sandboxes, addresses, published ports: by netlink, in whole values.
//!
//! Knows nothing of services and containers beyond the ids it is handed.
