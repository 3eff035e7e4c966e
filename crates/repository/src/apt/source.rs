//! sources.list(5): which repositories the image is set up with, and how each is to be checked.

use super::{deb822, truth};
use fetch::client::Url;
use std::collections::BTreeMap;

/// Bytes of one file. A key written into a `.sources` file has a few kilobytes.
const BYTES_MAX: usize = 1 << 20;
/// Sources of one image.
const SOURCES_MAX: usize = 256;
/// Mirrors of one list that are tried; real lists have one or two, and each may take minutes to fail.
const MIRRORS_MAX: usize = 32;

/// One repository and suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Where it is; more than one where a mirror list says so. They end in a slash.
    pub(crate) uris: Vec<Url>,
    /// The suite; a path that ends in a slash where the repository is flat.
    pub(crate) suite: String,
    pub(crate) components: Vec<String>,
    /// Architectures it is used for; `None` is the image's.
    pub(crate) architectures: Option<Vec<String>>,
    pub(crate) signed_by: SignedBy,
    /// What the configuration itself says about its trust.
    pub(crate) trusted: Option<bool>,
    pub(crate) allow_insecure: Option<bool>,
    pub(crate) check_valid_until: Option<bool>,
    pub(crate) check_date: Option<bool>,
    /// The file it is from, or what names it.
    pub(crate) from: String,
}

/// Which keys may sign it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum SignedBy {
    /// Those that apt trusts for everything.
    #[default]
    Trusted,
    /// Of the keys in these files, or where none are named of those that apt trusts, the ones with these fingerprints; where
    /// none are named all.
    Named { files: Vec<String>, fingerprints: Vec<String> },
    /// This very key.
    Inline(String),
    /// Keys of our own, by their index in the table of defaults.
    Shipped(super::defaults::Keys),
}

/// All sources of an image, and what the user should know of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) list: Vec<Source>,
    pub(crate) notes: Vec<String>,
}

/// What belongs to one entry, in either form.
struct Entry<'a> {
    path: &'a str,
    uris: Vec<&'a str>,
    suites: Vec<&'a str>,
    components: Vec<&'a str>,
    options: BTreeMap<String, String>,
}

impl Source {
    /// Whether packages lie beside the head, without components.
    pub(crate) fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }
}

impl Sources {
    /// From the files of an image, in apt's order. An error names the file that is not understood.
    pub(crate) fn of(
        files: &BTreeMap<String, Vec<u8>>,
        architecture: &str,
    ) -> Result<Sources, (String, String)> {
        let mut sources = Sources::default();
        let whole = files.get_key_value("/etc/apt/sources.list");
        let parts = files.iter().filter(|(path, _)| {
            let name = path.strip_prefix("/etc/apt/sources.list.d/");
            name.is_some_and(inventory::apt_sources::is_read_by_apt)
        });
        for (path, bytes) in whole.into_iter().chain(parts) {
            let refuse = |why: String| (path.clone(), why);
            if bytes.len() > BYTES_MAX {
                return Err(refuse(format!("{} bytes, more than {BYTES_MAX}", bytes.len())));
            }
            let text = String::from_utf8_lossy(bytes);
            let mut add = |entry: Entry<'_>| sources.add(&entry, files, architecture).map_err(refuse);
            match path.ends_with(".sources") {
                true => deb822_entries(path, &text)
                    .map_err(refuse)?
                    .iter()
                    .try_for_each(|s| add(entry_of(path, s)))?,
                false => text.lines().filter_map(|line| one_line(path, line)).try_for_each(add)?,
            }
        }
        Ok(sources)
    }

