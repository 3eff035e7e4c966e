//! Patterns of folders as apk has them (fnmatch(3) with `FNM_PATHNAME`): `*` and `?` within one component.

/// Whether a pattern is all of a path, component by component.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (parts(pattern), parts(path));
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, part)| is_component(pattern, part))
}

/// How many components a pattern has, where it is a path or one of the folders that lead to it.
pub(super) fn depth_of_folder(pattern: &str, path: &str) -> Option<usize> {
    let (pattern, path) = (parts(pattern), parts(path));
    let leads = pattern.len() <= path.len()
        && pattern.iter().zip(&path).all(|(pattern, part)| is_component(pattern, part));
    leads.then_some(pattern.len())
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// A class of characters (`[a-z]`) is taken to fit anything, so that nothing that may matter is passed over.
fn is_component(pattern: &str, text: &str) -> bool {
    if pattern.contains('[') {
        return true;
    }
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut here, mut star) = (0, 0, None);
    while here < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[here] => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((begin, taken)) = star else { return false };
                star = Some((begin, taken + 1));
                (at, here) = (begin + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_whole_components() {
        for (pattern, path, expected) in [
            ("/usr/lib/copa*", "usr/lib/copa", true),
            ("/usr/lib/copa*", "usr/lib/copa-x", true),
            ("/usr/lib/copa*", "usr/lib/copa/x", false),
            ("/usr/*/a?c", "usr/lib/abc", true),
            ("/usr/*/a?c", "usr/lib/ac", false),
            ("/bin", "usr/bin", false),
            ("/lib/[a-c]*", "lib/x", true),
            ("/*a*b*c", "xaxbxc", true),
            ("/*a*b*c", "xaxcxb", false),
            ("/", "", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!(depth_of_folder("etc", "etc/a/b"), Some(1));
        assert_eq!(depth_of_folder("etc/a/b", "etc/a/b"), Some(3));
        assert_eq!(depth_of_folder("etc/a/b", "etc/a"), None);
    }
}
