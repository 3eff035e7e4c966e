//! The configuration of pacman during a run: the image's own, without what only makes sense on a machine of its own.

use crate::{Error, Facts};
use engine::Mount;

/// The name of the configuration below `/dev/copa`, and how pacman is told of it.
const NAME: &str = "pacman.conf";
pub(super) const OPTION: [&str; 2] = ["--config", "/dev/copa/pacman.conf"];

/// Settings left out. pacman 7 fetches as another user, confined by means the sandbox does not have; the sandbox is the
/// boundary here, and that user may not exist in it. The room on the disk is the sandbox's and is bounded by it.
const WITHOUT: [&str; 2] = ["CheckSpace", "DownloadUser"];

/// The files shown during the run.
pub(super) fn mounts(facts: &Facts) -> Result<Vec<Mount>, Error> {
    let own = facts.files.get(super::CONF).ok_or_else(|| Error::database(super::CONF, "not there"))?;
    let kept = |line: &&[u8]| {
        let key = line.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        !WITHOUT.iter().any(|without| key == without.as_bytes())
    };
    let content = own.split_inclusive(|b| *b == b'\n').filter(kept).collect::<Vec<_>>().concat();
    Ok(vec![Mount { name: NAME.to_owned(), content }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_a_machine_is_left_out() {
        let own = "[options]\n#CheckSpace\n CheckSpace\nDownloadUser = alpm\nSigLevel = Required\n[core]\nServer = x";
        let files = [(crate::pacman::CONF.to_owned(), own.as_bytes().to_vec())].into();
        let facts = Facts { files, ..Facts::default() };
        let mounts = mounts(&facts).unwrap();
        let text = String::from_utf8(mounts[0].content.clone()).unwrap();
        assert_eq!(text, "[options]\n#CheckSpace\nSigLevel = Required\n[core]\nServer = x");
        assert!(super::mounts(&Facts::default()).is_err());
    }
}
