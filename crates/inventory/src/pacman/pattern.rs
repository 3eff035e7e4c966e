//! Patterns of pacman.conf: `*` and `?`, as glob(7) has them.

/// Whether a pattern has sets of characters or escapes, which are not understood here.
pub(super) fn is_strange(pattern: &str) -> bool {
    pattern.contains(['[', ']', '\\'])
}

/// Whether a pattern fits the whole of a text. Takes at most the product of both lengths in steps.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star is, and how much of the text it takes.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_fit() {
        for (pattern, text, expected) in [
            ("linux", "linux", true),
            ("linux", "linux-lts", false),
            ("linux*", "linux-lts", true),
            ("*ssl*", "libssl3", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b", "axc", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!fits(&"a*".repeat(500), &"a".repeat(400)));
        assert!(is_strange("[ab]") && !is_strange("a*"));
    }
}
