//! Stanzas of Debian's control files (deb822(5)): every field with its continuation lines, in order, so that a record can be
//! read whole and written again.

use crate::{Error, check_size};

/// Most stanzas of one file.
const STANZAS_MAX: usize = 100_000;

/// Most fields of one stanza; real ones have some twenty.
const FIELDS_MAX: usize = 256;

/// One stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza {
    /// Fields in order: name as written, value with its continuation lines as they stand, the blank after the colon left out.
    pub fields: Vec<(String, String)>,
}

impl Stanza {
    /// The value of a field, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = |(field, _): &&(String, String)| field.eq_ignore_ascii_case(name);
        self.fields.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Sets a field where it stands; one that is not there comes after `after`, or first.
    pub fn set(&mut self, name: &str, value: &str, after: &str) {
        let at = |wanted: &str| self.fields.iter().position(|(field, _)| field.eq_ignore_ascii_case(wanted));
        match (at(name), at(after)) {
            (Some(at), _) => value.clone_into(&mut self.fields[at].1),
            (None, before) => {
                let at = before.map_or(0, |at| at + 1);
                self.fields.insert(at, (name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The text, without the blank line that ends it.
    pub fn text(&self) -> String {
        let line = |(name, value): &(String, String)| match value.starts_with('\n') || value.is_empty() {
            true => format!("{name}:{value}\n"),
            false => format!("{name}: {value}\n"),
        };
        self.fields.iter().map(line).collect()
    }
}

/// Every stanza of a file. Strict: a line that is no field is an error naming it.
pub fn stanzas(bytes: &[u8], bytes_max: usize) -> Result<Vec<Stanza>, Error> {
    check_size(bytes, bytes_max)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("not UTF-8 text".to_owned()))?;
    let mut all = Vec::new();
    let mut stanza = Stanza::default();
    for (index, line) in text.lines().enumerate() {
        let malformed = |what: &str| Error::Malformed(format!("line {}: {what}", index + 1));
        if line.trim().is_empty() {
            end(&mut all, &mut stanza)?;
        } else if line.starts_with([' ', '\t']) {
            let (_, value) = stanza.fields.last_mut().ok_or_else(|| malformed("continues nothing"))?;
            value.push('\n');
            value.push_str(line);
        } else {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("no field"))?;
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if name.is_empty() || !name.bytes().all(good) || stanza.fields.len() == FIELDS_MAX {
                return Err(malformed("not a field that is known to be one"));
            }
            stanza.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    end(&mut all, &mut stanza)?;
    Ok(all)
}

fn end(all: &mut Vec<Stanza>, stanza: &mut Stanza) -> Result<(), Error> {
    if stanza.fields.is_empty() {
        return Ok(());
    }
    if all.len() == STANZAS_MAX {
        return Err(Error::Malformed(format!("more than {STANZAS_MAX} stanzas")));
    }
    all.push(std::mem::take(stanza));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "Package: a\nDescription: short\n long\n .\n more\nConffiles:\n /etc/a 0123\n\nPackage: b\n";

    #[test]
    fn stanzas_are_read_whole_and_written_as_they_were() {
        let all = stanzas(TEXT.as_bytes(), 1024).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("description"), Some("short\n long\n .\n more"));
        assert_eq!(all[0].get("conffiles"), Some("\n /etc/a 0123"));
        let text = all.iter().map(Stanza::text).collect::<Vec<_>>().join("\n");
        assert_eq!(text, TEXT);
    }

    #[test]
    fn fields_are_set_where_they_stand_or_after_another() {
        let mut stanza = stanzas(b"Package: a\nVersion: 1\n", 64).unwrap().remove(0);
        stanza.set("version", "2", "package");
        stanza.set("Status", "install ok installed", "package");
        assert_eq!(stanza.text(), "Package: a\nStatus: install ok installed\nVersion: 2\n");
    }

    #[test]
    fn what_is_no_stanza_is_an_error_that_names_the_line() {
        for (text, why) in [
            ("Package: a\nnonsense\n", "line 2: no field"),
            (" continued\n", "line 1: continues nothing"),
            ("Pack age: a\n", "line 1: not a field that is known to be one"),
        ] {
            assert_eq!(stanzas(text.as_bytes(), 64).unwrap_err().to_string(), why, "{text}");
        }
        assert!(stanzas(&[b'x'; 65], 64).is_err());
        assert!(stanzas(b"A: \xff\n", 64).is_err());
    }
}
