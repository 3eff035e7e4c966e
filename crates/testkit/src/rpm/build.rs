//! The real `rpmbuild` and `rpmsign`, told everything by arguments and nothing by this machine's own settings.

use super::key::Key;
use crate::command::{Argv, argv};
use crate::{Error, tree};
use std::fs;
use std::path::{Path, PathBuf};

/// What every spec file has in its head: nothing is found out or post-processed.
pub(super) const HEAD: &str = "License: none\nVendor: Test Distribution\nAutoReqProv: no\n\
    %define debug_package %{nil}\n%define __os_install_post %{nil}\n%define _build_id_links none\n";

/// Packages that one `rpmsign` takes; the agent of gpg then serves two of them at once.
const SIGNED_AT_ONCE: usize = 2;

/// Builds the packages of a spec file into a folder, each as `NAME-VERSION-RELEASE.ARCH.rpm`.
pub(super) fn rpmbuild(spec: &str, architecture: &str, into: &Path) -> Result<(), Error> {
    let work = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let file = work.path().join("package.spec");
    fs::write(&file, spec).map_err(Error::io(&file))?;
    let defines = [
        format!("_topdir {}/top", work.path().display()),
        format!("_rpmdir {}", into.display()),
        "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned(),
        "_binary_payload w1.zstdio".to_owned(),
        "_buildhost build.example.invalid".to_owned(),
        "use_source_date_epoch_as_buildtime 1".to_owned(),
    ];
    let build = argv("rpmbuild", ["-bb", "--quiet", "--target", architecture]);
    let build = defines.iter().fold(build, |build, define| build.arg("--define").arg(define));
    build
        .env("HOME", work.path())
        .env("LC_ALL", "C.UTF-8")
        .env("SOURCE_DATE_EPOCH", tree::EPOCH.to_string())
        .arg(file)
        .stdout()
        .map(drop)
}

/// Signs packages in place.
pub(super) fn sign(key: &Key, packages: &[PathBuf]) -> Result<(), Error> {
    let share = packages.len().div_ceil(SIGNED_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = packages.chunks(share).map(|part| scope.spawn(|| sign_part(key, part))).collect();
        parts.into_iter().try_for_each(|part| part.join().expect("signing does not panic"))
    })
}

fn sign_part(key: &Key, packages: &[PathBuf]) -> Result<(), Error> {
    let name = format!("_gpg_name {}", key.owner());
    let sign = argv("rpmsign", ["--define", &name, "--define", "__gpg /usr/bin/gpg", "--addsign"])
        .env("GNUPGHOME", key.home())
        .env("HOME", key.home());
    packages.iter().fold(sign, Argv::arg).stdout().map(drop)
}
