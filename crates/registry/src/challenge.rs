//! `WWW-Authenticate` (RFC 9110 §11), read strictly and within bounds.

/// Longest header taken.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// Most parameters of all challenges of one header.
const PARAMETERS_MAX: usize = 32;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from a service.
    Bearer {
        /// The service's URL, as written.
        realm: String,
        /// What to ask it for.
        service: Option<String>,
        /// The scope it wants.
        scope: Option<String>,
    },
}

/// The challenges of one header that we know, in their order. Schemes that we do not know are passed over.
pub(crate) fn parse(header: &str) -> Result<Vec<Challenge>, &'static str> {
    if header.len() > HEADER_BYTES_MAX {
        return Err("challenge is too long");
    }
    let mut scanner = Scanner(header.trim());
    let mut found = Vec::new();
    let mut seen = 0;
    while !scanner.0.is_empty() {
        let scheme = scanner.token().ok_or("challenge has no scheme")?;
        scanner.spaces();
        let parameters = scanner.parameters(&mut seen)?;
        if let Some(challenge) = challenge(scheme, parameters)? {
            found.push(challenge);
        }
    }
    Ok(found)
}

fn challenge(scheme: &str, parameters: Vec<(String, String)>) -> Result<Option<Challenge>, &'static str> {
    if scheme.eq_ignore_ascii_case("basic") {
        return Ok(Some(Challenge::Basic));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let get = |name: &str| -> Result<Option<String>, &'static str> {
        let mut all = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        match (all.next(), all.next()) {
            (_, Some(_)) => Err("challenge names a parameter twice"),
            (one, None) => Ok(one.map(|(_, value)| value.clone())),
        }
    };
    let realm = get("realm")?.ok_or("bearer challenge without realm")?;
    Ok(Some(Challenge::Bearer { realm, service: get("service")?, scope: get("scope")? }))
}

struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// `name=value` pairs up to the next scheme or the end.
    fn parameters(&mut self, seen: &mut usize) -> Result<Vec<(String, String)>, &'static str> {
        let mut all = Vec::new();
        loop {
            self.separators();
            let before = self.0;
            let Some(name) = self.token() else {
                return if self.0.is_empty() { Ok(all) } else { Err("challenge has a stray character") };
            };
            self.spaces();
            let Some(rest) = self.0.strip_prefix('=') else {
                // A word without a value is the next scheme.
                self.0 = before;
                return Ok(all);
            };
            self.0 = rest;
            self.spaces();
            *seen += 1;
            if *seen > PARAMETERS_MAX {
                return Err("challenge has too many parameters");
            }
            all.push((name.to_owned(), self.value()?));
        }
    }

    fn separators(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
    }

    fn value(&mut self) -> Result<String, &'static str> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            return self.token().map(str::to_owned).ok_or("challenge has a parameter without value");
        };
        let mut text = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Ok(text);
                }
                '\\' => text.push(chars.next().ok_or("challenge ends within a quotation")?.1),
                c if c.is_control() => return Err("challenge has a control character"),
                c => text.push(c),
            }
        }
        Err("challenge ends within a quotation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let own = |t: Option<&str>| t.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: own(service), scope: own(scope) }
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        for (header, want) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (r#"Negotiate, bearer  Realm = https"#, vec![bearer("https", None, None)]),
            (
                r#"Bearer realm="a\"b", Basic realm="x, y=z""#,
                vec![bearer("a\"b", None, None), Challenge::Basic],
            ),
            ("Digest qop=auth", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(parse(header).unwrap(), want, "{header}");
        }
    }

    #[test]
    fn broken_challenges_are_refused() {
        let long = format!("Bearer realm=\"{}\"", "a".repeat(HEADER_BYTES_MAX));
        let many = format!("Bearer {}", "a=b,".repeat(PARAMETERS_MAX + 1));
        for header in [
            "Bearer",
            "Bearer service=x",
            r#"Bearer realm="open"#,
            r#"Bearer realm="a\"#,
            "Bearer realm=",
            r#"Bearer realm="a",realm="b""#,
            "=x",
            "Bearer realm=\"a\u{7}\"",
            "Bearer {realm}",
            &long,
            &many,
        ] {
            assert!(parse(header).is_err(), "{header}");
        }
    }

    #[test]
    fn no_text_makes_it_panic_or_hang() {
        let alphabet = ["Bearer", " ", ",", "=", "\"", "\\", "realm", "ü", "\t", "\u{0}"];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(alphabet[(state >> 33) as usize % alphabet.len()]);
            }
            // Whatever it gives, it gives something bounded by the text.
            assert!(parse(&text).map_or(0, |c| c.len()) <= text.len());
        }
    }
}
