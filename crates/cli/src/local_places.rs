//! Files and folders that a patched image goes to: whether they can be there is looked at before any work is done.

use crate::{error::Failure, exit::Kind, target::Delivery, ui::text::printable};
use endpoint::Address;
use std::path::{Path, PathBuf};

/// Checks all of them.
pub fn check(delivery: &Delivery) -> Result<(), Failure> {
    delivery.layout.iter().try_for_each(|(dir, _)| layout(dir))?;
    delivery.others.iter().try_for_each(|place| match place {
        Address::OciLayout { dir, .. } => layout(dir),
        Address::OciArchive { file, .. } | Address::DockerArchive { file, .. } => archive(file),
        _ => Ok(()),
    })
}

fn layout(dir: &Path) -> Result<(), Failure> {
    let is_file = std::fs::metadata(dir).is_ok_and(|there| !there.is_dir());
    if is_file {
        let hint = "an OCI layout is a folder; --to oci-archive:FILE writes a file";
        return Err(refused(dir, "it is there and no folder").hint(hint));
    }
    Ok(())
}

fn archive(file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(refused(file, "it is a folder")
            .hint("name a file in it, or write an OCI layout with --to oci:DIR"));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.filter(|folder| !folder.is_dir()) {
        Some(missing) => Err(refused(file, &format!("there is no folder {}", shown(missing)))),
        None => Ok(()),
    }
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Kind::Destination, format!("cannot write the patched image to {}", shown(path)))
        .because(why.to_owned())
}

fn shown(path: &Path) -> String {
    printable(&PathBuf::from(path).to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_written_is_said_before_any_work() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("file"), "").unwrap();
        for (place, why) in [
            (format!("oci:{}:x", at("file")), Some("no folder")),
            (format!("oci:{}:x", at("new")), None),
            (format!("oci:{}:x", folder.path().display()), None),
            (format!("oci-archive:{}:x", folder.path().display()), Some("it is a folder")),
            (format!("oci-archive:{}:x", at("file")), None),
            (format!("docker-archive:{}", at("none\u{7}/x.tar")), Some("none\\u{7}")),
            ("docker-archive:x.tar".to_owned(), None),
            ("docker-daemon:x:1".to_owned(), None),
        ] {
            let others = vec![place.parse().unwrap()];
            let delivery = Delivery { registry: None, layout: None, others, local: None };
            let said = check(&delivery).err().map(|failure| failure.to_string());
            assert_eq!(said.is_some(), why.is_some(), "{place}: {said:?}");
            assert!(said.is_none_or(|said| why.is_some_and(|why| said.contains(why))), "{place}");
        }
    }
}
