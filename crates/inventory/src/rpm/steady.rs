//! Takes out of an SQLite database of rpm's when packages were installed: rpm writes the time into each header and into a table
//! beside them, and equal images must get equal databases. The database keeps its form: four bytes take the place of four.
//!
//! Source: rpm's `lib/psm.c` and `lib/rpmte.c` (`RPMTAG_INSTALLTIME`, `RPMTAG_INSTALLTID`), `lib/backend/sqlite.c` (table `Installtid`). The
//! tags lie outside of the part of a header that is signed.

use super::{
    Header, Tag,
    sqlite::{self, Placed},
};
use crate::Error;
use std::collections::BTreeSet;

/// What tells when a package was installed.
const TIMES: [Tag; 2] = [Tag::INSTALL_TIME, Tag::INSTALL_TID];

/// Where a time lies in the file, byte by byte from the highest.
type Place = [usize; 4];

/// Gives every time of installation from `since` on (seconds since 1970) as one that only depends on the packages: the newest of
/// when those were built and of the times of installation before. Says whether there was one.
pub fn steady(bytes: &mut [u8], since: u32) -> Result<bool, Error> {
    let mut found = Found { since, ..Found::default() };
    sqlite::placed(bytes, ("Packages", 1), &mut |blob| found.header(&blob))?;
    sqlite::placed(bytes, ("Installtid", 0), &mut |key| {
        found.key(&key);
        Ok(())
    })?;
    let time = found.built.max(found.before).to_be_bytes();
    for (place, byte) in found.places.iter().flat_map(|place| place.iter().zip(time)) {
        if let Some(at) = bytes.get_mut(*place) {
            *at = byte;
        }
    }
    Ok(!found.places.is_empty())
}

/// What was found so far.
#[derive(Default)]
struct Found {
    since: u32,
    /// Newest time of installation before.
    before: u32,
    /// Newest time at which a package that was installed since then was built.
    built: u32,
    /// Times from then on.
    new: BTreeSet<u32>,
    places: Vec<Place>,
}

impl Found {
    fn header(&mut self, blob: &Placed) -> Result<(), Error> {
        let header = Header::parse(&blob.value)?;
        let number = |tag| Ok::<_, Error>(header.number(tag)?.and_then(|n| u32::try_from(n).ok()));
        let mut is_new = false;
        for tag in TIMES {
            let Some((time, at)) = number(tag)?.zip(header.place(tag)) else { continue };
            if time < self.since {
                self.before = self.before.max(time);
                continue;
            }
            is_new = true;
            self.new.insert(time);
            self.places.extend(place(blob, [at, at + 1, at + 2, at + 3]));
        }
        if is_new {
            self.built = self.built.max(number(Tag::BUILD_TIME)?.unwrap_or(0));
        }
        Ok(())
    }

    /// A key of the table beside the headers: a time, in the order of bytes of the machine that wrote it.
    fn key(&mut self, key: &Placed) {
        let Ok(bytes) = <[u8; 4]>::try_from(key.value.as_slice()) else { return };
        if self.new.contains(&u32::from_le_bytes(bytes)) {
            self.places.extend(place(key, [3, 2, 1, 0]));
        } else if self.new.contains(&u32::from_be_bytes(bytes)) {
            self.places.extend(place(key, [0, 1, 2, 3]));
        }
    }
}

fn place(value: &Placed, at: [usize; 4]) -> Option<Place> {
    let [a, b, c, d] = at.map(|at| value.in_file(at));
    Some([a?, b?, c?, d?])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Value, header, sqlite};
    use super::*;

    /// A package built and installed at these times, with `size` bytes before them.
    fn package(name: &'static str, built: u32, installed: u32, size: usize) -> Vec<u8> {
        header(&[
            (Tag::NAME, Value::Text(name)),
            (Tag::SUMMARY, Value::Binary(vec![7; size + 1])),
            (Tag::BUILD_TIME, Value::Numbers(vec![built])),
            (Tag::INSTALL_TIME, Value::Numbers(vec![installed])),
            (Tag::INSTALL_TID, Value::Numbers(vec![installed])),
        ])
    }

    #[test]
    fn only_times_of_the_run_become_steady_wherever_they_lie() {
        // Every place within a page and on the border of two.
        for size in (0..600).step_by(4) {
            let file = |time: u32| {
                let all = [
                    package("old", 50, 100, size),
                    package("new", 70, time, size),
                    package("newer", 90, time + 1, 3),
                ];
                sqlite(&all)
            };
            let (mut one, mut two, same) = (file(1000), file(2000), file(100));
            assert_eq!((steady(&mut one, 1000), steady(&mut two, 2000)), (Ok(true), Ok(true)));
            assert_eq!(one, two, "{size}");
            let expected = sqlite(&[
                package("old", 50, 100, size),
                package("new", 70, 100, size),
                package("newer", 90, 100, 3),
            ]);
            assert_eq!(one, expected, "{size}");
            let mut again = same.clone();
            assert_eq!(steady(&mut again, 1000), Ok(false));
            assert_eq!(again, same);
        }
    }

    #[test]
    fn what_was_built_after_everything_was_installed_gives_the_time() {
        let mut file = sqlite(&[package("old", 50, 100, 0), package("new", 170, 1000, 0)]);
        assert_eq!(steady(&mut file, 1000), Ok(true));
        assert_eq!(file, sqlite(&[package("old", 50, 100, 0), package("new", 170, 170, 0)]));
    }

    #[test]
    fn what_is_no_database_is_an_error_and_stays_as_it_is() {
        let mut junk = b"SQLite format 3\0 and no more".to_vec();
        assert!(steady(&mut junk, 0).is_err());
        assert_eq!(junk, b"SQLite format 3\0 and no more");
    }
}
