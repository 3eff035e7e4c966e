//! Distribution client: auth, pull, mount, push, tags.
