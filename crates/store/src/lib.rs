//! Local cache: blobs, unpacked layers by diff id, locks, size bound, repair.
