//! Texts of an image made fit for a message: shortened, control and non-ASCII characters escaped.

/// Longest text shown, in characters: enough for any name or URL, too little to flood a terminal.
const SHOWN_CHARS_MAX: usize = 200;

/// The text as it may be shown.
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(escape).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escape(c: char) -> Vec<char> {
    match c {
        ' '..='~' => vec![c],
        _ => c.escape_default().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ascii_stays() {
        assert_eq!(printable("a \"b\""), "a \"b\"");
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}"), "a\\u{1b}[2J\\n\\u{202e}");
        assert_eq!(printable(&"x".repeat(500)).len(), SHOWN_CHARS_MAX + 3);
    }
}
