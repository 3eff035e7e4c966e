//! The repositories that are looked into: those of the image that are in force, or its distribution's own.

use super::{Request, defaults};
use crate::Error;
use fetch::client::Url;
use inventory::{printable, rpm::repositories::Repository, rpm::variables::base_architecture};

/// Most repositories of one image that are in force; a crowded one has a dozen.
const REPOSITORIES_MAX: usize = 64;

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: String,
    /// Places of the same repository.
    pub(super) bases: Vec<Url>,
    pub(super) keys: Vec<KeyPlace>,
    /// Packages must be signed.
    pub(super) checks_packages: bool,
    /// The head of its index must be signed.
    pub(super) checks_index: bool,
    /// Of a name that several have, the lowest counts.
    pub(super) priority: u32,
    pub(super) exclude: Vec<String>,
    pub(super) include: Vec<String>,
    /// That it cannot be reached is no error.
    pub(super) optional: bool,
}

/// Where a key is.
#[derive(Debug, Clone)]
pub(super) enum KeyPlace {
    /// A file of the image.
    File(String),
    /// Published; any key, or one with this fingerprint only.
    Published { url: Url, fingerprint: Option<&'static str> },
}

/// The repositories, and what the user should know of them.
pub(super) fn sources(request: &Request) -> Result<(Vec<Source>, Vec<String>), Error> {
    let mut notes = Vec::new();
    let mut sources = Vec::new();
    if request.repositories.enabled().count() > REPOSITORIES_MAX {
        return Err(Error::Limit(format!("more than {REPOSITORIES_MAX} repositories")));
    }
    for repository in request.repositories.enabled() {
        match source(request, repository) {
            Ok(source) => sources.push(source),
            Err(why) => notes.push(format!("repository {} is not used: {why}", printable(&repository.id))),
        }
    }
    if request.repositories.enabled().next().is_none() {
        sources = own(request);
    }
    match sources.is_empty() {
        false => Ok((sources, notes)),
        true => Err(none(request, notes.pop())),
    }
}

fn none(request: &Request, why: Option<String>) -> Error {
    let os = &request.os;
    let os = os.pretty_name.clone().unwrap_or_else(|| format!("{} {}", os.id, os.version_id));
    let why = why.unwrap_or_else(|| "the image has none, and none is known".into());
    Error::NoSources { os: printable(&os), why }
}

fn source(request: &Request, repository: &Repository) -> Result<Source, String> {
    let bases: Vec<Url> = repository.base_urls.iter().filter_map(|url| web(url)).collect();
    if bases.is_empty() {
        let lists = repository.mirror_list.is_some() || repository.metalink.is_some();
        return Err(match lists {
            true => "it has a list of mirrors only, and a baseurl is needed".into(),
            false => "it has no address over http or https".into(),
        });
    }
    if repository.ssl_client.is_some() {
        return Err("its server wants a certificate of the client".into());
    }
    let checks = repository.gpg_check.or(request.repositories.gpg_check).unwrap_or(true);
    Ok(Source {
        id: repository.id.clone(),
        bases,
        keys: keys(request, repository),
        checks_packages: checks,
        checks_index: repository.repo_gpg_check.unwrap_or(false),
        priority: repository.priority,
        exclude: repository.exclude.clone(),
        include: repository.include.clone(),
        optional: repository.skip_if_unavailable,
    })
}

/// The keys that it names; without any those that the image has for all.
fn keys(request: &Request, repository: &Repository) -> Vec<KeyPlace> {
    let place = |key: &String| match key.strip_prefix("file:") {
        Some(path) => Some(KeyPlace::File(format!("/{}", path.trim_start_matches('/')))),
        None if key.starts_with("https:") => {
            web(key).map(|url| KeyPlace::Published { url, fingerprint: None })
        }
        None => None,
    };
    let named: Vec<KeyPlace> = repository.gpg_keys.iter().filter_map(place).collect();
    if !named.is_empty() {
        return named;
    }
    let all = request.files.keys().filter(|path| path.starts_with("/etc/pki/rpm-gpg/"));
    all.map(|path| KeyPlace::File(path.clone())).collect()
}

/// The distribution's own repositories.
fn own(request: &Request) -> Vec<Source> {
    let url = |base: &str| {
        let base = base.replace("{release}", &request.os.version_id);
        web(&base.replace("{architecture}", base_architecture(&request.architecture)))
    };
    let published = |key: &defaults::Published| {
        web(key.url).map(|url| KeyPlace::Published { url, fingerprint: Some(key.fingerprint) })
    };
    let keys: Vec<KeyPlace> = defaults::KEYS.iter().filter_map(published).collect();
    let one = |own: &defaults::Default| {
        Some(Source {
            id: own.id.to_owned(),
            bases: vec![url(own.base)?],
            keys: keys.clone(),
            checks_packages: true,
            checks_index: true,
            priority: 99,
            exclude: Vec::new(),
            include: Vec::new(),
            optional: false,
        })
    };
    defaults::of(&request.os).iter().filter_map(one).collect()
}

pub(super) fn web(text: &str) -> Option<Url> {
    let url: Url = text.trim().parse().ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpm::Wanted;
    use inventory::{
        OsRelease,
        rpm::{repositories::Configuration, variables::Variables},
    };

    fn request(id: &str, text: &str) -> Request {
        let mut repositories = Configuration::new(Variables::new("3.0", "x86_64"));
        repositories.add("/etc/yum.repos.d/a.repo", text.as_bytes()).unwrap();
        Request {
            os: OsRelease { id: id.into(), version_id: "3.0".into(), ..OsRelease::default() },
            architecture: "x86_64".into(),
            repositories,
            files: [("/etc/pki/rpm-gpg/K".to_owned(), vec![])].into(),
            installed: Vec::new(),
            wanted: Wanted::All,
            excluded: [].into(),
            security_only: false,
        }
    }

    #[test]
    fn the_images_repositories_count_before_the_distributions_own() {
        let text = "[a]\nbaseurl=http://mirror.example/$releasever/$basearch http://b.example/\ngpgkey=file:///k https://c.example/k\n\
            repo_gpgcheck=1\n[b]\nenabled=0\nbaseurl=http://b.example\n[c]\nmetalink=http://c.example/\n[d]\ngpgcheck=0\nbaseurl=http://d.example\n";
        let (all, notes) = sources(&request("azurelinux", text)).unwrap();
        assert_eq!(all.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!(all[0].bases[0].as_str(), "http://mirror.example/3.0/x86_64");
        assert!(all[0].checks_packages && all[0].checks_index && all[0].keys.len() == 2);
        assert!(
            !all[1].checks_packages
                && matches!(&all[1].keys[0], KeyPlace::File(p) if p == "/etc/pki/rpm-gpg/K")
        );
        assert!(notes[0].contains("repository c is not used: it has a list of mirrors only"), "{notes:?}");
    }

    #[test]
    fn without_any_only_known_distributions_have_some() {
        let (all, _) = sources(&request("azurelinux", "")).unwrap();
        assert_eq!(
            all[0].bases[0].as_str(),
            "https://packages.microsoft.com/azurelinux/3.0/prod/base/x86_64"
        );
        assert!(all[0].checks_packages && all[0].checks_index && !all[0].optional);
        let error = sources(&request("else", "")).unwrap_err();
        assert!(error.to_string().contains("none is known"), "{error}");
        let mirrors = sources(&request("azurelinux", "[c]\nmirrorlist=http://c.example/\n")).unwrap_err();
        assert!(mirrors.to_string().contains("list of mirrors"), "{mirrors}");
    }
}
