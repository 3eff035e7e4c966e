//! Nothing of the machine that the project is worked on stands in the tree: neither its paths nor the hosts of the package
//! registries that it uses. Both are read from the machine at run time.

use super::Finding;
use super::source::File;
use std::collections::BTreeSet;
use testkit::command::argv;
use testkit::workspace;

/// Hosts that a project names for what they are, whatever a machine is set to use: the home of crates.
const PUBLIC: &[&str] = &["crates.io", "index.crates.io", "github.com"];

/// Folders that every machine has.
const EVERYWHERE: &[&str] =
    &["/", "/home", "/mnt", "/opt", "/root", "/src", "/srv", "/tmp", "/usr/src", "/var/tmp"];

/// Words that stand for this machine.
pub struct Words {
    words: BTreeSet<String>,
}

impl Words {
    /// Reads the workspace's path, the home and the configuration of apt, pip, npm and cargo.
    pub fn of_this_machine() -> Words {
        let mut words: BTreeSet<String> =
            configured_addresses().iter().filter_map(|address| host(address)).collect();
        words.retain(|word| !PUBLIC.contains(&word.as_str()));
        let root = workspace::root();
        let home = std::env::var("HOME").ok().filter(|home| home.starts_with("/home/"));
        // The folder above the workspace holds what else belongs to this machine; one that every machine has says too little.
        let above = root.parent().map(|above| above.display().to_string());
        let above = above.filter(|above| !EVERYWHERE.contains(&above.as_str()));
        words.extend(
            [Some(root.display().to_string()), home, above].into_iter().flatten().map(|path| path + "/"),
        );
        Words { words }
    }

    /// Lines that name one of them.
    pub fn check(&self, file: &File) -> Vec<Finding> {
        if file.path == "Cargo.lock" {
            return Vec::new();
        }
        let found = |line: &str| self.words.iter().find(|word| names(line, word));
        let finding = |(number, line)| {
            let word = found(line)?;
            Some(Finding::new(
                &file.path,
                number,
                format!("names `{word}` of this machine"),
                "read it from the machine at run time",
            ))
        };
        file.lines().filter_map(finding).collect()
    }
}

/// Whether a line has the word, and not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '-' || character == '.';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part)
            && !line[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() && !word.ends_with('/'))
    })
}

fn configured_addresses() -> Vec<String> {
    let apt = argv("apt-get", ["indextargets", "--format", "$(REPO_URI)"]);
    let pip = argv("python3", ["-m", "pip", "config", "list"]);
    let npm = argv("npm", ["config", "get", "registry"]);
    // A tool that is not there uses no registry.
    let said = [apt, pip, npm].map(|command| command.text().unwrap_or_default());
    let cargo_home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"))
        .unwrap_or_default();
    let cargo = ["config.toml", "config"]
        .map(|name| std::fs::read_to_string(format!("{cargo_home}/{name}")).unwrap_or_default());
    let texts = said.into_iter().chain(cargo);
    let words = |text: String| {
        text.split(|c: char| c.is_whitespace() || "'\"=".contains(c)).map(str::to_owned).collect::<Vec<_>>()
    };
    texts.flat_map(words).filter(|word| word.contains("://")).collect()
}

fn host(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    host.contains('.').then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_addresses() {
        assert_eq!(host("sparse+https://user:x@a.test:8080/b").as_deref(), Some("a.test"));
        assert_eq!(host("http://localhost/x"), None);
        assert_eq!(host("a.test"), None);
    }

    #[test]
    fn words_are_found_whole() {
        let words = Words { words: ["a.test", "/srv/tree/"].map(str::to_owned).into() };
        let check = |text: &str| words.check(&File { path: "x".into(), text: text.into() }).len();
        assert_eq!(check("http://a.test/x\n/srv/tree/y"), 2);
        assert_eq!(check("http://aa.test/ a.tests b-a.test"), 0);
    }
}
