//! Patterns of names as in fnmatch(3): `*`, `?` and `[…]`.

/// Longest pattern; names are at most as long.
pub const PATTERN_BYTES_MAX: usize = 512;

/// What it takes to begin, in steps.
const STEPS_TO_BEGIN: u64 = 32;

/// Whether a pattern fits the whole of a text. Takes at most as many steps as the product of both lengths, and takes
/// them from `steps`; where none are left it fits.
pub fn fits(pattern: &str, text: &str, steps: &mut u64) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    *steps = steps.saturating_sub(STEPS_TO_BEGIN);
    while t < text.len() {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return true;
        }
        match one(&pattern[p..], text[t]) {
            Some(length) => (p, t) = (p + length, t + 1),
            None if pattern.get(p) == Some(&b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            None => {
                // The last star takes one more.
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// How long the part at the beginning of a pattern is, where it stands for this one byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'*' => None,
        b'?' => Some(1),
        b'[' => class(&pattern[1..], byte),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        plain => (plain == byte).then_some(1),
    }
}

/// How long a class is, its opening bracket included, where the byte is in it.
fn class(rest: &[u8], byte: u8) -> Option<usize> {
    let not = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(not);
    // A closing bracket that comes first is one of the class.
    let end = start + 1 + rest.get(start + 1..)?.iter().position(|b| *b == b']')?;
    let mut members = &rest[start..end];
    let mut found = false;
    while let Some(first) = members.first() {
        let (last, length) = match members.get(1..3) {
            Some([b'-', last]) => (last, 3),
            _ => (first, 1),
        };
        found |= (*first..=*last).contains(&byte);
        members = &members[length..];
    }
    (found != not).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_fnmatch() {
        for (pattern, text, expected) in [
            ("bash", "bash", true),
            ("bash", "bashful", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("kernel*", "kernel-core", true),
            ("*nvidia*", "xorg-nvidia-libs", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbxbx", false),
            ("p?thon[0-9]", "python3", true),
            ("p?thon[!0-9]", "python3", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(fits(pattern, text, &mut 1000), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn steps_are_counted_and_end_it() {
        let (pattern, text) = (format!("{}b", "a*".repeat(200)), "a".repeat(512));
        let mut steps = 1_000_000;
        assert!(!fits(&pattern, &text, &mut steps));
        assert!(steps > 0, "more than the product of the lengths");
        assert!(fits(&pattern, &text, &mut 100));
    }
}
