//! The egress proxy: the only network a sandbox has.
