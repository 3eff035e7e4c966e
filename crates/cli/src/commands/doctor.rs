//! `copa doctor`: what the embedded engine can do on this host, each rung tried by doing it.

use crate::{
    args::DoctorArgs,
    error::Failure,
    exit::{self, Kind},
    output,
    settings::Settings,
    ui::{
        paint::Paint,
        text::{printable, table},
    },
};
use embedded::{ProbeOptions, Rung, RungState, probe};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Tries everything and tells.
pub fn run(args: &DoctorArgs, settings: &Settings) -> Result<exit::Code, Failure> {
    let options = ProbeOptions { helper: PathBuf::from("/proc/self/exe"), cache: settings.cache_dir.clone() };
    let rungs = probe(&options);
    let usable = !rungs.iter().any(|r| r.state == RungState::Missing);
    let text =
        if args.json { as_json(&rungs, usable) } else { as_text(&rungs, usable, settings.paint_stdout) };
    output::write(Path::new(output::STDOUT), text.as_bytes())?;
    Ok(if usable { exit::OK } else { Kind::Engine.code() })
}

fn word(state: RungState) -> &'static str {
    match state {
        RungState::Ok => "ok",
        RungState::Degraded => "degraded",
        RungState::Missing => "missing",
    }
}

fn as_json(rungs: &[Rung], usable: bool) -> String {
    let rung =
        |r: &Rung| json!({"name": r.name, "state": word(r.state), "detail": r.detail, "remedy": r.remedy});
    let rungs: Vec<_> = rungs.iter().map(rung).collect();
    let whole = json!({
        "schemaVersion": "copa.sh/doctor/v1", "engine": "embedded", "usable": usable, "rungs": rungs,
    });
    format!("{whole:#}\n")
}

fn as_text(rungs: &[Rung], usable: bool, paint: Paint) -> String {
    let row = |r: &Rung| vec![word(r.state).to_owned(), r.name.clone(), printable(&r.detail).into_owned()];
    let lines = table(&rungs.iter().map(row).collect::<Vec<_>>(), 0);
    let mut text = String::new();
    for (line, rung) in lines.lines().zip(rungs) {
        text.push_str(&coloured(line, rung.state, paint));
        text.push('\n');
        if !rung.remedy.is_empty() {
            text.push_str(&format!("          remedy: {}\n", printable(&rung.remedy)));
        }
    }
    let verdict = match usable {
        true => paint.good("The embedded engine can work here."),
        false => paint.bad("The embedded engine cannot work here."),
    };
    format!("{text}\n{verdict}\n")
}

/// The first word of a line in the colour of its state.
fn coloured(line: &str, state: RungState, paint: Paint) -> String {
    let word = word(state);
    let rest = line.strip_prefix(word).unwrap_or(line);
    let word = match state {
        RungState::Ok => paint.good(word),
        RungState::Degraded => paint.warn(word),
        RungState::Missing => paint.bad(word),
    };
    format!("{word}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(name: &str, state: RungState, detail: &str, remedy: &str) -> Rung {
        Rung { name: name.into(), state, detail: detail.into(), remedy: remedy.into() }
    }

    #[test]
    fn what_is_missing_comes_with_its_remedy() {
        let rungs = [
            rung("identity", RungState::Degraded, "one id", "install uidmap"),
            rung("sandbox", RungState::Missing, "EPERM\u{1b}[2J", ""),
        ];
        let expected = "\
degraded  identity  one id
          remedy: install uidmap
missing   sandbox   EPERM\\u{1b}[2J

The embedded engine cannot work here.
";
        assert_eq!(as_text(&rungs, false, Paint(false)), expected);
    }
}
