//! Against the real apt, on this machine's own mirror.
