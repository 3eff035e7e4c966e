//! Package URLs: the canonical spelling of `pkg:type/namespace/name@version?qualifiers`, and nothing read back.

use std::fmt::Write as _;

/// A package URL in the making.
pub(crate) struct Purl<'a> {
    /// Type; trusted, as it is never encoded.
    pub(crate) kind: &'static str,
    /// Namespace, empty where there is none.
    pub(crate) namespace: &'a str,
    /// Name.
    pub(crate) name: &'a str,
    /// Version, empty where there is none.
    pub(crate) version: &'a str,
    /// Qualifiers; those without value are left out.
    pub(crate) qualifiers: &'a [(&'static str, &'a str)],
}

impl Purl<'_> {
    /// The URL. Qualifiers are in the order of their names.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("pkg:{}/", self.kind);
        if !self.namespace.is_empty() {
            text.push_str(&encoded(self.namespace));
            text.push('/');
        }
        text.push_str(&encoded(self.name));
        if !self.version.is_empty() {
            text.push('@');
            text.push_str(&encoded(self.version));
        }
        let mut pairs: Vec<String> = self
            .qualifiers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        pairs.sort();
        if !pairs.is_empty() {
            text.push('?');
            text.push_str(&pairs.join("&"));
        }
        text
    }
}

/// Percent-encoded but for what the specification says never to encode: letters, digits, `.`, `-`, `_`, `~` and `:`.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(byte.into())
            }
            // Writing into a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_canonical() {
        let deb = |name, version, arch, distro| {
            let qualifiers = [("distro", distro), ("arch", arch)];
            Purl { kind: "deb", namespace: "debian", name, version, qualifiers: &qualifiers }.text()
        };
        for (made, text) in [
            (
                deb("curl", "7.50.3-1", "i386", "jessie"),
                "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
            ),
            (
                deb("libstdc++6", "1:12.2.0-14+deb12u1~x", "amd64", "debian-12"),
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=debian-12",
            ),
            (deb("a", "1", "", ""), "pkg:deb/debian/a@1"),
            (deb("a", "", "amd64", ""), "pkg:deb/debian/a?arch=amd64"),
            (
                deb("a", "1@2?b=c&d#e/f g", "ä", ""),
                "pkg:deb/debian/a@1%402%3Fb%3Dc%26d%23e%2Ff%20g?arch=%C3%A4",
            ),
        ] {
            assert_eq!(made, text);
        }
    }
}
