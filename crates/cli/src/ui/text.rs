//! Words and numbers as people read them, and text from outside made harmless.

use std::{borrow::Cow, fmt::Write, time::Duration};

/// Text from outside with everything escaped that a terminal would obey or that hides what stands there: control
/// characters, and those that turn the direction of writing or have no width.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match hostile(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same, line by line: line feeds stay.
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn hostile(c: char) -> bool {
    let unseen = matches!(c as u32,
        0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
        | 0xE0000..=0xE007F);
    c.is_control() || unseen
}

/// Bytes: `812 B`, `3.2 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "";
    for name in UNITS {
        (value, unit) = (value / 1000.0, name);
        if value < 999.95 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// A short time: `0.3s`, `41.0s`, `2m05s`, `1h02m`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A digest short enough for a line of progress: `sha256:0123456789ab`.
pub fn short_digest(digest: &str) -> &str {
    const LENGTH: usize = "sha256:".len() + 12;
    digest.get(..LENGTH).unwrap_or(digest)
}

/// `1 package`, `2 packages`.
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Rows with their columns one below the other, two blanks between, each line indented.
pub fn table(rows: &[Vec<String>], indent: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_rest_is_kept() {
        for (text, shown) in [
            ("libstdc++6 1:2~rc1", "libstdc++6 1:2~rc1"),
            ("naïve – ☃", "naïve – ☃"),
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{202e}gnp", "\\u{202e}gnp"),
            ("zero\u{200b}width\u{9b}31m", "zero\\u{200b}width\\u{9b}31m"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\u{7}\nb"), "a\\u{7}\nb");
    }

    #[test]
    fn numbers_are_short() {
        for (count, shown) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_999, "1.0 MB"), (3_210_000_000, "3.2 GB")]
        {
            assert_eq!(bytes(count), shown);
        }
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
        for (milliseconds, shown) in [(0, "0.0s"), (1_250, "1.2s"), (125_000, "2m05s"), (3_720_000, "1h02m")]
        {
            assert_eq!(took(Duration::from_millis(milliseconds)), shown);
        }
        assert_eq!(short_digest("sha256:0123456789abcdef"), "sha256:0123456789ab");
        assert_eq!(short_digest("é"), "é");
    }

    #[test]
    fn columns_stand_one_below_the_other() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        assert_eq!(table(&[row(&["a", "bb"]), row(&["ccc", "d"])], 2), "  a    bb\n  ccc  d\n");
        assert_eq!(table(&[], 2), "");
    }
}
