//! How many files this process may have open: an image of hundreds of layers takes two for each, and the usual limit, which is
//! there for programs that use `select`, is a thousand.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any number of images at a time needs.
const WANTED: u64 = 65_536;

/// Raises the limit as far as it may be; what is there already, or refused, stays. Programs of images get the usual limit again.
pub(super) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(200), maximum: before.maximum };
        setrlimit(Resource::Nofile, low).unwrap();
        allow_many();
        let raised = getrlimit(Resource::Nofile).current;
        assert_eq!(raised, Some(before.maximum.map_or(WANTED, |m| m.min(WANTED))));
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }).unwrap();
        allow_many();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        setrlimit(Resource::Nofile, before).unwrap();
    }
}
