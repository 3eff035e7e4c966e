//! The repository files of yum, dnf, tdnf and zypper (`*.repo`): what an image is set up to install from, and which hosts that are.
//!
//! Sources: dnf.conf(5), yum.conf(5), tdnf's wiki on configuration, zypper's manual on repositories.

use super::ini::{self, Section};
use super::variables::Variables;
use crate::apt_sources::{host_of, without_credentials};
use crate::{Error, printable};
use std::collections::BTreeSet;

/// Folders of repository files.
pub const FOLDERS: [&str; 4] =
    ["/etc/yum.repos.d", "/etc/distro.repos.d", "/usr/share/dnf5/repos.d", "/etc/zypp/repos.d"];

/// Files with a `[main]` section, which may have repositories too.
pub const MAIN_FILES: [&str; 4] =
    ["/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/yum/yum.conf", "/etc/tdnf/tdnf.conf"];

/// Most repositories taken.
const REPOSITORIES_MAX: usize = 2000;

/// Most addresses taken of one repository.
const URLS_MAX: usize = 100;

/// Bytes of all repositories together, the values of variables put in.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most notes kept.
const NOTES_MAX: usize = 20;

/// Where zypper's are, which checks signatures where nothing is said; the other tools then do not.
const ZYPPER_FOLDER: &str = "/etc/zypp/";

/// One repository, the values of variables put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its section's name.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The file it is in.
    pub path: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// `baseurl`: addresses of the same repository.
    pub base_urls: Vec<String>,
    /// `mirrorlist`: where a list of such addresses is.
    pub mirror_list: Option<String>,
    /// `metalink`: where such a list with checksums is.
    pub metalink: Option<String>,
    /// `gpgcheck` (zypper: `pkg_gpgcheck` too): packages must be signed. None where the file does not say.
    pub gpg_check: Option<bool>,
    /// `repo_gpgcheck`: its metadata must be signed. None where the file does not say.
    pub repo_gpg_check: Option<bool>,
    /// `gpgkey`: where its keys are.
    pub gpg_keys: Vec<String>,
    /// `sslverify`: the server's certificate is checked.
    pub ssl_verify: bool,
    /// `sslcacert`: the file of the certificate authorities to check it with.
    pub ssl_ca_certificate: Option<String>,
    /// `sslclientcert` and `sslclientkey`: the files to identify ourselves with.
    pub ssl_client: Option<(String, String)>,
    /// `priority`: of a name that several have, the repository with the lowest counts. 99 where the file does not say.
    pub priority: u32,
    /// `cost`: of several with the same package, the cheapest is asked. 1000 where the file does not say.
    pub cost: u32,
    /// `exclude`, `excludepkgs`: globs of packages that are not taken from it.
    pub exclude: Vec<String>,
    /// `includepkgs`: globs of the only packages that are taken from it; empty means all.
    pub include: Vec<String>,
    /// `module_hotfixes`: its packages count whatever modules say.
    pub module_hotfixes: bool,
    /// `skip_if_unavailable`: that it cannot be reached is no error.
    pub skip_if_unavailable: bool,
}

/// What repository configuration says, gathered over all its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The values of variables.
    pub variables: Variables,
    /// The repositories, in the order of the files.
    pub repositories: Vec<Repository>,
    /// `gpgcheck` of `[main]`, where it is said.
    pub gpg_check: Option<bool>,
    /// Hosts of what is in force: `host[:port]` of http, `https://host[:port]` of https, lower case, a port only where it is
    /// not the scheme's own. Those of repositories, of lists of mirrors and of keys; not those that such lists name.
    pub hosts: BTreeSet<String>,
    /// Whether what is in force has no more than a list of mirrors, so that hosts are fetched from that are not known here.
    pub uses_mirrors: bool,
    /// What cannot be used, or weakens checks.
    pub notes: Vec<String>,
    /// Bytes of all repositories so far.
    bytes: usize,
}

/// Whether yum, dnf, tdnf and zypper read a file of this name in their folders.
pub fn is_read(file_name: &str) -> bool {
    file_name.len() > ".repo".len() && file_name.ends_with(".repo") && !file_name.starts_with('.')
}

