//! `copa doctor`: what the embedded engine can do on this host, each rung tried by doing it; which daemons have images here.

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
    wiring,
};
use embedded::{ProbeOptions, Rung, RungState, probe};
use endpoint::Daemon;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Tries everything and tells.
pub fn run(args: &DoctorArgs, settings: &Settings) -> Result<exit::Code, Failure> {
    let options = ProbeOptions { helper: PathBuf::from("/proc/self/exe"), cache: settings.cache_dir.clone() };
    let rungs = probe(&options);
    let daemons = daemons(settings)?;
    let usable = !rungs.iter().any(|r| r.state == RungState::Missing);
    let text = match args.json {
        true => as_json(&rungs, &daemons, usable),
        false => as_text(&rungs, &daemons, usable, settings.paint_stdout),
    };
    output::write(Path::new(output::STDOUT), text.as_bytes())?;
    Ok(if usable { exit::OK } else { Kind::Engine.code() })
}

/// A daemon: what it is, or why it is not there.
struct Asked {
    name: &'static str,
    facts: Result<String, String>,
}

fn daemons(settings: &Settings) -> Result<Vec<Asked>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::internal("cannot start threads").because(e.to_string()))?;
    let local = wiring::daemons(settings, &std::env::temp_dir());
    let ask = async |daemon: Daemon| {
        let facts = local.facts(daemon).await.map_err(|error| match error {
            endpoint::Error::Unavailable { tried, .. } if !tried.is_empty() => tried.join("; "),
            other => other.to_string(),
        });
        Asked { name: daemon.name(), facts }
    };
    Ok(runtime.block_on(async {
        let mut all = Vec::new();
        for daemon in Daemon::ALL {
            all.push(ask(daemon).await);
        }
        all
    }))
}

impl Asked {
    fn state(&self) -> &'static str {
        if self.facts.is_ok() { "ok" } else { "absent" }
    }

    fn detail(&self) -> &str {
        self.facts.as_ref().map_or_else(String::as_str, String::as_str)
    }
}

fn word(state: RungState) -> &'static str {
    match state {
        RungState::Ok => "ok",
        RungState::Degraded => "degraded",
        RungState::Missing => "missing",
    }
}

fn as_json(rungs: &[Rung], daemons: &[Asked], usable: bool) -> String {
    let rung =
        |r: &Rung| json!({"name": r.name, "state": word(r.state), "detail": r.detail, "remedy": r.remedy});
    let rungs: Vec<_> = rungs.iter().map(rung).collect();
    let daemon = |d: &Asked| json!({"name": d.name, "state": d.state(), "detail": d.detail()});
    let daemons: Vec<_> = daemons.iter().map(daemon).collect();
    let whole = json!({
        "schemaVersion": "copa.sh/doctor/v1", "engine": "embedded", "usable": usable, "rungs": rungs,
        "daemons": daemons,
    });
    format!("{whole:#}\n")
}

fn as_text(rungs: &[Rung], daemons: &[Asked], usable: bool, paint: Paint) -> String {
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
    let row = |d: &Asked| vec![d.state().to_owned(), d.name.to_owned(), printable(d.detail()).into_owned()];
    let daemons = table(&daemons.iter().map(row).collect::<Vec<_>>(), 0);
    format!("{text}\n{verdict}\n\nDaemons with images on this machine (none is needed):\n{daemons}")
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
        let daemons = [
            Asked { name: "docker", facts: Ok("28 at unix:///x".into()) },
            Asked { name: "podman", facts: Err("no\u{1b}program".into()) },
        ];
        let expected = "\
degraded  identity  one id
          remedy: install uidmap
missing   sandbox   EPERM\\u{1b}[2J

The embedded engine cannot work here.

Daemons with images on this machine (none is needed):
ok      docker  28 at unix:///x
absent  podman  no\\u{1b}program
";
        assert_eq!(as_text(&rungs, &daemons, false, Paint(false)), expected);
    }
}
