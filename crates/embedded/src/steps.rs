//! A recipe's steps, one after another, in a sandbox that stands.

use crate::supervise::{Ended, Output, Sandbox, Stop};
use crate::{failure::Doing as _, foreign::Programs, wire::Order};
use engine::{Context, Event, Exec, Recipe, Step, StepResult, When};
use fetch::egress::Egress;
use rustix::fs::{MemfdFlags, memfd_create};
use std::{
    fs::File,
    io::{Seek as _, Write as _},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

/// What runs them.
pub(crate) struct Steps<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Who listens.
    pub context: &'a Context,
    /// The order to stop.
    pub stop: &'a Stop,
    /// The network, where a step has it.
    pub egress: Option<&'a Egress>,
    /// What is known of the programs.
    pub programs: Programs,
}

/// Why the steps did not come to their end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A step failed.
    Failed {
        /// What it was to do.
        title: String,
        /// Its exit code.
        exit: i32,
        /// The end of its output.
        tail: String,
    },
    /// The sandbox did not go on.
    Ended {
        /// During which step.
        title: String,
        /// The time that it had.
        limit: Duration,
        /// Why.
        why: Ended,
    },
}

impl Steps<'_> {
    /// Runs all of them; how each ended.
    pub(crate) fn run(&self, sandbox: &mut Sandbox) -> Result<Vec<StepResult>, Broken> {
        let mut results: Vec<StepResult> = Vec::new();
        for (index, step) in self.recipe.steps.iter().enumerate() {
            let title = title(step);
            if !wanted(step, &results) {
                results.push(StepResult { title, exit: None, tail: String::new(), took: Duration::ZERO });
                continue;
            }
            let total = self.recipe.steps.len();
            (self.context.events)(Event::StepStarted { index, total, title: title.clone() });
            let begun = Instant::now();
            let (exit, tail) = self.one(sandbox, index, step, &title)?;
            let took = begun.elapsed();
            (self.context.events)(Event::StepEnded { index, exit, took });
            if exit != 0 && !may_fail(step) {
                return Err(Broken::Failed { title, exit, tail });
            }
            results.push(StepResult { title, exit: Some(exit), tail, took });
        }
        Ok(results)
    }

    fn one(
        &self,
        sandbox: &mut Sandbox,
        index: usize,
        step: &Step,
        title: &str,
    ) -> Result<(i32, String), Broken> {
        let limit =
            if let Step::Exec(exec) = step { self.programs.time(exec.timeout) } else { Duration::MAX };
        let broken = |why| Broken::Ended { title: title.to_owned(), limit, why };
        match step {
            Step::Exec(exec) => self.exec(sandbox, index, exec),
            Step::Write { path, content, mode } => self.write(sandbox, path, content, *mode),
            Step::Remove { path } => {
                sandbox.file(&Order::Remove { path: path.clone() }, &[], self.stop).map(done)
            }
        }
        .map_err(broken)
    }

    fn exec(&self, sandbox: &mut Sandbox, index: usize, exec: &Exec) -> Result<(i32, String), Ended> {
        let tell = |line| (self.context.events)(Event::StepOutput { index, line });
        let mut output = Output::new(&tell);
        let Exec { argv, env, network, timeout, .. } = exec;
        let order = Order::Exec { argv: argv.clone(), env: env.clone(), network: *network };
        self.open_network(*network);
        let exit = sandbox.exec(&order, self.programs.time(*timeout), self.stop, &mut output);
        self.open_network(false);
        Ok((exit?, output.end()))
    }

    fn open_network(&self, open: bool) {
        if let Some(egress) = self.egress {
            egress.set_open(open);
        }
    }

    fn write(
        &self,
        sandbox: &mut Sandbox,
        path: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<(i32, String), Ended> {
        let doing = "handing over a file's content";
        let mut file = File::from(memfd_create("content", MemfdFlags::CLOEXEC).doing(doing)?);
        file.write_all(content).doing(doing)?;
        file.rewind().doing(doing)?;
        let order = Order::Write { path: path.to_owned(), mode };
        sandbox.file(&order, &[file.as_fd()], self.stop).map(done)
    }
}

fn done((): ()) -> (i32, String) {
    (0, String::new())
}

/// What a step does, in words.
fn title(step: &Step) -> String {
    match step {
        Step::Exec(exec) => exec.title.clone(),
        Step::Write { path, .. } => format!("Writing {}", path.escape_debug()),
        Step::Remove { path } => format!("Removing {}", path.escape_debug()),
    }
}

fn may_fail(step: &Step) -> bool {
    matches!(step, Step::Exec(exec) if exec.may_fail)
}

/// Whether the step is to run at all, after how earlier ones ended.
fn wanted(step: &Step, earlier: &[StepResult]) -> bool {
    let Step::Exec(Exec { when: When::IfFailed(which), .. }) = step else { return true };
    earlier.get(*which).and_then(|result| result.exit).is_some_and(|exit| exit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(when: When) -> Step {
        Step::Exec(Exec {
            title: "t".into(),
            argv: vec!["/bin/true".into()],
            env: Default::default(),
            network: false,
            timeout: Duration::from_secs(1),
            when,
            may_fail: false,
        })
    }

    fn ended(exit: Option<i32>) -> StepResult {
        StepResult { title: "t".into(), exit, tail: String::new(), took: Duration::ZERO }
    }

    #[test]
    fn a_fallback_runs_only_after_its_step_ran_and_failed() {
        let cases = [(Some(0), false), (Some(1), true), (Some(137), true), (None, false)];
        for (exit, want) in cases {
            assert_eq!(wanted(&exec(When::IfFailed(0)), &[ended(exit)]), want, "{exit:?}");
        }
        assert!(wanted(&exec(When::Always), &[]));
        assert!(!wanted(&exec(When::IfFailed(3)), &[ended(Some(1))]), "a step that is not there");
    }
}
