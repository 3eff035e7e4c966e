//! A list of packages of 50 MB, of which a handful of stanzas matter: found by name, read only when asked for.

use memchr::memmem;
use std::{cell::OnceCell, collections::HashMap};

/// Packages in one list. All of Debian sid has 70,000.
const STANZAS_MAX: usize = 2_000_000;
/// Versions of one name that are looked at. Repositories that keep all they ever had have some hundreds.
const VERSIONS_MAX: usize = 2000;
/// Provisions that are found in one list. All of Debian sid has some 150,000, most of them of Rust's and Perl's libraries.
const PROVISIONS_MAX: usize = 1_000_000;

/// A list.
pub(crate) struct Index {
    text: Vec<u8>,
    /// Sorted by name, then by place.
    stanzas: Vec<Stanza>,
    providers: OnceCell<HashMap<String, Vec<Stanza>>>,
}

/// Where a stanza is, and its name in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stanza {
    start: u32,
    end: u32,
    name: u32,
    name_bytes: u16,
}

impl Index {
    /// Finds the stanzas of a list. An error where it is none.
    pub(crate) fn of(text: Vec<u8>) -> Result<Index, String> {
        if u32::try_from(text.len()).is_err() {
            return Err("too large".into());
        }
        let mut stanzas = Vec::new();
        let (mut start, ends) = (0, memmem::find_iter(&text, b"\n\n").chain([text.len()]));
        for end in ends {
            if let Some(stanza) = stanza(&text, start, end)? {
                stanzas.push(stanza);
            }
            if stanzas.len() > STANZAS_MAX {
                return Err(format!("more than {STANZAS_MAX} packages"));
            }
            start = (end + 1).min(text.len());
        }
        let mut index = Index { text, stanzas, providers: OnceCell::new() };
        let text = &index.text;
        // Real lists are sorted nearly so already.
        index.stanzas.sort_by(|a, b| name(text, a).cmp(name(text, b)).then(a.start.cmp(&b.start)));
        Ok(index)
    }

    /// The stanzas of packages of a name, in order of the list; of too many the first.
    pub(crate) fn named(&self, wanted: &str) -> &[Stanza] {
        let from = self.stanzas.partition_point(|stanza| name(&self.text, stanza) < wanted.as_bytes());
        let rest = &self.stanzas[from..];
        let count = rest.partition_point(|stanza| name(&self.text, stanza) == wanted.as_bytes());
        &rest[..count.min(VERSIONS_MAX)]
    }

    /// The name of the package of a stanza.
    pub(crate) fn name(&self, stanza: &Stanza) -> &[u8] {
        name(&self.text, stanza)
    }

    /// The stanzas of packages that provide a name.
    pub(crate) fn providing(&self, wanted: &str) -> &[Stanza] {
        let providers = self.providers.get_or_init(|| self.find_providers());
        providers.get(wanted).map_or(&[], Vec::as_slice)
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.text.len() as u64
    }

    /// The text of a stanza.
    pub(crate) fn text(&self, stanza: &Stanza) -> &[u8] {
        &self.text[stanza.start as usize..stanza.end as usize]
    }

    fn find_providers(&self) -> HashMap<String, Vec<Stanza>> {
        let mut providers: HashMap<String, Vec<Stanza>> = HashMap::new();
        let mut count = 0;
        let finder = memmem::Finder::new(b"\nprovides:");
        let plain = memmem::Finder::new(b"\nProvides:");
        for stanza in &self.stanzas {
            let text = self.text(stanza);
            let Some(at) = plain.find(text).or_else(|| finder.find(text)) else { continue };
            for name in provided(&text[at + b"\nprovides:".len()..]) {
                count += 1;
                if count > PROVISIONS_MAX {
                    return providers;
                }
                let list = providers.entry(name).or_default();
                if list.last() != Some(stanza) {
                    list.push(*stanza);
                }
            }
        }
        providers
    }
}

/// The names in the value of a `Provides` field that begins here.
fn provided(text: &[u8]) -> Vec<String> {
    let mut end = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        if end > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        end += line.len();
    }
    let value = String::from_utf8_lossy(&text[..end]);
    let words = value.split(',').filter_map(|part| part.trim_ascii().split([' ', '(', ':', '\n']).next());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn name<'t>(text: &'t [u8], stanza: &Stanza) -> &'t [u8] {
    let start = stanza.name as usize;
    &text[start..start + usize::from(stanza.name_bytes)]
}

/// The stanza between two blank lines; `None` where there is nothing but blank lines.
fn stanza(text: &[u8], start: usize, end: usize) -> Result<Option<Stanza>, String> {
    let blank = text[start..end].iter().take_while(|b| **b == b'\n').count();
    let start = start + blank;
    if start == end {
        return Ok(None);
    }
    let body = &text[start..end];
    let field = b"package:";
    let begins = |line: &[u8]| line.get(..field.len()).is_some_and(|head| head.eq_ignore_ascii_case(field));
    let at = match begins(body) {
        true => Some(0),
        false => memchr::memchr_iter(b'\n', body).map(|newline| newline + 1).find(|at| begins(&body[*at..])),
    };
    let at = at.ok_or_else(|| format!("a stanza without a package name at byte {start}"))?;
    let line = &body[at + field.len()..];
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
    let value = line.trim_ascii();
    let offset = start + at + field.len() + (line.len() - line.trim_ascii_start().len());
    let name_bytes = u16::try_from(value.len()).map_err(|_| format!("an overlong name at byte {start}"))?;
    let place = |at: usize| u32::try_from(at).map_err(|_| "too large".to_owned());
    Ok(Some(Stanza { start: place(start)?, end: place(end)?, name: place(offset)?, name_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'i>(index: &'i Index, stanzas: &[Stanza]) -> Vec<&'i str> {
        stanzas.iter().map(|s| std::str::from_utf8(index.text(s)).unwrap()).collect()
    }

    #[test]
    fn stanzas_are_found_by_name_and_by_what_they_provide() {
        let text = "Package: b\nVersion: 1\n\nVersion: 1\npackage:a\nProvides: x (= 1),\n y:any, b\n\n\n\nPackage: b\nVersion: 2";
        let index = Index::of(text.into()).unwrap();
        assert_eq!(index.stanzas.len(), 3);
        assert_eq!(texts(&index, index.named("b")), ["Package: b\nVersion: 1", "Package: b\nVersion: 2"]);
        let a = "Version: 1\npackage:a\nProvides: x (= 1),\n y:any, b";
        for name in ["x", "y", "b"] {
            assert_eq!(texts(&index, index.providing(name)), [a], "{name}");
        }
        assert_eq!(texts(&index, index.named("a")), [a]);
        assert!(index.named("").is_empty() && index.named("c").is_empty() && index.providing("a").is_empty());
    }

    #[test]
    fn a_list_of_one_name_alone_is_bounded() {
        let text: String = (0..VERSIONS_MAX + 9).map(|v| format!("Package: a\nVersion: {v}\n\n")).collect();
        let index = Index::of(text.into_bytes()).unwrap();
        assert_eq!(index.named("a").len(), VERSIONS_MAX);
        assert_eq!(index.name(&index.named("a")[0]), b"a");
    }

    #[test]
    fn what_is_no_list_is_refused_and_nothing_is_a_list() {
        assert!(Index::of(b"<html>".to_vec()).is_err());
        assert!(Index::of(b"Package: a\n\nVersion: 1\n".to_vec()).is_err());
        assert_eq!(Index::of(Vec::new()).unwrap().stanzas.len(), 0);
        assert_eq!(Index::of(b"\n\n\n".to_vec()).unwrap().stanzas.len(), 0);
    }
}
