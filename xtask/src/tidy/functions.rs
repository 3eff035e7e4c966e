//! No function is longer than one screen. Relies on rustfmt: a function ends at the brace that stands under its first column.

use super::Finding;
use super::source::File;

/// Longer than this is more than one glance.
const LINES_MAX: usize = 70;

/// Functions that may be longer, with the reason. None may be added without one; a flat table has one.
const ALLOWED: &[(&str, &str, &str)] = &[(
    "crates/layer/tests/hostile.rs",
    "a_stream_means_one_thing",
    "a flat table of archives that mean two things",
)];

/// Checks the length of every function.
pub fn check(file: &File) -> Vec<Finding> {
    let long = functions(file).into_iter().filter(|function| function.lines > LINES_MAX);
    let unlisted = long.filter(|function| {
        !ALLOWED.iter().any(|(path, name, _)| *path == file.path && *name == function.name)
    });
    let finding = |function: Function| {
        let what = format!("`{}` has {} lines, more than {LINES_MAX}", function.name, function.lines);
        Finding::new(&file.path, function.start, what, "functions that each do one thing")
    };
    unlisted.map(finding).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    start: usize,
    lines: usize,
}

fn functions(file: &File) -> Vec<Function> {
    let mut open: Vec<(usize, Function)> = Vec::new();
    let mut closed = Vec::new();
    for (number, line) in file.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(name) = name(line) {
            open.push((indent, Function { name: name.to_owned(), start: number, lines: 0 }));
        }
        let ends = line.trim_end() == format!("{:indent$}}}", "")
            || line.trim_end().ends_with([';', '}']) && name(line).is_some();
        if ends && open.last().is_some_and(|(opened, _)| *opened == indent) {
            let (_, function) = open.pop().expect("a function is open");
            closed.push(Function { lines: number - function.start + 1, ..function });
        }
    }
    closed
}

/// The name of the function that a line begins, if it begins one.
fn name(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(' ');
    let is_qualifier = |word: &&str| {
        word.starts_with("pub")
            || matches!(*word, "async" | "const" | "unsafe" | "extern" | "\"C\"" | "in")
            || word.starts_with("crate::")
    };
    let word = words.by_ref().find(|word| !is_qualifier(word))?;
    let name = words.next().filter(|_| word == "fn")?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_lengths(text: &str, expected: &[(&str, usize)]) {
        let found = functions(&File { path: "a.rs".into(), text: text.into() });
        let found: Vec<(&str, usize)> =
            found.iter().map(|function| (function.name.as_str(), function.lines)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lengths_are_counted_from_first_line_to_last_brace() {
        check_lengths("fn a() {\n    b();\n}\n", &[("a", 3)]);
        check_lengths("pub(crate) async fn a<T>(\n    b: T,\n) {\n    if x {\n    }\n}\n", &[("a", 6)]);
        check_lengths("impl A {\n    fn a(&self) {}\n    const fn b() {\n    }\n}\n", &[("a", 1), ("b", 2)]);
        check_lengths(
            "trait T {\n    fn a();\n    fn b() {\n        fn c() {\n        }\n    }\n}\n",
            &[("a", 1), ("c", 2), ("b", 4)],
        );
    }

    #[test]
    fn only_long_ones_are_findings() {
        let text = |lines: usize| format!("fn a() {{\n{}}}\n", "    b();\n".repeat(lines - 2));
        let findings = |lines| check(&File { path: "a.rs".into(), text: text(lines) }).len();
        assert_eq!((findings(LINES_MAX), findings(LINES_MAX + 1)), (0, 1));
    }
}
