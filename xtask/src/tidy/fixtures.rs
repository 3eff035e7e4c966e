//! Every folder of fixtures says where its files come from.

use super::Finding;
use super::source::File;
use std::collections::BTreeSet;

/// Checks that each folder named `fixtures` has an `ORIGIN.md` that names every file at its top.
pub fn check(files: &[File]) -> Vec<Finding> {
    let folders: BTreeSet<&str> = files.iter().filter_map(|file| folder(&file.path)).collect();
    folders.into_iter().flat_map(|folder| check_folder(folder, files)).collect()
}

fn folder(path: &str) -> Option<&str> {
    let end = path.find("/fixtures/")? + "/fixtures".len();
    Some(&path[..end])
}

fn check_folder(folder: &str, files: &[File]) -> Vec<Finding> {
    let origin = format!("{folder}/ORIGIN.md");
    let Some(text) = files.iter().find(|file| file.path == origin).map(|file| &file.text) else {
        return vec![Finding::new(
            &origin,
            1,
            "missing",
            "say where each file is from, its licence, and how to refresh it",
        )];
    };
    let below = files.iter().filter_map(|file| file.path.strip_prefix(folder)?.strip_prefix('/'));
    let names: BTreeSet<&str> = below.map(|path| path.split('/').next().unwrap_or_default()).collect();
    let unnamed = names.into_iter().filter(|name| *name != "ORIGIN.md" && !text.contains(name));
    unnamed
        .map(|name| Finding::new(&origin, 1, format!("does not name `{name}`"), "say where it is from"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_every_file() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let named =
            [file("crates/a/fixtures/x.json", ""), file("crates/a/fixtures/ORIGIN.md", "`x.json` is from")];
        assert_eq!(check(&named), []);
        let unnamed =
            [file("crates/a/fixtures/y/z.json", ""), file("crates/a/fixtures/ORIGIN.md", "`x.json` is from")];
        assert_eq!(check(&unnamed).len(), 1);
        assert_eq!(check(&[file("crates/a/fixtures/x.json", "")]).len(), 1);
        assert_eq!(check(&[file("crates/a/src/x.json", "")]), []);
    }
}
