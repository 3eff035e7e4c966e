//! Brings the embedded table of releases up to date from the API of endoflife.date.

use crate::failure::Failure;
use serde_json::Value;
use std::{collections::BTreeMap, fs};
use testkit::{command::argv, workspace};

pub const HELP: &str = "
bring the table of releases and their ends up to date

Usage: cargo xtask lifecycles

Asks https://endoflife.date (with curl) for every product in crates/lifecycle/data/releases.tsv and writes the table anew: releases
that are in it with their new dates, and those that are newer. Products that the API does not know keep their lines. Where it
cannot be reached, nothing is written.
";

const API: &str = "https://endoflife.date/api/v1/products";
const TABLE: &str = "crates/lifecycle/data/releases.tsv";
const STATE: &str = "# state: ";
/// What a product's answer may have; real ones have some 100 KiB.
const ANSWER_BYTES_MAX: u32 = 4 << 20;

/// Last days by release; `-` where none is announced.
type Releases = BTreeMap<String, String>;

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::argument(argument));
    }
    let path = workspace::root().join(TABLE);
    let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    let mut products = parse(&text)?;
    let state = text.lines().find_map(|l| l.strip_prefix(STATE)).unwrap_or_default().to_owned();
    for (product, releases) in &mut products {
        match ask(product)? {
            Some(answer) => {
                let changed = update(releases, &answer, &state).map_err(|why| about(product, &why))?;
                println!("{product}: {changed} changed");
            }
            None => println!("{product}: the API does not know it; its lines stay"),
        }
    }
    let today = argv("date", ["--utc", "+%F"]).text()?;
    fs::write(&path, written(&text, today.trim(), &products)).map_err(Failure::file(&path))
}

fn about(product: &str, why: &str) -> Failure {
    Failure::new(format!("{product}: {why}; the table stays as it is"))
}

/// The API's answer for a product; `None` where it has none.
fn ask(product: &str) -> Result<Option<Value>, Failure> {
    let url = format!("{API}/{product}");
    let (time, size) = ("30", ANSWER_BYTES_MAX.to_string());
    let curl =
        argv("curl", ["--silent", "--show-error", "--location", "--proto", "=https", "--max-time", time]);
    let curl = curl.arg("--max-filesize").arg(size).arg("--write-out").arg("\n%{http_code}").arg(&url);
    let ran = curl.output()?;
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (body, status) = out.rsplit_once('\n').unwrap_or(("", &out));
    match status {
        "200" if ran.status.success() => {
            serde_json::from_str(body).map(Some).map_err(|e| about(product, &e.to_string()))
        }
        "404" => Ok(None),
        _ => {
            let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
            Err(about(product, &format!("{url} cannot be reached (status {status}) {said}")))
        }
    }
}

/// The table by product.
fn parse(text: &str) -> Result<BTreeMap<String, Releases>, Failure> {
    let mut products: BTreeMap<String, Releases> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let [product, release, until] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(Failure::new(format!("{TABLE}: not product, release, day: {line}")));
        };
        products.entry(product.to_owned()).or_default().insert(release.to_owned(), until.to_owned());
    }
    Ok(products)
}

/// Takes new dates, and releases that had not ended at the table's last state. Gives how many changed.
fn update(releases: &mut Releases, answer: &Value, state: &str) -> Result<usize, String> {
    let list = answer["result"]["releases"].as_array().ok_or("the answer lists no releases")?;
    let mut changed = 0;
    for release in list {
        let name = release["name"].as_str().filter(|n| is_release(n)).ok_or("a release has no name")?;
        let until = match release["eolFrom"].as_str() {
            Some(day) if is_day(day) => day,
            Some(_) => return Err(format!("the end of {name} is no day")),
            None => "-",
        };
        let known = releases.get(name);
        let newer = until == "-" && release["isEol"] == false || until > state;
        if known.is_some_and(|old| old != until) || known.is_none() && newer {
            releases.insert(name.to_owned(), until.to_owned());
            changed += 1;
        }
    }
    Ok(changed)
}

fn is_release(name: &str) -> bool {
    name.split('.').all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_day(text: &str) -> bool {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    matches!(text.split('-').collect::<Vec<_>>()[..], [y, m, d] if digits(y, 4) && digits(m, 2) && digits(d, 2))
}

/// The table as text: its head with the new state, then every product with its newest release first.
fn written(old: &str, state: &str, products: &BTreeMap<String, Releases>) -> String {
    let head = old.lines().filter(|line| line.starts_with('#') && !line.starts_with(STATE));
    let mut text: String = head.map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{STATE}{state}\n"));
    for (product, releases) in products {
        let mut releases: Vec<_> = releases.iter().collect();
        let numbers = |name: &str| name.split('.').map(|n| n.parse().unwrap_or(0)).collect::<Vec<u32>>();
        releases.sort_by_key(|(name, _)| std::cmp::Reverse(numbers(name)));
        for (release, until) in releases {
            text.push_str(&format!("{product}\t{release}\t{until}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_written_as_it_is_read() {
        let path = workspace::root().join(TABLE);
        let text = fs::read_to_string(path).unwrap();
        let state = text.lines().find_map(|l| l.strip_prefix(STATE)).unwrap().to_owned();
        assert_eq!(written(&text, &state, &parse(&text).unwrap()), text);
    }

    #[test]
    fn new_dates_and_newer_releases_are_taken() {
        let mut releases =
            Releases::from([("9".into(), "2030-01-01".into()), ("8".into(), "2020-01-01".into())]);
        let answer = json!({"result": {"releases": [
            {"name": "11", "isEol": false, "eolFrom": null},
            {"name": "10", "isEol": false, "eolFrom": "2035-01-01"},
            {"name": "9", "isEol": false, "eolFrom": "2031-01-01"},
            {"name": "8", "isEol": true, "eolFrom": "2020-01-01"},
            {"name": "7", "isEol": true, "eolFrom": "2010-01-01"},
            {"name": "6", "isEol": true, "eolFrom": null},
        ]}});
        assert_eq!(update(&mut releases, &answer, "2026-01-01"), Ok(3));
        let lines: Vec<String> = releases.iter().map(|(r, u)| format!("{r} {u}")).collect();
        assert_eq!(lines, ["10 2035-01-01", "11 -", "8 2020-01-01", "9 2031-01-01"]);
    }

    #[test]
    fn what_is_no_release_or_no_day_is_refused() {
        for release in [
            json!({"name": "../1", "eolFrom": null}),
            json!({"name": "1\t2", "eolFrom": null}),
            json!({"name": "1", "eolFrom": "2020-01-01\nx"}),
            json!({"eolFrom": null}),
        ] {
            let answer = json!({"result": {"releases": [release]}});
            assert!(update(&mut Releases::new(), &answer, "").is_err(), "{answer}");
        }
        assert!(update(&mut Releases::new(), &json!({}), "").is_err());
    }
}
