//! Words that must not stand in the tree, each with what stands there instead; and how a file opens.

use super::Finding;
use super::source::{File, bare, code};

/// Names that say where nothing else fitted.
const NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "manager"];

/// What is looked for in a line.
struct Ban {
    /// The words; one of them is enough.
    words: &'static [&'static str],
    /// Whether strings count too.
    in_strings: bool,
    /// Whether integration tests are looked at too.
    in_tests: bool,
    what: &'static str,
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &[
            "new(\"sh\"",
            "new(\"bash\"",
            "argv(\"sh\"",
            "argv(\"bash\"",
            "\"/bin/sh\"",
            "\"/bin/bash\"",
            "sh -c",
        ],
        in_strings: true,
        in_tests: true,
        what: "a shell may be started",
        instead: "run the program itself with an argument vector",
    },
    Ban {
        words: &["todo!", "unimplemented!", "dbg!("],
        in_strings: false,
        in_tests: true,
        what: "something unfinished",
        instead: "finish it, or leave it out",
    },
    Ban {
        words: &["#[ignore"],
        in_strings: false,
        in_tests: true,
        what: "a test that never runs",
        instead: "let it probe and skip with its reason",
    },
    Ban {
        words: &["#[should_panic"],
        in_strings: false,
        in_tests: true,
        what: "a test that passes for any panic",
        instead: "return an error and assert it",
    },
    Ban {
        words: &["allow(dead_code", "allow(unused"],
        in_strings: false,
        in_tests: false,
        what: "code that nobody uses",
        instead: "remove it", // What integration tests share is a part of each of them, and none uses all of it.
    },
    Ban {
        words: &["struct Manager", "Manager {", "Helper {", "Utils {"],
        in_strings: false,
        in_tests: true,
        what: "a name that says nothing",
        instead: "the noun for what it is",
    },
];

/// Marks of what is unfinished, in comments too.
const MARKS: &[&str] = &["TODO", "FIXME", "XXX"];

/// The only room with `unsafe`.
const UNSAFE_ROOM: &str = "crates/embedded/";

/// Places that may hold a banned word, with the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("xtask/src/tidy", "", "the words themselves are listed and tested there"),
    (
        "crates/testkit/src/image.rs",
        "\"/bin/bash\"",
        "what an image would start if it were run; nothing runs it",
    ),
    ("crates/cli/tests/e2e/hostile_images.rs", "sh -c", "part of the program of a hostile image"),
];

/// Checks a file's name and the folders it lies in.
pub fn check_name(file: &File) -> Vec<Finding> {
    let parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    let banned = parts.filter(|part| NAMES.contains(part));
    banned
        .map(|part| {
            Finding::new(
                &file.path,
                1,
                format!("the name `{part}` says nothing"),
                "the subject of what is in it",
            )
        })
        .collect()
}

/// Every Rust file opens with what its job is.
pub fn check_opening(file: &File) -> Option<Finding> {
    let opens = file.text.starts_with("//! ");
    (!opens).then(|| {
        Finding::new(&file.path, 1, "it does not open with `//!`", "say its one job in the first line")
    })
}

/// Looks for banned words.
pub fn check_lines(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        let (code, bare) = (code(line), bare(line));
        for ban in BANS.iter().filter(|ban| ban.in_tests || !file.path.contains("/tests/")) {
            let text = if ban.in_strings { code } else { &bare };
            let found = ban.words.iter().find(|word| text.contains(**word));
            if let Some(word) = found.filter(|word| !is_allowed(&file.path, word)) {
                findings.push(Finding::new(
                    &file.path,
                    number,
                    format!("{} ({word})", ban.what),
                    ban.instead,
                ));
            }
        }
        findings.extend(mark(file, number, line));
        findings.extend(misplaced_unsafe(file, number, &bare));
    }
    findings
}

fn mark(file: &File, number: usize, line: &str) -> Option<Finding> {
    let is_word = |mark: &str| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == mark);
    let mark = MARKS.iter().find(|mark| is_word(mark) && !is_allowed(&file.path, mark))?;
    Some(Finding::new(
        &file.path,
        number,
        format!("a mark of something unfinished ({mark})"),
        "finish it, or leave it out",
    ))
}

fn misplaced_unsafe(file: &File, number: usize, bare: &str) -> Option<Finding> {
    let is_unsafe = bare
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|word| word == "unsafe" || word == "unsafe_code");
    let here = is_unsafe && !file.path.starts_with(UNSAFE_ROOM) && !is_allowed(&file.path, "unsafe");
    here.then(|| {
        Finding::new(
            &file.path,
            number,
            "`unsafe` outside the room for it",
            format!("a safe function of {UNSAFE_ROOM}"),
        )
    })
}

fn is_allowed(path: &str, word: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(place, allowed, _reason)| path.starts_with(place) && (allowed.is_empty() || *allowed == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let file = File { path: path.into(), text: text.into() };
        let findings: Vec<String> = check_lines(&file)
            .into_iter()
            .map(|finding| format!("{}:{}", finding.line, finding.what))
            .collect();
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        findings
            .iter()
            .zip(expected)
            .for_each(|(finding, expected)| assert!(finding.contains(expected), "{finding} / {expected}"));
    }

    #[test]
    fn banned_words_are_found_and_their_twins_are_not() {
        check("crates/a/src/lib.rs", "Command::new(\"sh\")\nrun([\"/bin/sh\"])", &["1:a shell", "2:a shell"]);
        check("crates/a/src/lib.rs", "// sh -c is what we do not do\nlet shell = \"usr/bin/sh\";", &[]);
        check("crates/a/src/lib.rs", "fn f() { todo!() } // TODO later", &["something unfinished", "a mark"]);
        check("crates/a/src/lib.rs", "let name = \"todo!\"; // METODOS", &[]);
        check("crates/a/src/lib.rs", "unsafe { f() }", &["`unsafe`"]);
        check("crates/embedded/src/lib.rs", "unsafe { f() }", &[]);
        check("crates/a/src/lib.rs", "let why = \"unsafe\"; // unsafe", &[]);
    }

    #[test]
    fn names_say_something_and_files_open_with_their_job() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        assert_eq!(check_name(&file("crates/a/src/utils.rs", "")).len(), 1);
        assert_eq!(check_name(&file("crates/common/src/lib.rs", "")).len(), 1);
        assert_eq!(check_name(&file("crates/a/src/utilities_of_tar.rs", "")).len(), 0);
        assert!(check_opening(&file("a.rs", "use x;\n//! late")).is_some());
        assert!(check_opening(&file("a.rs", "//! Early.\n")).is_none());
    }
}
