//! Stanzas of fields (deb822(5)): control files, indexes, heads of indexes, `.sources` files and preferences.

use std::collections::BTreeMap;

/// Fields of a stanza; all continuation lines are kept in the values, joined by newlines, their leading blank taken off.
pub(crate) type Fields = BTreeMap<String, String>;

/// The one stanza of a text, its field names in lower case. An error where a line is no field, or one is there twice.
pub(crate) fn fields(text: &[u8]) -> Result<Fields, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8 text")?;
    let mut found = stanzas(text)?.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err("no fields".into()),
        (Some(_), Some(_)) => Err("more than one stanza".into()),
    }
}

/// All stanzas of a text, their field names in lower case. Lines that begin with `#` are passed over.
pub(crate) fn stanzas(text: &str) -> Result<Vec<Fields>, String> {
    let mut all = Vec::new();
    let (mut stanza, mut last) = (Fields::new(), None::<String>);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim_ascii().is_empty() {
            last = None;
            if !stanza.is_empty() {
                all.push(std::mem::take(&mut stanza));
            }
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let value = last
                .as_ref()
                .and_then(|name| stanza.get_mut(name))
                .ok_or("a continuation without a field")?;
            value.push('\n');
            value.push_str(line[1..].trim_end());
            continue;
        }
        let (name, value) = field(line)?;
        if stanza.insert(name.clone(), value.to_owned()).is_some() {
            return Err(format!("field {} is there twice", inventory::printable(&name)));
        }
        last = Some(name);
    }
    if !stanza.is_empty() {
        all.push(stanza);
    }
    Ok(all)
}

/// The fields of one stanza that has been read before, their names as they are written.
pub(crate) fn named_fields(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(more) = line.strip_prefix([' ', '\t']) {
            if let Some(value) = fields.get_mut(&last) {
                value.push('\n');
                value.push_str(more.trim_end());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_owned();
            fields.insert(last.clone(), value.trim_ascii().to_owned());
        }
    }
    fields
}

fn field(line: &str) -> Result<(String, &str), String> {
    let refuse = || format!("not a field: {}", inventory::printable(line));
    let (name, value) = line.split_once(':').ok_or_else(refuse)?;
    let plain = |b: u8| b.is_ascii_graphic() && b != b':';
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok((name.to_ascii_lowercase(), value.trim_ascii())),
        false => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_told_apart_and_continued() {
        let text = "# c\nPackage: a\nDescription: x\n long\n .\n\n\nPACKAGE:b\nDepends: c,\n d\n";
        let found = stanzas(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0]["package"].as_str(), found[0]["description"].as_str()), ("a", "x\nlong\n."));
        assert_eq!(found[1]["depends"], "c,\nd");
        assert_eq!(fields(b"A: 1\n").unwrap()["a"], "1");
    }

    #[test]
    fn what_is_no_stanza_is_refused() {
        for text in ["", " a: b\n", "a\n", ": b\n", "a: 1\nA: 2\n", "a: 1\n\nb: 2\n", "a b: 1\n"] {
            assert!(fields(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(fields(b"a: \xff\n").is_err());
    }
}
