//! `copa patch` and `copa plan`: what was asked for is checked, carried out, and told.

use crate::{
    args::{OutputArgs, PatchArgs, PlanArgs},
    error::Failure,
    exit, host,
    job::{Job, Wanted},
    output,
    settings::Settings,
    ui::{self, Style},
};
use ::patch::{
    Answers,
    result::{ErrorRecord, ResultDocument, Status},
};
use std::path::Path;

/// Outcomes of findings that are none any more in the patched image.
const SETTLED: [&str; 3] = ["fixed", "already-fixed", "not-installed"];
/// Outcomes of findings that were to be fixed and were not.
const UNMET: [&str; 2] = ["failed", "repository-behind"];

/// Patches.
pub fn patch(args: &PatchArgs, settings: &Settings) -> Result<exit::Code, Failure> {
    let wanted = Wanted {
        subject: &args.subject,
        packages: &args.packages,
        run: &args.run,
        target: (!args.target.dry_run).then_some(&args.target),
        context: None,
        in_registry: args.target.push,
        vex: args.vex.output.as_deref(),
    };
    carry_out(&wanted, &args.output, settings)
}

/// Stops after the plan.
pub fn plan(args: &PlanArgs, settings: &Settings) -> Result<exit::Code, Failure> {
    let wanted = Wanted {
        subject: &args.subject,
        packages: &args.packages,
        run: &args.run,
        target: None,
        context: None,
        in_registry: false,
        vex: None,
    };
    carry_out(&wanted, &args.output, settings)
}

/// Does what was asked for, and tells of it.
pub(super) fn carry_out(
    wanted: &Wanted<'_>,
    output: &OutputArgs,
    settings: &Settings,
) -> Result<exit::Code, Failure> {
    let job = Job::check(wanted, settings)?;
    let to_stdout = output.result.as_deref() == Some(Path::new(output::STDOUT));
    if to_stdout && job.is_to_stdout() {
        return Err(Failure::usage("a tar and --result cannot both go to standard output")
            .hint("write one of them to a file"));
    }
    // From here on the program may be running anew as root of a user namespace: nothing was done before.
    let done = host::become_root().and_then(|mode| job.run(mode));
    let style = job.style();
    match done {
        Ok(answers) => told(&job, answers, output, style),
        Err(failure) => Err(tell_failure(&job, failure, output, style)),
    }
}

/// Writes and prints what came of it.
fn told(
    job: &Job<'_>,
    mut answers: Answers,
    output: &OutputArgs,
    style: Style,
) -> Result<exit::Code, Failure> {
    note_failures(&mut answers);
    let document = answers.document();
    write_result(document, output)?;
    let vex_written = job.write_vex(&answers)?;
    let to_stdout = output.result.as_deref() == Some(Path::new(output::STDOUT));
    if job.is_plan() && !to_stdout {
        output::write(Path::new(output::STDOUT), ui::plan_text(document).as_bytes())?;
    }
    match style {
        Style::Json => output::say(&ui::result_object(document)),
        Style::Live | Style::Lines if !job.is_plan() => output::say(&ui::summary(document, job.paint())),
        Style::Live | Style::Lines | Style::Quiet => {}
    }
    if !vex_written && style != Style::Json {
        output::say(&ui::warning_line(
            "the report has no findings, so no VEX output was generated",
            job.paint(),
        ));
    }
    Ok(if output.detailed_exit_code { detailed(document) } else { exit::OK })
}

/// Platforms that failed while the others went on have their error in the result.
fn note_failures(answers: &mut Answers) {
    let Answers::Several(several) = answers else { return };
    for (at, error) in std::mem::take(&mut several.failures) {
        let failure = Failure::from(of_itself(error));
        let exit_code = i32::from(failure.kind.code().code);
        if let Some(platform) = several.document.platforms.get_mut(at) {
            platform.error = Some(ErrorRecord { message: failure.message(), exit_code });
        }
    }
}

/// What went wrong, without the platform, which stands beside it.
fn of_itself(error: ::patch::Error) -> ::patch::Error {
    match error {
        ::patch::Error::Platform { source, .. } => *source,
        error => error,
    }
}

