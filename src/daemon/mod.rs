//! Wires the rooms together; owns start and stop.
