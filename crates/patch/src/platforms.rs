//! Which platforms of an image are patched, and by which report: decided from what was asked for and from what there is,
//! before any work is done.

use crate::Error;
use oci::Platform;
use report::{Findings, Subject};
use std::collections::BTreeMap;

/// The one system whose images can be patched.
const LINUX: &str = "linux";

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Platforms that the user named; none: those that the reports are for, else all.
    pub platforms: Vec<Platform>,
    /// A folder of reports; `None` where there is one report or none.
    pub reports: Option<Vec<NamedReport>>,
    /// The platform of this host: taken where neither the user nor the report names one. `None` is this program's own.
    pub host: Option<Platform>,
    /// How many platforms are worked on side by side; at least one is.
    pub jobs: usize,
}

/// A report, and the name of its file for messages.
#[derive(Debug, Clone)]
pub struct NamedReport {
    /// Its name, printable.
    pub name: String,
    /// What it says.
    pub findings: Findings,
}

/// What there is.
#[derive(Debug)]
pub(crate) struct There<'a> {
    /// The image's name, for messages.
    pub(crate) image: &'a str,
    /// Its platforms in the order of the index.
    pub(crate) platforms: &'a [Platform],
    /// Whether they are in an index.
    pub(crate) is_index: bool,
    /// Whether the index has more than the images that must not be lost.
    pub(crate) keeps_index: bool,
}

/// What shall be done with one platform.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Which one, by its place among the platforms.
    pub(crate) at: usize,
    /// Its report.
    pub(crate) findings: Option<Findings>,
    /// Whether it was asked for by name or by a report: then it is an error if it cannot be patched.
    pub(crate) asked: bool,
}

/// What shall be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Platforms to patch, in the order of the index.
    pub(crate) patch: Vec<Chosen>,
    /// Why each of the others stays as it is.
    pub(crate) preserve: BTreeMap<usize, String>,
    /// Whether the result is one image under the name, not an index.
    pub(crate) alone: bool,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// Decides.
pub(crate) fn choose(
    there: &There<'_>,
    selection: &Selection,
    findings: Option<Findings>,
    policy: &plan::Policy,
) -> Result<Choice, Error> {
    let named = named(there, selection)?;
    match (&selection.reports, findings) {
        (Some(reports), _) => by_folder(there, &named, reports, policy),
        (None, Some(findings)) => by_report(there, selection, &named, findings, policy),
        (None, None) => by_name(there, &named),
    }
}