impl Configuration {
    /// No configuration yet, with these variables.
    pub fn new(variables: Variables) -> Configuration {
        Configuration { variables, ..Configuration::default() }
    }

    /// Adds a file: repositories, and `[main]` where it has that.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        for section in ini::sections(bytes)? {
            match section.name.as_str() {
                "main" => self.gpg_check = section.flag("gpgcheck").or(self.gpg_check),
                id if self.repositories.iter().any(|known| known.id == id) => {
                    self.note(path, format!("{} is there already; the first one counts", printable(id)));
                }
                _ if self.repositories.len() == REPOSITORIES_MAX => {
                    return Err(Error::Malformed(format!("more than {REPOSITORIES_MAX} repositories")));
                }
                _ => self.repository(path, &section),
            }
            if self.bytes > BYTES_MAX {
                return Err(Error::Malformed(format!("repositories of more than {BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }

    /// The repositories that are in force.
    pub fn enabled(&self) -> impl Iterator<Item = &Repository> {
        self.repositories.iter().filter(|repository| repository.enabled)
    }

    fn repository(&mut self, path: &str, section: &Section) {
        let repository = read(path, section, &self.variables);
        if repository.enabled {
            self.weaknesses(path, section, &repository);
            self.addresses(path, &repository);
        }
        let urls = repository.base_urls.iter().chain(&repository.gpg_keys);
        let texts = urls.chain(&repository.exclude).chain(&repository.include);
        self.bytes += texts.map(|text| size_of::<String>() + text.len()).sum::<usize>();
        self.repositories.push(repository);
    }

    fn weaknesses(&mut self, path: &str, section: &Section, repository: &Repository) {
        let id = printable(&repository.id);
        match repository.gpg_check.or(self.gpg_check) {
            Some(true) => {}
            Some(false) => {
                self.note(
                    path,
                    format!("{id} gives packages without checking their signatures (gpgcheck=0)"),
                );
            }
            None if path.starts_with(ZYPPER_FOLDER) => {}
            None => self.note(
                path,
                format!(
                    "{id} does not say that signatures of packages are checked (gpgcheck), so they may not be"
                ),
            ),
        }
        if !repository.ssl_verify {
            self.note(path, format!("{id} is fetched without checking the server's certificate"));
        }
        if section.get("username").is_some() {
            self.note(path, format!("{id} needs a user name and password"));
        }
    }

    /// The hosts of a repository that is in force.
    fn addresses(&mut self, path: &str, repository: &Repository) {
        let lists = [&repository.mirror_list, &repository.metalink].into_iter().flatten();
        for url in repository.base_urls.iter().chain(lists.clone()).chain(&repository.gpg_keys) {
            self.url(path, url);
        }
        let count = lists.count();
        if repository.base_urls.is_empty() && count == 0 {
            self.note(path, format!("{} has no address", printable(&repository.id)));
        }
        self.uses_mirrors |= repository.base_urls.is_empty() && count > 0;
    }

    fn url(&mut self, path: &str, url: &str) {
        let shown = printable(&without_credentials(url));
        let Some((scheme, rest)) = url.split_once(':') else {
            return self.note(path, format!("\"{shown}\" is no address"));
        };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "http" | "https" => match host_of(&scheme, rest) {
                Some(host) => drop(self.hosts.insert(host)),
                None => self.note(path, format!("\"{shown}\" has no valid host name")),
            },
            "file" => {}
            _ => {
                self.note(path, format!("{shown} is not fetched over http or https and will not be reached"))
            }
        }
    }

    fn note(&mut self, path: &str, what: String) {
        let note = format!("{}: {what}", printable(path));
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The repository of a section.
fn read(path: &str, section: &Section, variables: &Variables) -> Repository {
    let expand = |text: &str| variables.expand(text);
    let text = |key| section.get(key).filter(|value| !value.is_empty()).map(expand);
    let list = |key| section.list(key).into_iter().take(URLS_MAX).map(expand).collect::<Vec<_>>();
    let globs = |key: &str| section.list(key).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let number = |key, usual| section.get(key).and_then(|value| value.parse().ok()).unwrap_or(usual);
    let base_urls = list("baseurl");
    let unverified = base_urls.iter().any(|url| url.contains("ssl_verify=no"));
    Repository {
        id: section.name.clone(),
        name: text("name").unwrap_or_else(|| section.name.clone()),
        path: path.to_owned(),
        enabled: section.flag("enabled").unwrap_or(true),
        mirror_list: text("mirrorlist"),
        metalink: text("metalink"),
        gpg_check: section.flag("gpgcheck").or(section.flag("pkg_gpgcheck")),
        repo_gpg_check: section.flag("repo_gpgcheck"),
        gpg_keys: list("gpgkey"),
        ssl_verify: section.flag("sslverify").unwrap_or(true) && !unverified,
        ssl_ca_certificate: text("sslcacert"),
        ssl_client: text("sslclientcert").zip(text("sslclientkey")),
        priority: number("priority", 99),
        cost: number("cost", 1000),
        exclude: [globs("exclude"), globs("excludepkgs")].concat(),
        include: globs("includepkgs"),
        module_hotfixes: section.flag("module_hotfixes").unwrap_or(false),
        skip_if_unavailable: section.flag("skip_if_unavailable").unwrap_or(false),
        base_urls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROCKY: &str = "[baseos]\nname=Rocky Linux $releasever - BaseOS\n\
        mirrorlist=https://mirrors.example/mirrorlist?arch=$basearch&repo=BaseOS-$releasever$rltype\n\
        #baseurl=http://dl.example/$contentdir/$releasever/BaseOS/$basearch/os/\ngpgcheck=1\nenabled=1\ncountme=1\n\
        gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9\n\n\
        [baseos-debug]\nname=x\nbaseurl=http://debug.example/\nenabled=0\n";

    fn read(text: &str) -> Configuration {
        let mut variables = Variables::new("9.4", "x86_64");
        variables.set("rltype", "");
        let mut configuration = Configuration::new(variables);
        configuration.add("/etc/yum.repos.d/a.repo", text.as_bytes()).unwrap();
        configuration
    }

    fn hosts(configuration: &Configuration) -> Vec<&str> {
        configuration.hosts.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_file_of_a_distribution_is_read_whole() {
        let read = read(ROCKY);
        let [baseos, debug] = &read.repositories[..] else { panic!("{read:?}") };
        assert_eq!((baseos.id.as_str(), baseos.name.as_str()), ("baseos", "Rocky Linux 9.4 - BaseOS"));
        let list = "https://mirrors.example/mirrorlist?arch=x86_64&repo=BaseOS-9.4";
        assert_eq!((baseos.mirror_list.as_deref(), baseos.base_urls.len()), (Some(list), 0));
        assert_eq!((baseos.gpg_check, baseos.repo_gpg_check, baseos.ssl_verify), (Some(true), None, true));
        assert_eq!((baseos.priority, baseos.cost, baseos.enabled, debug.enabled), (99, 1000, true, false));
        assert_eq!(baseos.gpg_keys, ["file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9"]);
        assert_eq!((hosts(&read), read.uses_mirrors), (vec!["https://mirrors.example"], true));
        assert_eq!((read.enabled().count(), read.notes.len()), (1, 0), "{:?}", read.notes);
    }

    #[test]
    fn addresses_of_what_is_in_force_give_their_hosts() {
        let text = "[a]\nbaseurl=http://One.example:80/x, https://u:secret@two.example:8443/$basearch\n  http://three.example/\n\
            gpgkey=https://keys.example/k\npriority=10\ncost=500\nexclude=a* b\nexcludepkgs=c\nincludepkgs=d\n\
            sslclientcert=/c.pem\nsslclientkey=/k.pem\ngpgcheck=1\n[b]\ngpgcheck=1\nmetalink=https://four.example/?x=1&y=2\nbaseurl=file:///srv\n\
            module_hotfixes=1\n[main]\ngpgcheck=1\n";
        let read = read(text);
        let expected = [
            "https://four.example",
            "https://keys.example",
            "https://two.example:8443",
            "one.example",
            "three.example",
        ];
        assert_eq!(hosts(&read), expected);
        let a = &read.repositories[0];
        assert_eq!(
            (a.priority, a.cost, &a.exclude[..], &a.include[..]),
            (10, 500, &["a*", "b", "c"].map(String::from)[..], &["d".to_owned()][..])
        );
        assert_eq!(a.ssl_client, Some(("/c.pem".into(), "/k.pem".into())));
        assert!(read.repositories[1].module_hotfixes && !read.uses_mirrors && read.gpg_check == Some(true));
        assert_eq!(read.notes, [""; 0]);
    }

    #[test]
    fn what_weakens_checks_or_cannot_be_used_is_noted_without_secrets() {
        for (text, why) in [
            ("[a]\nbaseurl=http://a/\ngpgcheck=0\n", "without checking their signatures"),
            ("[main]\ngpgcheck=0\n[a]\nbaseurl=http://a/\n", "without checking their signatures"),
            ("[main]\ngpgcheck=1\n[a]\nbaseurl=http://a/\n", ""),
            ("[a]\nbaseurl=http://a/\n", "does not say that signatures"),
            ("[a]\ngpgcheck=1\nbaseurl=https://a/\nsslverify=0\n", "without checking the server"),
            ("[a]\ngpgcheck=1\nbaseurl=https://a/?ssl_verify=no\n", "without checking the server"),
            ("[a]\ngpgcheck=1\nbaseurl=https://a/\nusername=u\npassword=secret\n", "needs a user name"),
            ("[a]\ngpgcheck=1\nname=x\n", "has no address"),
            ("[a]\ngpgcheck=1\nbaseurl=ftp://u:secret@a/x\n", "ftp://a/x is not fetched"),
            ("[a]\ngpgcheck=1\nbaseurl=dvd:///?devices=/dev/sr0\n", "is not fetched"),
            ("[a]\ngpgcheck=1\nbaseurl=http://$unknown/\n", "no valid host name"),
            ("[a]\ngpgcheck=1\nbaseurl=nothing\n", "no address"),
            ("[a]\ngpgcheck=1\nbaseurl=http://ev\u{1b}il/\n", "no valid host name"),
            ("[a]\ngpgcheck=1\nbaseurl=http://a/\n", ""),
        ] {
            let read = read(text);
            assert_eq!(read.notes.len(), usize::from(!why.is_empty()), "{text}: {:?}", read.notes);
            let plain =
                |note: &String| note.contains(why) && !note.contains("secret") && !note.contains('\u{1b}');
            assert!(read.notes.iter().all(plain), "{:?}", read.notes);
        }
        let off = "[a]\nbaseurl=ftp://x/\nenabled=0\ngpgcheck=0\n";
        assert_eq!(read(off).notes, [""; 0]);
    }

    #[test]
    fn of_two_with_one_name_the_first_counts() {
        let mut read = read("[a]\ngpgcheck=1\nbaseurl=http://one/\n");
        read.add("/b.repo", b"[a]\nbaseurl=http://two/\n").unwrap();
        assert_eq!((hosts(&read), read.repositories.len(), read.notes.len()), (vec!["one"], 1, 1));
        assert!(read.add("/c.repo", b"\0").is_err());
    }

    #[test]
    fn values_of_variables_do_not_make_much_of_little() {
        let mut variables = Variables::new("9", "x86_64");
        variables.set("v", &"x".repeat(1000));
        let mut configuration = Configuration::new(variables);
        let urls = format!("http://a/{} ", "$v".repeat(15)).repeat(URLS_MAX);
        let text: String = (0..100).map(|n| format!("[r{n}]\nbaseurl={urls}\n")).collect();
        let error = configuration.add("/etc/yum.repos.d/a.repo", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("repositories of more than"), "{error}");
    }

    #[test]
    fn only_repository_files_are_read() {
        for (name, expected) in [
            ("rocky.repo", true),
            (".repo", false),
            ("a.repo.rpmnew", false),
            (".a.repo", false),
            ("repo", false),
        ] {
            assert_eq!(is_read(name), expected, "{name}");
        }
    }
}
