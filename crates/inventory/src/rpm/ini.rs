//! The INI files of yum, dnf, tdnf and zypp: sections of `key = value`, a value going on in lines that begin with a blank.

use crate::{Error, check_size};

/// Largest file taken. Those of distributions have a few kilobytes.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// Most sections of a file; a distribution has some ten repositories.
const SECTIONS_MAX: usize = 1000;

/// A section and its values.
#[derive(Default)]
pub(super) struct Section {
    pub name: String,
    values: Vec<(String, String)>,
}

impl Section {
    /// The value of a key; of several the last. Its lines are parted by newlines.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.trim())
    }

    /// The value as a list: parted by blanks, commas and newlines.
    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        let parts = self.get(key).unwrap_or_default().split(|c: char| c.is_whitespace() || c == ',');
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// The value as a yes or no; none where it is absent or neither.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let is = |words: [&str; 4]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
        match (is(["1", "yes", "true", "on"]), is(["0", "no", "false", "off"])) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// The text of a configuration file.
pub(super) fn text(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Error> {
    check_size(bytes, BYTES_MAX)?;
    match bytes.contains(&0) {
        true => Err(Error::Malformed("binary, not text".into())),
        false => Ok(String::from_utf8_lossy(bytes)),
    }
}

/// The sections of a file, those of one name put together.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, Error> {
    let mut sections: Vec<Section> = Vec::new();
    let mut at = None;
    for line in text(bytes)?.lines() {
        if line.trim().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            at = Some(section(&mut sections, name.trim())?);
            continue;
        }
        let Some(section) = at.and_then(|at: usize| sections.get_mut(at)) else { continue };
        let goes_on = line.starts_with([' ', '\t']);
        match (section.values.last_mut(), line.find(['=', ':'])) {
            (Some((_, value)), _) if goes_on => {
                value.push('\n');
                value.push_str(line.trim());
            }
            (_, Some(mark)) => {
                section.values.push((line[..mark].trim().to_owned(), line[mark + 1..].trim().to_owned()));
            }
            _ => {}
        }
    }
    Ok(sections)
}

/// Where the section of a name is, made where it is not.
fn section(sections: &mut Vec<Section>, name: &str) -> Result<usize, Error> {
    if let Some(at) = sections.iter().position(|section| section.name == name) {
        return Ok(at);
    }
    if sections.len() == SECTIONS_MAX {
        return Err(Error::Malformed(format!("more than {SECTIONS_MAX} sections")));
    }
    sections.push(Section { name: name.to_owned(), values: Vec::new() });
    Ok(sections.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_lists_are_read() {
        let text = b"stray = 1\n# c\n[main]\nGPGCheck = Yes\nkeys=a, b\n\tc\n\n  d\n;x\n[ r ]\nurl: http://a=b\nbad\n[main]\non=0\nodd=maybe\n";
        let read = sections(text).unwrap();
        let names: Vec<&str> = read.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["main", "r"]);
        let main = &read[0];
        assert_eq!(
            (main.flag("gpgcheck"), main.flag("on"), main.flag("odd"), main.flag("x")),
            (Some(true), Some(false), None, None)
        );
        assert_eq!(main.list("keys"), ["a", "b", "c", "d"]);
        assert_eq!(read[1].get("url"), Some("http://a=b"));
        assert_eq!(read[1].get("bad"), None);
    }

    #[test]
    fn what_is_no_text_or_too_much_is_an_error() {
        assert!(sections(b"[a]\n\0").is_err() && sections(&vec![b'#'; BYTES_MAX + 1]).is_err());
        let many: String = (0..=SECTIONS_MAX).map(|n| format!("[{n}]\n")).collect();
        assert!(sections(many.as_bytes()).is_err());
    }
}
