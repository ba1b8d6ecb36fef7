//! Containers: programs inside, logs, what they use.
