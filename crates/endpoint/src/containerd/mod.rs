//! containerd, through its command line `ctr`, which finds the namespace by `CONTAINERD_NAMESPACE`.

mod destination;
mod source;

pub use destination::ContainerdDestination;
pub use source::ContainerdSource;

use crate::{
    Error, LocalName,
    archive::docker_names::whole,
    program::{Program, Programs},
};
use oci::{Descriptor, Digest};
use std::{collections::BTreeSet, ffi::OsStr, path::Path};

/// Most images listed for one name: there is one.
const LINES_MAX: usize = 1000;

/// How long to wait for a daemon that does not answer.
const CONNECT_TIMEOUT: &str = "--connect-timeout=5s";

/// containerd and how to reach it.
#[derive(Debug, Clone)]
pub struct Containerd {
    ctr: Program,
}

impl Containerd {
    /// With the first `ctr` on the search path, and a daemon that listens at a socket.
    pub fn find(programs: &Programs, socket: &Path) -> Result<Self, Error> {
        let none = |why: String| Error::Unavailable { what: "containerd".into(), tried: vec![why] };
        if !socket.exists() {
            return Err(none(format!("there is no socket {}", socket.display())));
        }
        let ctr = Program::find("ctr", programs);
        let ctr = ctr.ok_or_else(|| none("there is no program ctr on the search path".into()))?;
        let address = [OsStr::new("--address"), socket.as_os_str(), OsStr::new(CONNECT_TIMEOUT)];
        Ok(Containerd { ctr: ctr.with(address) })
    }

    /// What answers: version of the daemon.
    pub async fn version(&self) -> Result<String, Error> {
        let answer = self.ask(&["version"]).await?;
        let server = answer.split("Server:").nth(1).unwrap_or_default();
        let version = server.lines().find_map(|l| l.trim().strip_prefix("Version:")).map(str::trim);
        version.map(str::to_owned).ok_or_else(|| self.ctr.wrong("it names no version of a server".into()))
    }

    /// Whether it has an image of this name.
    pub async fn has(&self, name: &LocalName) -> Result<bool, Error> {
        Ok(self.image(name).await?.is_some())
    }

    async fn ask(&self, arguments: &[&str]) -> Result<String, Error> {
        let answer = self.ctr.ask(arguments).await?.map_err(|said| self.unreachable(said.0))?;
        String::from_utf8(answer).map_err(|_| self.ctr.wrong("its answer is no text".into()))
    }

    fn unreachable(&self, said: String) -> Error {
        let tried = vec![format!("{}: {said}", self.ctr.path().display())];
        Error::Unavailable { what: "containerd".into(), tried }
    }

    /// What a name leads to: type and digest. By its id, the first image that leads to that digest; by a reference with a
    /// digest, the first of that repository.
    async fn image(&self, name: &LocalName) -> Result<Option<(String, Digest)>, Error> {
        // Neither references nor digests can hold a quote.
        let of_digest = |digest: &Digest| format!("target.digest==\"{digest}\"");
        let (filter, repository) = match name {
            LocalName::Reference(reference) => match reference.digest() {
                None => (format!("name==\"{}\"", whole(reference)), None),
                Some(digest) => {
                    (of_digest(digest), Some(format!("{}/{}", reference.host(), reference.repository())))
                }
            },
            LocalName::Id(digest) => (of_digest(digest), None),
        };
        let listed = self.ask(&["images", "ls", &filter]).await?;
        let fits = |line: &&str| repository.as_ref().is_none_or(|repository| is_named(line, repository));
        Ok(listed.lines().take(LINES_MAX).filter(fits).find_map(image_line))
    }

    /// Digests of everything that is in its content store.
    async fn content(&self) -> Result<BTreeSet<Digest>, Error> {
        let listed = self.ask(&["content", "ls", "--quiet"]).await?;
        Ok(listed.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    /// A small blob, verified; `None` where it is not there.
    async fn small(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
        let digest = &descriptor.digest;
        let Ok(bytes) = self.ctr.ask(["content", "get", digest.as_str()]).await? else { return Ok(None) };
        if Digest::of(&bytes) != *digest || bytes.len() as u64 != descriptor.size {
            let why = format!("containerd gives {} bytes of another digest or size", bytes.len());
            return Err(Error::Corrupt { item: format!("blob {digest}"), why });
        }
        Ok(Some(bytes))
    }
}

/// Whether a line of `ctr images ls` is of an image of this repository.
fn is_named(line: &str, repository: &str) -> bool {
    let name = line.split_whitespace().next().unwrap_or_default();
    name.strip_prefix(repository).is_some_and(|rest| rest.starts_with([':', '@']))
}

/// A line of `ctr images ls`: name, type, digest, size, …
fn image_line(line: &str) -> Option<(String, Digest)> {
    let mut words = line.split_whitespace().skip(1);
    let kind = words.next()?;
    Some((kind.to_owned(), words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_images_are_read_and_the_heading_is_none() {
        let digest = Digest::of(b"x");
        let line = format!("docker.io/library/d:1 application/x {digest} 11.2 MiB linux/amd64 -      ");
        assert_eq!(image_line(&line), Some(("application/x".to_owned(), digest)));
        for (repository, is) in [
            ("docker.io/library/d", true),
            ("docker.io/library", false),
            ("docker.io/library/d:1", false),
            ("", false),
        ] {
            assert_eq!(is_named(&line, repository), is, "{repository}");
        }
        for line in ["REF TYPE DIGEST SIZE PLATFORMS LABELS", "", "a b", "a b sha256:00"] {
            assert_eq!(image_line(line), None, "{line}");
        }
    }
}
