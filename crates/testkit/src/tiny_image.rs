//! The smallest image that runs programs: a static busybox of Debian under some of its names. It has no packages.

use crate::debian_root::Suite;
use crate::distroless::layer;
use crate::image::{Image, Layer};
use crate::tar::{self, Entry, Kind};
use crate::{Error, debs};
use serde_json::json;

/// The names that busybox has in it, below `bin`.
const APPLETS: &[&str] = &["cat", "echo", "ls", "sh", "sleep", "true", "uname"];

/// Whether it can be made here; a reason to skip where it cannot.
pub fn needs() -> Result<(), String> {
    debs::needs()
}

/// An image of an architecture (`amd64`, `arm64`) that says what machine it runs on and ends.
pub fn image(architecture: &str) -> Result<Image, Error> {
    let layers = vec![Layer::Tar(tar::write(&entries(architecture)?))];
    let path = "PATH=/bin";
    let config = json!({ "Cmd": ["/bin/uname", "-m"], "Env": [path] });
    Ok(Image { architecture: architecture.to_owned(), config, ..Image::new(layers) })
}

fn entries(architecture: &str) -> Result<Vec<Entry>, Error> {
    let (suite, packages) = (Suite::Bookworm, &["busybox-static"][..]);
    let wanted = debs::Wanted { name: "busybox", suite, architecture, packages, closed: false };
    let deb = debs::of(&wanted)?.pop().ok_or_else(|| Error::Unavailable("no busybox-static".to_owned()))?;
    let busybox = layer::files(&deb)?.into_iter().find(|entry| entry.path.ends_with(b"bin/busybox"));
    let mut busybox = busybox.ok_or_else(|| Error::malformed("busybox-static", "has no busybox"))?;
    busybox.path = b"bin/busybox".to_vec();
    let link = |name: &&str| Entry::new(format!("bin/{name}"), Kind::Symlink(b"busybox".to_vec()));
    let mut entries = vec![Entry::directory("bin"), Entry::directory("tmp").mode(0o1777), busybox];
    entries.extend(APPLETS.iter().map(link));
    Ok(entries)
}
