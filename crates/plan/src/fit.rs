//! Whether a report was made for this image: distribution, release, architecture, identity.
//!
//! What the report says is only ever compared, never used to choose an image or to build a name.

use crate::{Error, ImageFacts, Policy};
use inventory::{
    OsRelease,
    family::{Family, Release},
    printable,
};
use report::Findings;

/// Longest release number compared; more digits than this are no release.
const RELEASE_BYTES_MAX: usize = 32;

/// Compares subject and image. The first difference is an error; where differences are allowed each becomes a note.
pub(crate) fn check(
    findings: &Findings,
    os: &OsRelease,
    image: &ImageFacts,
    policy: &Policy,
) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    let checks = [
        distribution(findings, os),
        release(findings, os),
        architecture(findings, image),
        identity(findings, image),
    ];
    for difference in checks.into_iter().filter_map(Result::err) {
        if !policy.allow_mismatch {
            return Err(difference);
        }
        notes.push(format!("allowed although it differs: {difference}"));
    }
    notes.extend(remarks(findings, os, image));
    Ok(notes)
}

fn distribution(findings: &Findings, os: &OsRelease) -> Result<(), Error> {
    let Some(family) = &findings.subject.os_family else {
        return if findings.os.is_empty() {
            Ok(())
        } else {
            Err(Error::Incomplete("which distribution it is about"))
        };
    };
    let named = canonical(family);
    let same = named == canonical(&os.id) || os.id_like.iter().any(|like| canonical(like) == named);
    if same && !os.id.is_empty() {
        return Ok(());
    }
    let image = if os.id.is_empty() { "without an os-release file".to_owned() } else { describe(os) };
    Err(Error::Mismatch { what: "distribution", report: printable(family), image })
}

/// The family in our words, whoever named it; a name that nobody knows as it is.
fn canonical(family: &str) -> String {
    Family::of_scanner(family).map_or_else(|| family.trim().to_ascii_lowercase(), |f| f.name.to_owned())
}

fn describe(os: &OsRelease) -> String {
    format!("{} {}", printable(&os.id), printable(&os.version_id)).trim_end().to_owned()
}

fn release(findings: &Findings, os: &OsRelease) -> Result<(), Error> {
    let Some(said) = &findings.subject.os_version else {
        let rolling = Family::of(os).is_some_and(|(family, _)| family.release == Release::Rolling);
        return if findings.os.is_empty() || rolling {
            Ok(())
        } else {
            Err(Error::Incomplete("which release it is about"))
        };
    };
    let family = findings.subject.os_family.as_deref().map(canonical);
    // A derivative numbers its releases in its own way; the scanner may give either.
    let derivative = family.as_deref() != Some(canonical(&os.id).as_str());
    if derivative || same_release(said, os) {
        return Ok(());
    }
    Err(Error::Mismatch { what: "release", report: printable(said), image: describe(os) })
}

