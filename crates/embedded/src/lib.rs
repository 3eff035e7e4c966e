//! The engine in-process: namespaces, overlay, seccomp, egress door. The only room with unsafe code.
