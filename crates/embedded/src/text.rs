//! What a program of an image printed, made fit to be shown.

/// Longest line that is shown.
pub(crate) const LINE_BYTES_MAX: usize = 4 << 10;

/// Plain text of it: what would move a cursor, change colours or turn the direction of writing is escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => shown.push(' '),
                c if c.is_control() || turns(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        shown.extend(chunk.invalid().iter().flat_map(|b| format!("\\x{b:02x}").into_bytes()).map(char::from));
    }
    cut(&mut shown, LINE_BYTES_MAX);
    shown
}

/// Shortens a text to at most so many bytes, between characters.
fn cut(text: &mut String, bytes_max: usize) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Characters that are not seen but change how others are: directions of writing, line and paragraph separators.
fn turns(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_harm_is_left_as_it_is() {
        let cases: [(&[u8], &str); 6] = [
            (b"Setting up libc6 (2.41-12) ...", "Setting up libc6 (2.41-12) ..."),
            ("gr\u{fc}n \u{2713}".as_bytes(), "gr\u{fc}n \u{2713}"),
            (b"\x1b[31mred\x1b]0;title\x07", "\\u{1b}[31mred\\u{1b}]0;title\\u{7}"),
            (b"a\tb", "a b"),
            (b"bad \xff\xfe utf-8", "bad \\xff\\xfe utf-8"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
        ];
        for (bytes, want) in cases {
            assert_eq!(printable(bytes), want);
        }
        assert_eq!(printable("\u{fc}".repeat(LINE_BYTES_MAX).as_bytes()).len(), LINE_BYTES_MAX);
    }
}