    fn add(
        &mut self,
        entry: &Entry<'_>,
        files: &BTreeMap<String, Vec<u8>>,
        architecture: &str,
    ) -> Result<(), String> {
        let option = |name: &str| entry.options.get(name).map(String::as_str);
        let flag = |name: &str| option(name).and_then(truth);
        for uri in &entry.uris {
            let uri = uri.replace("$(ARCH)", architecture);
            let uris = match locate(&uri, files) {
                Ok(uris) => uris,
                Err(why) => {
                    self.notes.push(format!("{}: {} {why}", inventory::printable(entry.path), shown(&uri)));
                    continue;
                }
            };
            for suite in &entry.suites {
                if self.list.len() == SOURCES_MAX {
                    return Err(format!("more than {SOURCES_MAX} repositories"));
                }
                let suite = suite.replace("$(ARCH)", architecture);
                self.list.push(Source {
                    uris: uris.clone(),
                    suite: checked_path(&suite)?,
                    components: entry.components.iter().map(|c| checked_path(c)).collect::<Result<_, _>>()?,
                    architectures: option("arch")
                        .map(|text| text.split([',', ' ']).map(str::to_owned).collect()),
                    signed_by: option("signed-by").map_or(Ok(SignedBy::Trusted), signed_by)?,
                    trusted: flag("trusted"),
                    allow_insecure: flag("allow-insecure"),
                    check_valid_until: flag("check-valid-until"),
                    check_date: flag("check-date"),
                    from: entry.path.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// An URI for messages: without user and password.
fn shown(uri: &str) -> String {
    Url::parse(uri).map_or_else(|_| inventory::printable(uri), |url| fetch::client::shown(&url))
}

/// A suite or component: a path below the repository that stays there.
fn checked_path(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+~-/@:".contains(&b);
    let stays = text.split('/').all(|part| part != "..");
    match !text.is_empty() && text.bytes().all(plain) && stays {
        true => Ok(text.to_owned()),
        false => Err(format!("unexpected suite or component {}", inventory::printable(text))),
    }
}

/// `deb [options] URI suite component…`.
fn one_line<'a>(path: &'a str, line: &'a str) -> Option<Entry<'a>> {
    let line = line.split('#').next().unwrap_or("").trim_ascii();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t']))?.trim_ascii_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let options = options.split_ascii_whitespace().filter_map(|option| option.split_once('='));
    let mut words = rest.split_ascii_whitespace();
    Some(Entry {
        path,
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        options: options.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
    })
}

/// The stanzas of a `.sources` file that are in force.
fn deb822_entries(path: &str, text: &str) -> Result<Vec<BTreeMap<String, String>>, String> {
    let mut stanzas =
        deb822::stanzas(text).map_err(|why| format!("{}: {why}", inventory::printable(path)))?;
    stanzas.retain(|stanza| {
        let enabled = stanza.get("enabled").and_then(|value| truth(value)) != Some(false);
        enabled
            && stanza
                .get("types")
                .is_some_and(|types| types.split_ascii_whitespace().any(|word| word == "deb"))
    });
    Ok(stanzas)
}

fn entry_of<'a>(path: &'a str, stanza: &'a BTreeMap<String, String>) -> Entry<'a> {
    let words =
        |name: &str| stanza.get(name).map(|text| text.split_ascii_whitespace().collect()).unwrap_or_default();
    let mut options = stanza.clone();
    if let Some(architectures) = options.remove("architectures") {
        options.insert("arch".into(), architectures.split_ascii_whitespace().collect::<Vec<_>>().join(","));
    }
    Entry { path, uris: words("uris"), suites: words("suites"), components: words("components"), options }
}

fn signed_by(text: &str) -> Result<SignedBy, String> {
    if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // An empty line is written as a dot in a field.
        let lines = text.lines().map(|line| if line.trim_ascii() == "." { "" } else { line.trim_ascii() });
        return Ok(SignedBy::Inline(
            lines.skip_while(|line| line.is_empty()).collect::<Vec<_>>().join("\n") + "\n",
        ));
    }
    let (mut files, mut fingerprints) = (Vec::new(), Vec::new());
    for word in text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        let print = word.trim_end_matches('!');
        match print.bytes().all(|b| b.is_ascii_hexdigit()) && matches!(print.len(), 40 | 64) {
            true => fingerprints.push(word.to_ascii_uppercase()),
            false if word.starts_with('/') => files.push(word.to_owned()),
            false => {
                return Err(format!(
                    "Signed-By {} is neither a path nor a fingerprint",
                    inventory::printable(word)
                ));
            }
        }
    }
    Ok(SignedBy::Named { files, fingerprints })
}

/// Where an URI leads. Mirror lists are followed where they are files of the image.
fn locate(uri: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Url>, &'static str> {
    let Some(list) = uri.strip_prefix("mirror+file:") else { return Ok(vec![base(uri)?]) };
    let path = list.strip_prefix("//").unwrap_or(list);
    let text = files.get(path).ok_or("names a mirror list that is not there")?;
    let text = String::from_utf8_lossy(text);
    let first_words = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let named = first_words.filter(|word| !word.starts_with('#'));
    let uris: Vec<Url> = named.filter_map(|word| base(word).ok()).take(MIRRORS_MAX).collect();
    if uris.is_empty() { Err("names a mirror list without a mirror that can be used") } else { Ok(uris) }
}

fn base(uri: &str) -> Result<Url, &'static str> {
    let mut url = Url::parse(uri).map_err(|_| "is no URI")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not fetched over http or https and is passed over");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query and is passed over");
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Sources, (String, String)> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Sources::of(&files, "arm64")
    }

    fn shown(source: &Source) -> String {
        let uris = source.uris.iter().map(Url::as_str).collect::<Vec<_>>().join(",");
        format!("{uris} {} {}", source.suite, source.components.join("+"))
    }

    #[test]
    fn both_forms_are_read_in_apts_order() {
        let sources = read(&[
            ("/etc/apt/sources.list.d/b.sources", "Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: x\n\nTypes: deb-src deb\n\
              URIs: http://b.example/$(ARCH) https://c.example/x\nSuites: s1 s2\nComponents: main extra\nArchitectures: arm64 i386\nSigned-By: /k.gpg\n"),
            ("/etc/apt/sources.list", "deb [trusted=yes arch=amd64,arm64] http://a.example/debian bookworm main # c\n#deb http://no.example x y\n\
              deb-src http://no.example x y\ndeb http://flat.example/r ./\ndebx http://no.example x\n"),
            ("/etc/apt/sources.list.d/z.list.save", "deb http://no.example x y\n"),
        ])
        .unwrap();
        let expected = [
            "http://a.example/debian/ bookworm main",
            "http://flat.example/r/ ./ ",
            "http://b.example/arm64/ s1 main+extra",
            "http://b.example/arm64/ s2 main+extra",
            "https://c.example/x/ s1 main+extra",
            "https://c.example/x/ s2 main+extra",
        ];
        assert_eq!(sources.list.iter().map(shown).collect::<Vec<_>>(), expected);
        assert!(sources.list[0].trusted == Some(true) && sources.list[1].is_flat());
        assert_eq!(sources.list[2].architectures.as_ref().unwrap(), &["arm64", "i386"]);
        assert_eq!(
            sources.list[2].signed_by,
            SignedBy::Named { files: vec!["/k.gpg".into()], fingerprints: Vec::new() }
        );
    }

    #[test]
    fn mirror_lists_are_followed_and_what_cannot_be_fetched_is_noted() {
        let sources = read(&[
            (
                "/etc/apt/sources.list",
                "deb mirror+file:/etc/apt/m.list s main\ndeb file:/srv s main\ndeb mirror+file:/none s main\n\
              deb http://u:secret@p.example/?q s main\n",
            ),
            ("/etc/apt/m.list", "# c\nhttp://one.example/d priority:1\nhttps://two.example/d\nfile:/x\n"),
        ])
        .unwrap();
        assert_eq!(
            sources.list.iter().map(shown).collect::<Vec<_>>(),
            ["http://one.example/d/,https://two.example/d/ s main"]
        );
        assert_eq!(sources.notes.len(), 3, "{:?}", sources.notes);
        assert!(!sources.notes.concat().contains("secret"));
    }

    #[test]
    fn what_leads_astray_is_refused() {
        for text in [
            "deb http://a.example ../../x main\n",
            "deb http://a.example s ../main\n",
            "deb http://a.example s ma\\in\n",
            "deb [signed-by=relative.gpg] http://a.example s main\n",
        ] {
            assert_eq!(
                read(&[("/etc/apt/sources.list", text)]).unwrap_err().0,
                "/etc/apt/sources.list",
                "{text}"
            );
        }
        assert!(read(&[("/etc/apt/sources.list.d/x.sources", "nonsense\n")]).is_err());
    }
}
