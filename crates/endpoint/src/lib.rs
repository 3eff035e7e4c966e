//! Where images come from and go to, one shape: registry, OCI layout directory.