/// The platforms that the user named, by their places.
fn named(there: &There<'_>, selection: &Selection) -> Result<Vec<usize>, Error> {
    let mut places = Vec::new();
    for wanted in &selection.platforms {
        let at = there.find(wanted)?;
        if there.platforms[at].os != LINUX {
            return Err(Error::Platforms { what: format!("images for {wanted} cannot be patched") });
        }
        places.push(at);
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// Without a report: those named, else all.
fn by_name(there: &There<'_>, named: &[usize]) -> Result<Choice, Error> {
    // An index may have several images of one platform, in other compressions say.
    let wanted = |at: usize| named.iter().any(|n| there.platforms[*n] == there.platforms[at]);
    let why = |at: usize| match there.platforms[at].os.as_str() {
        _ if !named.is_empty() => (!wanted(at)).then(|| "not among those asked for".to_owned()),
        LINUX => None,
        _ => Some("only Linux images can be patched".to_owned()),
    };
    let chosen = |at| Chosen { at, findings: None, asked: !named.is_empty() || !there.is_index };
    there.split(why, chosen, there.is_alone(named), Vec::new())
}

/// With one report: one platform. The result is an index only where the user named it.
fn by_report(
    there: &There<'_>,
    selection: &Selection,
    named: &[usize],
    findings: Findings,
    policy: &plan::Policy,
) -> Result<Choice, Error> {
    let host = selection.host.clone().unwrap_or_else(Platform::host);
    let at = match (named, said(&findings.subject)) {
        ([one], _) => *one,
        ([_, ..], _) => {
            return Err(Error::Platforms {
                what: "one report is for one platform, and several were asked for".to_owned(),
            });
        }
        ([], _) if !there.is_index => 0,
        ([], Some(said)) => match there.find(&said) {
            Err(_) if policy.allow_mismatch => there.find(&host)?,
            found => found?,
        },
        ([], None) => there.find(&host)?,
    };
    let mut findings = Some(findings);
    let why = |place| (place != at).then(|| "the report is for another platform".to_owned());
    let chosen = |at| Chosen { at, findings: findings.take(), asked: true };
    there.split(why, chosen, !there.is_index || named.is_empty(), Vec::new())
}

/// With a folder of reports: each goes to the platform it was made for.
fn by_folder(
    there: &There<'_>,
    named: &[usize],
    reports: &[NamedReport],
    policy: &plan::Policy,
) -> Result<Choice, Error> {
    let mut taken: BTreeMap<usize, &NamedReport> = BTreeMap::new();
    let mut notes = Vec::new();
    for report in reports {
        match place(there, report, &taken) {
            Ok(at) if !named.is_empty() && !named.contains(&at) => notes.push(format!(
                "report {} is for {}, which is not among the platforms asked for",
                report.name, there.platforms[at]
            )),
            Ok(at) => drop(taken.insert(at, report)),
            Err(what) if policy.ignore_errors => notes.push(format!("{what}; it is left out")),
            Err(what) => return Err(Error::Reports { what }),
        }
    }
    if let Some(at) = named.iter().find(|at| !taken.contains_key(at)) {
        let what = format!("no report of the folder is for {}", there.platforms[*at]);
        return Err(Error::Reports { what });
    }
    if taken.is_empty() {
        return Err(Error::Reports { what: format!("no report of the folder is for {}", there.image) });
    }
    let why = |at: usize| match taken.contains_key(&at) {
        true => None,
        false if there.platforms[at].os != LINUX => Some("only Linux images can be patched".to_owned()),
        false => Some("no report for it".to_owned()),
    };
    let chosen = |at| Chosen { at, findings: taken.get(&at).map(|r| r.findings.clone()), asked: true };
    there.split(why, chosen, there.is_alone(named), notes)
}

/// The platform that a report of a folder is for.
fn place(
    there: &There<'_>,
    report: &NamedReport,
    taken: &BTreeMap<usize, &NamedReport>,
) -> Result<usize, String> {
    let name = &report.name;
    let at = match said(&report.findings.subject) {
        Some(said) => there.find(&said).map_err(|_| {
            let has: Vec<String> = there.platforms.iter().map(Platform::to_string).collect();
            format!(
                "report {name} is for {said}, which {} does not have (it has {})",
                there.image,
                has.join(", ")
            )
        })?,
        None => there
            .only_linux()
            .ok_or_else(|| format!("report {name} does not say for which platform it is"))?,
    };
    match taken.get(&at) {
        Some(other) => Err(format!("reports {} and {name} are both for {}", other.name, there.platforms[at])),
        None => Ok(at),
    }
}

/// The platform that a report says it was made for.
fn said(subject: &Subject) -> Option<Platform> {
    let architecture = subject.architecture.as_deref().filter(|a| !a.is_empty())?;
    // Some scanners have the kernel's words for architectures.
    let architecture = match architecture.to_ascii_lowercase().as_str() {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.escape_default().to_string(),
    };
    let variant = subject.variant.as_deref().map(|v| v.escape_default().to_string());
    Some(Platform::new(LINUX, &architecture, variant.as_deref()))
}

impl There<'_> {
    /// The place of a platform: named just so, or the only one of that system and architecture where a variant is left open.
    fn find(&self, wanted: &Platform) -> Result<usize, Error> {
        if let Some(exact) = self.platforms.iter().position(|p| p == wanted) {
            return Ok(exact);
        }
        let mut near = (0..self.platforms.len()).filter(|at| self.platforms[*at].fits(wanted));
        match (near.next(), near.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(self.missing(wanted)),
        }
    }

    fn missing(&self, wanted: &Platform) -> Error {
        let (item, wanted) = (self.image.to_owned(), Box::new(wanted.clone()));
        let source = endpoint::Error::NoPlatform { item, wanted, available: self.platforms.to_vec() };
        Error::Source { name: self.image.to_owned(), source }
    }

    fn only_linux(&self) -> Option<usize> {
        let mut linux = (0..self.platforms.len()).filter(|at| self.platforms[*at].os == LINUX);
        match (linux.next(), linux.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Whether there is one image, and nothing beside it that an index is needed for. Who names a platform has an index in mind.
    fn is_alone(&self, named: &[usize]) -> bool {
        !self.is_index || (self.platforms.len() == 1 && !self.keeps_index && named.is_empty())
    }

    /// Each platform to one side; none at all is an error.
    fn split(
        &self,
        why: impl Fn(usize) -> Option<String>,
        mut chosen: impl FnMut(usize) -> Chosen,
        alone: bool,
        notes: Vec<String>,
    ) -> Result<Choice, Error> {
        let (mut patch, mut preserve) = (Vec::new(), BTreeMap::new());
        for at in 0..self.platforms.len() {
            match why(at) {
                Some(why) => drop(preserve.insert(at, why)),
                None => patch.push(chosen(at)),
            }
        }
        if patch.is_empty() {
            let what = format!("{} has no Linux image that could be patched", self.image);
            return Err(Error::Platforms { what });
        }
        Ok(Choice { patch, preserve, alone, notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"];

    /// A report that says it is for this architecture and variant.
    fn findings(architecture: &str) -> Findings {
        let (architecture, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
        let subject = Subject {
            architecture: (!architecture.is_empty()).then(|| architecture.to_owned()),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
            ..Subject::default()
        };
        Findings { subject, ..Findings::default() }
    }

    /// The outcome in words: `platform, …` to patch, `alone` where the result is no index, or the error.
    fn chosen(there: &[&str], platforms: &str, reports: Option<&[&str]>, one: Option<&str>) -> String {
        chosen_by(there, platforms, (reports, one), &plan::Policy::default())
    }

    fn chosen_by(
        there: &[&str],
        platforms: &str,
        (reports, one): (Option<&[&str]>, Option<&str>),
        policy: &plan::Policy,
    ) -> String {
        let all: Vec<Platform> = there.iter().map(|p| p.parse().unwrap()).collect();
        let there = There { image: "app:1", platforms: &all, is_index: all.len() > 1, keeps_index: false };
        let report =
            |(n, text): (usize, &&str)| NamedReport { name: format!("{n}.json"), findings: findings(text) };
        let selection = Selection {
            platforms: platforms.split(',').filter(|p| !p.is_empty()).map(|p| p.parse().unwrap()).collect(),
            reports: reports.map(|texts| texts.iter().enumerate().map(report).collect()),
            host: Some("linux/amd64".parse().unwrap()),
            jobs: 1,
        };
        match choose(&there, &selection, one.map(findings), policy) {
            Ok(choice) => {
                assert_eq!(choice.patch.len() + choice.preserve.len(), all.len());
                let mut words: Vec<String> = choice.patch.iter().map(|c| all[c.at].to_string()).collect();
                words.extend(choice.alone.then(|| "alone".to_owned()));
                words.extend(choice.notes);
                words.join(", ")
            }
            Err(Error::Source { source, .. }) => source.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn without_report_all_that_can_be_patched_or_those_named() {
        for (there, named, expected) in [
            (&INDEX[..], "", "linux/amd64, linux/arm64, linux/arm/v6, linux/arm/v7"),
            (&INDEX, "linux/arm64/v8,linux/amd64", "linux/amd64, linux/arm64"),
            (&INDEX, "linux/arm64,linux/arm64", "linux/arm64"),
            (&INDEX, "windows/amd64", "images for windows/amd64 cannot be patched"),
            (&["windows/amd64", "windows/arm64"], "", "app:1 has no Linux image that could be patched"),
            (&["linux/amd64", "linux/amd64"], "linux/amd64", "linux/amd64, linux/amd64"),
            (&["linux/arm64"], "", "linux/arm64, alone"),
            (&["linux/arm64"], "linux/arm64", "linux/arm64, alone"),
            (&["linux/arm64"], "linux/amd64", "app:1 is not available for linux/amd64; it has linux/arm64"),
        ] {
            assert_eq!(chosen(there, named, None, None), expected, "{there:?} {named}");
        }
        let missing = chosen(&INDEX, "linux/arm", None, None);
        assert_eq!(missing, format!("app:1 is not available for linux/arm; it has {}", INDEX.join(", ")));
    }

    #[test]
    fn one_report_is_for_one_platform() {
        for (there, named, report, expected) in [
            (&INDEX[..], "", "arm64", "linux/arm64, alone"),
            (&INDEX, "", "aarch64/v8", "linux/arm64, alone"),
            (&INDEX, "", "arm/v7", "linux/arm/v7, alone"),
            (&INDEX, "", "", "linux/amd64, alone"),
            (&INDEX, "linux/arm64", "arm64", "linux/arm64"),
            (&INDEX, "linux/arm64", "", "linux/arm64"),
            (
                &INDEX,
                "linux/arm64,linux/amd64",
                "arm64",
                "one report is for one platform, and several were asked for",
            ),
            (&["linux/arm64"], "", "amd64", "linux/arm64, alone"),
        ] {
            assert_eq!(chosen(there, named, None, Some(report)), expected, "{named} {report}");
        }
        assert!(
            chosen(&INDEX, "", None, Some("s390x")).starts_with("app:1 is not available for linux/s390x")
        );
        let lenient = plan::Policy { allow_mismatch: true, ..plan::Policy::default() };
        assert_eq!(chosen_by(&INDEX, "", (None, Some("s390x")), &lenient), "linux/amd64, alone");
    }

    #[test]
    fn reports_of_a_folder_go_where_they_belong_and_none_is_passed_over() {
        for (there, named, reports, expected) in [
            (&INDEX[..], "", &["arm64", "amd64"][..], "linux/amd64, linux/arm64"),
            (&INDEX, "", &["arm/v7"], "linux/arm/v7"),
            (&INDEX, "", &["arm64", "arm64/v8"], "reports 0.json and 1.json are both for linux/arm64"),
            (&INDEX, "", &[""], "report 0.json does not say for which platform it is"),
            (&["linux/amd64", "windows/amd64"], "", &[""], "linux/amd64"),
            (&["linux/arm64"], "", &["arm64"], "linux/arm64, alone"),
            (&INDEX, "linux/amd64,linux/arm64", &["arm64"], "no report of the folder is for linux/amd64"),
            (
                &INDEX,
                "linux/arm64",
                &["amd64", "arm64"],
                "linux/arm64, report 0.json is for linux/amd64, which is not among the platforms asked for",
            ),
        ] {
            assert_eq!(chosen(there, named, Some(reports), None), expected, "{named} {reports:?}");
        }
        let stranger = chosen(&["linux/amd64", "linux/arm64"], "", Some(&["amd64", "s390x"]), None);
        assert_eq!(
            stranger,
            "report 1.json is for linux/s390x, which app:1 does not have (it has linux/amd64, linux/arm64)"
        );
        let lenient = plan::Policy { ignore_errors: true, ..plan::Policy::default() };
        let by = |reports: &[&str]| chosen_by(&INDEX, "", (Some(reports), None), &lenient);
        assert!(by(&["amd64", "s390x"]).starts_with("linux/amd64, report 1.json is for linux/s390x"));
        assert!(by(&["amd64", "x86_64"]).ends_with("are both for linux/amd64; it is left out"));
        assert_eq!(by(&["s390x"]), "no report of the folder is for app:1");
    }

    #[test]
    fn words_of_a_report_are_shown_and_not_obeyed() {
        let said = chosen(&INDEX, "", Some(&["\u{1b}[2J"]), None);
        assert!(said.contains("linux/\\u{1b}[2j") && !said.contains('\u{1b}'), "{said}");
    }
}
