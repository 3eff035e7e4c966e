//! The settings of apt.conf(5) that decide what is chosen or trusted. Everything else there is passed over.

use std::collections::BTreeMap;

/// Bytes of all files together.
const BYTES_MAX: usize = 4 << 20;
/// How deep blocks may be nested.
const DEPTH_MAX: usize = 32;

/// Settings by their whole name, in lower case; of one that is set more than once the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Of `/etc/apt/apt.conf.d/*`, then `/etc/apt/apt.conf`, as apt reads them.
    pub(crate) fn of(files: &BTreeMap<String, Vec<u8>>) -> Settings {
        let parts = files.iter().filter(|(path, _)| is_part(path));
        let whole = files.get_key_value("/etc/apt/apt.conf");
        let mut settings = Settings::default();
        let mut bytes_left = BYTES_MAX;
        for (_, bytes) in parts.chain(whole) {
            let Some(left) = bytes_left.checked_sub(bytes.len()) else { break };
            bytes_left = left;
            settings.add(&String::from_utf8_lossy(bytes));
        }
        settings
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A setting as a truth value, where it is one.
    pub(crate) fn truth(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(super::truth)
    }

    fn add(&mut self, text: &str) {
        let (mut scope, mut words) = (Vec::<String>::new(), Vec::<String>::new());
        for token in (Tokens { rest: text }) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open if scope.len() < DEPTH_MAX => {
                    scope.push(words.drain(..).next().unwrap_or_default())
                }
                Token::Open => return,
                Token::Close => {
                    words.clear();
                    scope.pop();
                }
                Token::End => self.set(&scope, &mut words),
            }
        }
    }

    fn set(&mut self, scope: &[String], words: &mut Vec<String>) {
        if let [name, value, ..] = &words[..] {
            let name = [scope, std::slice::from_ref(name)].concat().join("::");
            self.0.insert(name.to_ascii_lowercase(), value.clone());
        }
        words.clear();
    }
}

/// `run-parts` names: no end, or `.conf`.
fn is_part(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/etc/apt/apt.conf.d/") else { return false };
    let stem = name.strip_suffix(".conf").unwrap_or(name);
    !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            let comment = ["//", "#"].iter().any(|start| self.rest.starts_with(start));
            if comment {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if self.rest.starts_with("/*") {
                self.rest = self.rest.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        let first = self.rest.chars().next()?;
        let single = match first {
            '{' => Some(Token::Open),
            '}' => Some(Token::Close),
            ';' => Some(Token::End),
            _ => None,
        };
        if single.is_some() {
            self.rest = &self.rest[1..];
            return single;
        }
        let (word, rest) = match self.rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => {
                let ends = |c: char| c.is_ascii_whitespace() || "{};\"".contains(c);
                self.rest.split_at(self.rest.find(ends).unwrap_or(self.rest.len()))
            }
        };
        self.rest = rest;
        Some(Token::Word(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(files: &[(&str, &str)]) -> Settings {
        Settings::of(
            &files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
        )
    }

    #[test]
    fn names_are_joined_and_later_files_count() {
        let settings = settings(&[
            (
                "/etc/apt/apt.conf.d/10a",
                "APT::Default-Release \"x\"; # c\nAcquire { Check-Valid-Until \"no\"; http { Proxy \"p\"; }; };",
            ),
            ("/etc/apt/apt.conf.d/20b.conf", "// c\n/* c; */ apt::default-release \"bookworm\";"),
            ("/etc/apt/apt.conf.d/30c.dpkg-old", "APT::Default-Release \"old\";"),
            ("/etc/apt/apt.conf", "Acquire::Max-FutureTime 99;"),
        ]);
        assert_eq!(settings.get("APT::Default-Release"), Some("bookworm"));
        assert_eq!(settings.truth("Acquire::Check-Valid-Until"), Some(false));
        assert_eq!(settings.get("acquire::HTTP::proxy"), Some("p"));
        assert_eq!(settings.get("Acquire::Max-FutureTime"), Some("99"));
    }

    #[test]
    fn nonsense_ends() {
        let deep = "a {".repeat(10_000);
        for text in ["", "{", "}", "}}}};", "\"", "a \"b", "/*", "a b c d;;;", "é \"ü\";", &deep] {
            settings(&[("/etc/apt/apt.conf", text)]);
        }
    }
}
