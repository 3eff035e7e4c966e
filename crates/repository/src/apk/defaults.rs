//! The repositories that a distribution's images have by default, for those that name none.

use inventory::{
    OsRelease,
    apk::repositories::{Layout, Repository},
};

const ALPINE: &str = "https://dl-cdn.alpinelinux.org/alpine";
const WOLFI: &str = "https://packages.wolfi.dev/os";

/// The repositories of a release; `None` where they are not known.
pub(super) fn repositories(os: &OsRelease) -> Option<Vec<Repository>> {
    let urls = match os.id.as_str() {
        "alpine" => {
            let branch = branch(&os.version_id)?;
            vec![format!("{ALPINE}/{branch}/main"), format!("{ALPINE}/{branch}/community")]
        }
        "wolfi" => vec![WOLFI.to_owned()],
        _ => return None,
    };
    Some(urls.into_iter().map(|url| Repository { layout: Layout::V2, url, tag: None }).collect())
}

/// `v3.19` of `3.19.1`. Snapshots of what comes next (`3.21_alpha20240606`) are edge.
fn branch(version: &str) -> Option<String> {
    if version == "edge" || version.contains("_alpha") {
        return Some("edge".into());
    }
    let mut parts = version.split('.');
    let mut number =
        || parts.next().filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    Some(format!("v{}.{}", number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_their_branch() {
        for (id, version, first) in [
            ("alpine", "3.19.1", Some("https://dl-cdn.alpinelinux.org/alpine/v3.19/main")),
            ("alpine", "3.22", Some("https://dl-cdn.alpinelinux.org/alpine/v3.22/main")),
            ("alpine", "3.21_alpha20240606", Some("https://dl-cdn.alpinelinux.org/alpine/edge/main")),
            ("wolfi", "20230201", Some("https://packages.wolfi.dev/os")),
            ("alpine", "../3", None),
            ("alpine", "", None),
            ("postmarketos", "v23.12", None),
        ] {
            let os = OsRelease { id: id.into(), version_id: version.into(), ..OsRelease::default() };
            let found = repositories(&os).map(|list| list[0].url.clone());
            assert_eq!(found.as_deref(), first, "{id} {version}");
        }
    }
}
