//! apk's records: the database of installed packages, the world, the repositories.
//!
//! Formats: apk-tools' `src/database.c`, `src/package.c` and `src/repoparser.c`; apk-world(5), apk-repositories(5). apk 3 keeps
//! the text database of apk 2; its binary format (ADB) is one of packages and indexes only.

pub mod installed;
pub mod relation;
pub mod repositories;
pub mod world;