/// As much of the numbers is compared as says which release it is. Extended support of a release (`16.04-ESM`) is support of
/// that release; Amazon's numbers come with a name (`2 (Karoo)`).
fn same_release(said: &str, os: &OsRelease) -> bool {
    let said = said.strip_suffix("-ESM").unwrap_or(said);
    let said = said.split_once(" (").map_or(said, |(number, _)| number);
    let rule = Family::of(os).map_or(Release::Whole, |(family, _)| family.release);
    let parts = match rule {
        Release::Rolling => return true,
        Release::Major => 1,
        Release::MajorMinor => 2,
        Release::Whole => usize::MAX,
    };
    match (numbers(said), numbers(&os.version_id)) {
        (Some(said), Some(ours)) => said.iter().take(parts).eq(ours.iter().take(parts)),
        // Testing and unstable have names only (`trixie/sid`).
        (None, _) => os.codename.as_deref().is_some_and(|name| said.split('/').any(|part| part == name)),
        (Some(_), None) => false,
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    if text.len() > RELEASE_BYTES_MAX {
        return None;
    }
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    text.split('.').map(number).collect()
}

fn architecture(findings: &Findings, image: &ImageFacts) -> Result<(), Error> {
    let subject = &findings.subject;
    let Some(said) = subject.architecture.as_deref().filter(|a| !a.is_empty()) else { return Ok(()) };
    let report = platform(said, subject.variant.as_deref());
    let ours = platform(&image.architecture, image.variant.as_deref());
    // Where either side gives no variant there is nothing to compare it with.
    let same = report.0 == ours.0 && (report.1.is_none() || ours.1.is_none() || report.1 == ours.1);
    if same {
        return Ok(());
    }
    let shown = |(name, variant): (String, Option<String>)| {
        printable(&variant.map_or(name.clone(), |variant| format!("{name}/{variant}")))
    };
    Err(Error::Mismatch { what: "architecture", report: shown(report), image: shown(ours) })
}

/// Architecture and variant in OCI's words; `v8` is what arm64 is anyway.
fn platform(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let name = match architecture.to_ascii_lowercase().as_str() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    let variant = variant.filter(|v| !matches!((name.as_str(), *v), (_, "") | ("arm64", "v8")));
    (name, variant.map(str::to_owned))
}

/// Image id or manifest digest, where the report gives any. One that fits is enough: rebuilding a manifest around the same
/// config, or scanning through a daemon that renames the id, changes one of the two.
fn identity(findings: &Findings, image: &ImageFacts) -> Result<(), Error> {
    let said = identities(findings);
    let ours = [image.image_id.as_str(), image.manifest_digest.as_str(), image.name_digest.as_str()];
    if said.is_empty() || said.iter().any(|digest| ours.contains(digest)) {
        return Ok(());
    }
    let report = printable(said[0]);
    Err(Error::Mismatch { what: "image", report, image: printable(&image.image_id) })
}

fn identities(findings: &Findings) -> Vec<&str> {
    let subject = &findings.subject;
    let digests =
        subject.repo_digests.iter().map(|named| named.rsplit_once('@').map_or(named.as_str(), |(_, d)| d));
    subject.image_id.as_deref().into_iter().chain(digests).filter(|d| !d.is_empty()).collect()
}

/// What is worth knowing and no reason to stop.
fn remarks(findings: &Findings, os: &OsRelease, image: &ImageFacts) -> Vec<String> {
    let mut remarks = Vec::new();
    let subject = &findings.subject;
    let family = subject.os_family.as_deref().map(canonical);
    if family.is_some_and(|f| f != canonical(&os.id)) && !os.id.is_empty() {
        let said = printable(subject.os_family.as_deref().unwrap_or(""));
        remarks
            .push(format!("the report is about {said}, the image is {}, a derivative of it", describe(os)));
    }
    let unnamed = identities(findings).is_empty();
    if let Some(name) = subject.artifact_name.as_deref().filter(|name| unnamed && *name != image.name) {
        let (said, ours) = (printable(name), printable(&image.name));
        remarks.push(format!("the report was made for {said}, the image is {ours}; nothing else says which"));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::{Finding, Subject};

    fn findings(edit: impl Fn(&mut Subject)) -> Findings {
        let mut subject = Subject {
            os_family: Some("debian".into()),
            os_version: Some("12.5".into()),
            architecture: Some("amd64".into()),
            image_id: Some("sha256:id".into()),
            ..Subject::default()
        };
        edit(&mut subject);
        let finding = Finding {
            vulnerability: "CVE-1".into(),
            package: "a".parse().unwrap(),
            installed: "1".into(),
            fixed: vec!["2".into()],
            severity: None,
        };
        Findings { subject, os: vec![finding], ..Findings::default() }
    }

    fn debian() -> OsRelease {
        OsRelease {
            id: "debian".into(),
            version_id: "12".into(),
            codename: Some("bookworm".into()),
            ..OsRelease::default()
        }
    }

    fn image() -> ImageFacts {
        ImageFacts {
            name: "registry.example/app:1".into(),
            architecture: "amd64".into(),
            variant: None,
            image_id: "sha256:id".into(),
            manifest_digest: "sha256:manifest".into(),
            name_digest: "sha256:index".into(),
        }
    }

    fn checked(edit: impl Fn(&mut Subject), os: &OsRelease) -> Result<Vec<String>, Error> {
        check(&findings(edit), os, &image(), &Policy::default())
    }

    #[test]
    fn a_report_of_this_image_fits() {
        let fitting: [fn(&mut Subject); 9] = [
            |_| (),
            |s| s.os_version = Some("12".into()),
            |s| s.os_family = Some("Debian GNU/Linux".into()),
            |s| s.architecture = None,
            |s| s.architecture = Some("x86_64".into()),
            |s| s.variant = Some("v2".into()),
            |s| s.image_id = None,
            |s| s.image_id = Some("sha256:manifest".into()),
            |s| {
                (s.image_id, s.repo_digests) = (Some("sha256:x".into()), vec!["r/app@sha256:manifest".into()])
            },
        ];
        for (index, edit) in fitting.into_iter().enumerate() {
            assert_eq!(checked(edit, &debian()), Ok(Vec::new()), "{index}");
        }
    }

    #[test]
    fn a_report_of_another_image_is_refused_naming_both_sides() {
        type Edit = fn(&mut Subject);
        let cases: [(Edit, &str); 12] = [
            (
                |s| s.os_family = Some("alpine".into()),
                "distribution: the report says alpine, the image is debian 12",
            ),
            (
                |s| s.os_family = Some("\u{1b}[2J".into()),
                "distribution: the report says \\u{1b}[2J, the image is debian 12",
            ),
            (|s| s.os_version = Some("11.9".into()), "release: the report says 11.9, the image is debian 12"),
            (|s| s.os_version = Some("9".into()), "release: the report says 9, the image is debian 12"),
            (
                |s| s.os_version = Some("12\n".into()),
                "release: the report says 12\\n, the image is debian 12",
            ),
            (
                |s| s.os_version = Some("../../evil/img:x".into()),
                "release: the report says ../../evil/img:x, the image is debian 12",
            ),
            (|s| s.os_version = Some("120".into()), "release: the report says 120, the image is debian 12"),
            (
                |s| s.architecture = Some("arm64".into()),
                "architecture: the report says arm64, the image is amd64",
            ),
            (
                |s| s.image_id = Some("sha256:other".into()),
                "image: the report says sha256:other, the image is sha256:id",
            ),
            (
                |s| (s.image_id, s.repo_digests) = (None, vec!["r@sha256:other".into()]),
                "image: the report says sha256:other, the image is sha256:id",
            ),
            (
                |s| s.os_family = None,
                "the report has findings but does not say which distribution it is about",
            ),
            (|s| s.os_version = None, "the report has findings but does not say which release it is about"),
        ];
        for (edit, message) in cases {
            assert_eq!(checked(edit, &debian()).unwrap_err().to_string(), message);
            let allowing = Policy { allow_mismatch: true, ..Policy::default() };
            let notes = check(&findings(edit), &debian(), &image(), &allowing).unwrap();
            assert!(notes[0].contains(message), "{notes:?}");
        }
    }

    #[test]
    fn an_image_without_os_release_fits_no_report() {
        let error = checked(|_| (), &OsRelease::default()).unwrap_err().to_string();
        assert_eq!(error, "distribution: the report says debian, the image is without an os-release file");
    }

    #[test]
    fn releases_are_compared_as_numbers_of_their_distribution() {
        let ubuntu = |version: &str| OsRelease {
            id: "ubuntu".into(),
            version_id: version.into(),
            ..OsRelease::default()
        };
        let sid = OsRelease { id: "debian".into(), codename: Some("trixie".into()), ..OsRelease::default() };
        for (said, os, fits) in [
            ("22.04", ubuntu("22.04"), true),
            ("22.04-ESM", ubuntu("22.04"), true),
            ("22.10", ubuntu("22.04"), false),
            ("22", ubuntu("22.04"), false),
            ("trixie/sid", sid.clone(), true),
            ("13", sid, false),
            ("bookworm/sid", debian(), true),
        ] {
            assert_eq!(same_release(said, &os), fits, "{said} {os:?}");
        }
    }

    #[test]
    fn arm_variants_are_compared_where_both_are_given() {
        let arm = |variant: &str| ImageFacts {
            architecture: "arm".into(),
            variant: Some(variant.into()),
            ..image()
        };
        let report = findings(|s| (s.architecture, s.variant) = (Some("arm".into()), Some("v7".into())));
        assert_eq!(architecture(&report, &arm("v7")), Ok(()));
        let error = architecture(&report, &arm("v6")).unwrap_err().to_string();
        assert_eq!(error, "architecture: the report says arm/v7, the image is arm/v6");
    }

    #[test]
    fn names_and_derivatives_are_only_remarked() {
        let notes =
            checked(|s| (s.image_id, s.artifact_name) = (None, Some("other:2".into())), &debian()).unwrap();
        assert!(notes[0].contains("other:2") && notes[0].contains("registry.example/app:1"), "{notes:?}");
        let kali = OsRelease {
            id: "kali".into(),
            id_like: vec!["debian".into()],
            version_id: "2024.1".into(),
            ..debian()
        };
        let notes = checked(|_| (), &kali).unwrap();
        assert!(notes[0].contains("derivative"), "{notes:?}");
    }
}