/// Of several platforms: findings remain where they do on one; nothing to do is what there is for none.
fn detailed(document: &ResultDocument) -> exit::Code {
    if !document.platforms.is_empty() {
        let codes: Vec<exit::Code> = document.platforms.iter().map(detailed_of_one).collect();
        let has = |code: exit::Code| codes.iter().any(|c| c.code == code.code);
        let failed = document.platforms.iter().any(|p| p.status == Status::Failed);
        return match document.status {
            _ if failed || has(exit::FINDINGS_REMAIN) => exit::FINDINGS_REMAIN,
            Status::UpToDate => exit::NOTHING_TO_DO,
            _ => exit::OK,
        };
    }
    detailed_of_one(document)
}

fn detailed_of_one(document: &ResultDocument) -> exit::Code {
    let remain = document.findings.iter().any(|f| !SETTLED.contains(&f.outcome.as_str()));
    // With --ignore-errors an image may stay as it is although there was something to do.
    let unmet = document.findings.iter().any(|f| UNMET.contains(&f.outcome.as_str()));
    match document.status {
        Status::UpToDate if unmet => exit::FINDINGS_REMAIN,
        Status::UpToDate => exit::NOTHING_TO_DO,
        Status::Patched if remain => exit::FINDINGS_REMAIN,
        Status::Patched | Status::Planned | Status::Failed => exit::OK,
    }
}

/// What is known all the same is told before the error itself.
fn tell_failure(job: &Job<'_>, mut failure: Failure, output: &OutputArgs, style: Style) -> Failure {
    let known = failure.document.take();
    // Only what was judged is worth a summary; before that the error says it all.
    let of_one =
        |d: &ResultDocument| !d.findings.is_empty() && d.findings.iter().all(|f| f.outcome != "planned");
    let judged = |d: &ResultDocument| of_one(d) || d.platforms.iter().any(of_one);
    let shown = matches!(style, Style::Live | Style::Lines);
    if let Some(document) = known.as_deref().filter(|d| shown && judged(d)) {
        output::say(&ui::summary(document, job.paint()));
    }
    let mut document = known.map_or_else(|| job.blank_document(), |d| *d);
    document.status = Status::Failed;
    let exit_code = i32::from(failure.kind.code().code);
    document.error = Some(ErrorRecord { message: failure.message(), exit_code });
    match write_result(&document, output) {
        Ok(()) => failure,
        Err(second) => failure.because(second.message()),
    }
}

fn write_result(document: &ResultDocument, output: &OutputArgs) -> Result<(), Failure> {
    let Some(path) = &output.result else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(document)
        .map_err(|e| Failure::internal("cannot write the result").because(e.to_string()))?;
    json.push(b'\n');
    output::write(path, &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detailed_codes_tell_what_is_left_to_do() {
        for (status, outcomes, want) in [
            (Status::Patched, &["fixed", "already-fixed", "not-installed"][..], 0),
            (Status::Patched, &["fixed", "no-fix-known"], 21),
            (Status::UpToDate, &[], 20),
            (Status::UpToDate, &["no-fix-known", "held"], 20),
            (Status::UpToDate, &["already-fixed", "failed"], 21),
            (Status::UpToDate, &["repository-behind"], 21),
            (Status::Planned, &["planned"], 0),
        ] {
            let finding = |outcome: &&str| {
                serde_json::from_value(serde_json::json!({"vulnerability": "CVE-1", "package": "p",
                    "installed": "1", "outcome": outcome}))
                .unwrap()
            };
            let mut document = ResultDocument::blank("1", "none");
            document.status = status;
            document.findings = outcomes.iter().map(finding).collect();
            assert_eq!(detailed(&document).code, want, "{status:?} {outcomes:?}");
        }
    }

    #[test]
    fn several_platforms_have_one_code() {
        use Status::{Failed, Patched, UpToDate};
        for (whole, each, want) in [
            (Patched, &[Patched, Patched][..], 0),
            (Patched, &[Patched, UpToDate], 0),
            (UpToDate, &[UpToDate, UpToDate], 20),
            (Patched, &[Patched, Failed], 21),
            (UpToDate, &[UpToDate, Failed], 21),
        ] {
            let of =
                |status: &Status| ResultDocument { status: *status, ..ResultDocument::blank("1", "none") };
            let platforms = each.iter().map(of).collect();
            assert_eq!(detailed(&ResultDocument { platforms, ..of(&whole) }).code, want, "{each:?}");
        }
    }
}
