//! The table of places: every kind of source by every kind of destination, and kinds of registries, filled by running.

use crate::cells::{self, word};
use crate::failure::Failure;
use crate::run_tests::one::Outcome;
use crate::table;
use std::collections::BTreeMap;

pub const HELP: &str = "
patch from every kind of place to every other with the real program, and write the table of what works

Usage: cargo xtask endpoints [--check] [FILTER...]

The tests `endpoints::` of the suite `e2e` say what became of each cell. The table goes to docs/reference/endpoints.md; a cell is
`pass`, `skip` with the reason, or `FAIL`.

  --check   write nothing; fail where the table is not the one that is written
  FILTER    only tests whose name contains one of these words; then the table is only printed
";

/// Where the table is written, below the workspace.
const FILE: &str = "docs/reference/endpoints.md";

/// The tests: what their names begin with.
const PREFIX: &str = "endpoints::";

/// Kinds of places in the order of the table, as the tests call them.
const KINDS: [&str; 11] = [
    "registry",
    "oci layout",
    "oci-archive",
    "docker-archive",
    "stream",
    "docker 28",
    "docker 28 (containerd store)",
    "docker 26",
    "docker 26 (containerd store)",
    "podman",
    "containerd",
];

/// Where two places cannot be in one run.
const NONE: &str = "–";

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let request = cells::Request::of(arguments)?;
    let outcomes = cells::outcomes(PREFIX, &request)?;
    let told = Told::of(&outcomes);
    table::lines(&told.grid()).iter().for_each(|line| println!("{line}"));
    told.others.iter().for_each(|line| println!("{}", line.join(": ")));
    request.settle(FILE, "endpoints", &told.markdown())?;
    cells::all_passed(&outcomes)
}

/// What the tests told.
#[derive(Debug, Default)]
struct Told {
    /// By source and destination.
    cells: BTreeMap<(String, String), String>,
    /// Rows beside the table: kind, subject, what became of it. A test that failed or was skipped has a row of its name.
    others: Vec<[String; 3]>,
}

impl Told {
    fn of(outcomes: &[Outcome]) -> Told {
        let mut told = Told::default();
        for outcome in outcomes {
            let before = told.others.len();
            outcome.words.lines().for_each(|line| told.take(line));
            let is_row = outcome.words.lines().any(|line| line.starts_with("cell: "));
            if !is_row && (word(outcome) != "pass" || told.others.len() == before) {
                told.others.truncate(before);
                let name = outcome.name.rsplit(PREFIX).next().unwrap_or_default();
                let (kind, subject) = name.split_once("::").unwrap_or(("", name));
                told.others.push([kind.to_owned(), subject.replace('_', " "), word(outcome)]);
            }
        }
        told.others.sort();
        told
    }

    /// A line `cell: SOURCE | DESTINATION | WORD`, or `row: KIND | SUBJECT | WORDS`.
    fn take(&mut self, line: &str) {
        let parts = |text: &str| -> Option<[String; 3]> {
            text.splitn(3, " | ").map(str::to_owned).collect::<Vec<_>>().try_into().ok()
        };
        if let Some([from, to, word]) = line.strip_prefix("cell: ").and_then(parts) {
            self.cells.insert((from, to), word);
        } else if let Some(row) = line.strip_prefix("row: ").and_then(parts) {
            self.others.push(row);
        }
    }

    /// The table with its heads.
    fn grid(&self) -> Vec<Vec<String>> {
        let head = ["from \\ to"].into_iter().chain(KINDS).map(str::to_owned).collect();
        let cell = |from: &str, to: &str| {
            self.cells.get(&(from.to_owned(), to.to_owned())).cloned().unwrap_or_else(|| NONE.to_owned())
        };
        let row =
            |from: &&str| [(*from).to_owned()].into_iter().chain(KINDS.map(|to| cell(from, to))).collect();
        [head].into_iter().chain(KINDS.iter().map(row)).collect()
    }

    /// The page of the documentation.
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = |columns: usize| format!("|{}\n", "---|".repeat(columns));
        let grid = self.grid();
        let body: String = grid[1..].iter().map(|row| line(row)).collect();
        let mut page = format!("{HEAD}{}{}{body}\n{NOTES}", line(&grid[0]), rule(grid[0].len()));
        for (kind, title) in SECTIONS {
            let rows: String =
                self.others.iter().filter(|row| row[0] == kind).map(|row| line(&row[1..])).collect();
            let head = line(&["what", "became of it"].map(str::to_owned));
            page += &format!("\n## {title}\n\n{head}{}{rows}", rule(2));
        }
        page
    }
}

/// Sections beside the table, by the kind of their rows.
const SECTIONS: [(&str, &str); 5] = [
    ("debian", "A real Debian, patched by its own apt"),
    ("registries", "Registries"),
    ("local", "Images that are only local"),
    ("stopped_pushes", "Pushes that are stopped"),
    ("bytes_up", "From a registry to the same registry"),
];

const HEAD: &str = "<!-- Generated by `cargo xtask endpoints`. Do not edit. -->
# Places

Kinds of sources by kinds of destinations, each cell filled by running `copa patch` on an image of that source. Cells: `pass`; `skip`
with the reason; `FAIL`; `–` where one run cannot have both (copa knows one docker at a time).

";

const NOTES: &str = "In every cell the image has one layer more, the diff ids of its others are what they were, and where source and destination both keep
them, so are their descriptors; without copa's layer, history and labels its configuration is the same bytes; its packages have their new
versions by a reader that shares no code with copa. `skopeo inspect` and `skopeo copy` read it, `umoci` unpacks it, `crane validate`
agrees where all its layers are gzip (it cannot judge others). In docker, podman and containerd a container of it runs; archives and
streams are loaded into the docker and podman of their row (`docker load`, `podman load`) and run there.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(name: &str, failed: usize, skips: &[&str], words: &str) -> Outcome {
        Outcome {
            suite: "e2e",
            name: format!("cli::e2e::endpoints::{name}"),
            passed: usize::from(failed == 0 && skips.is_empty()),
            failed,
            skips: skips.iter().map(|word| (*word).to_owned()).collect(),
            stand_ins: Vec::new(),
            words: words.to_owned(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn cells_and_rows_are_told_and_what_fails_shows() {
        let all = [
            outcome("from_podman", 1, &[], "cell: podman | registry | pass\ncell: podman | stream | FAIL\n"),
            outcome("registries::plain", 0, &[], "row: registries | plain http | patched\n"),
            outcome("registries::mirror", 1, &[], "row: registries | mirror | pushed\n"),
            outcome("local::of_docker", 0, &["needs root"], ""),
        ];
        let told = Told::of(&all);
        let page = told.markdown();
        assert!(page.contains("| podman | pass | – | – | – | FAIL |"), "{page}");
        assert!(page.contains("| plain http | patched |\n"), "{page}");
        assert!(page.contains("| mirror | FAIL |\n") && !page.contains("pushed |"), "{page}");
        assert!(page.contains("| of docker | skip (needs root) |\n"), "{page}");
        assert!(KINDS.iter().all(|kind| page.contains(&format!("\n| {kind} | "))));
    }
}
