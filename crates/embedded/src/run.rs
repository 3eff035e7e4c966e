//! One run: an upper, a sandbox on it, the steps, and what is there afterwards.

use crate::{
    errors, evidence, fetches,
    held::Held,
    lower,
    memory::Share,
    opened::{Stack, topmost_first},
    owned,
    steps::{Broken, Steps},
    supervise::{Ended, Sandbox, Start, Stop},
    upper::{self, Upper},
    wire::Setup,
};
use engine::{Context, Error, Exec, Fetch, Recipe, Run, Step, StepResult};
use fetch::egress::{Egress, EgressOptions, HostRule};
use layer::{DirChanges, Flavor, LayerDir, Overlay, Record};
use std::{
    net::TcpListener,
    os::fd::AsFd as _,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use store::TempDir;
use tokio::runtime::Handle;

/// A run, before it is run.
pub(crate) struct Attempt {
    /// The image.
    pub stack: Arc<Stack>,
    /// What to do.
    pub recipe: Recipe,
    /// Who listens.
    pub context: Context,
    /// The order to stop.
    pub stop: Stop,
    /// What serves the network.
    pub runtime: Handle,
}

/// The steps' outcome, and what was seen on the way.
struct Outcome {
    steps: Result<Vec<StepResult>, Broken>,
    fetches: Vec<Fetch>,
    made: Vec<String>,
    record: Record,
    syncs_suppressed: bool,
}

impl Attempt {
    /// Runs in memory where that is large enough, otherwise on the disk.
    pub(crate) fn run(&self) -> Result<Run, Error> {
        let options = &self.stack.options;
        if let Some(share) = Share::take(options.memory_bytes_max) {
            match Upper::in_memory(share.bytes()) {
                Ok(upper) => match self.on(upper, Room { work: self.work()?, share: Some(share) })? {
                    Some(run) => return Ok(run),
                    None => tracing::info!("the changes do not fit into memory; once more on the disk"),
                },
                Err(failure) => tracing::info!(%failure, "changes cannot be kept in memory"),
            }
        }
        let work = self.work()?;
        let folder = work.fd().try_clone_to_owned().map_err(|e| errors::io("opening a work folder", e))?;
        let upper = Upper::in_folder(folder).map_err(errors::of_setup)?;
        let full = || format!("no room left on the disk of {}", options.store.dir().display());
        self.on(upper, Room { work, share: None })?.ok_or_else(|| Error::Limit(full()))
    }

    fn work(&self) -> Result<TempDir, Error> {
        self.stack.options.store.temp_dir().map_err(errors::of_store)
    }

    /// The run on this upper; `None` where it was too small.
    fn on(&self, upper: Upper, room: Room) -> Result<Option<Run>, Error> {
        let record = match lower::start(&self.stack, &upper, &|| self.context.cancel.is_cancelled()) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
                return Ok(None);
            }
            started => started?,
        };
        let begun = seconds();
        let outcome = self.in_sandbox(&upper, &room.work, record)?;
        let window = (begun, seconds());
        lower::restore(&upper, &outcome.made).map_err(errors::of_work)?;
        // A step that may fail tells nothing of its image where it failed for want of room.
        let for_want_of_room = went_wrong(&outcome.steps) && upper.is_full();
        upper.forget_tooling();
        match outcome.steps {
            Err(Broken::Ended { why: Ended::Stopped, .. }) => Err(Error::Cancelled),
            Err(Broken::Ended { why: Ended::DiskFull, .. }) => Ok(None),
            _ if for_want_of_room => Ok(None),
            Err(broken) => Err(error_of(broken, outcome.fetches)),
            Ok(steps) => {
                let left = Left {
                    steps,
                    window,
                    fetches: outcome.fetches,
                    syncs_suppressed: outcome.syncs_suppressed,
                };
                let top = upper.changes().map_err(errors::of_work)?;
                let top = Arc::new(LayerDir::new(top, outcome.record, self.stack.options.store.flavor()));
                self.read_back(top, Kept { stack: self.stack.clone(), _room: room }, left).map(Some)
            }
        }
    }

    /// Everything while the sandbox lives. Afterwards nothing of it does.
    fn in_sandbox(&self, upper: &Upper, work: &TempDir, mut record: Record) -> Result<Outcome, Error> {
        let shown = self.shown()?;
        let start = Start {
            helper: &self.stack.options.helper,
            setup: self.setup(upper, work),
            upper: upper.mount(),
            shown: shown.as_ref().map(|s| s.as_fd()),
            disk: upper.disk(),
        };
        let mut sandbox = Sandbox::start(start, &self.stop).map_err(not_started)?;
        let egress = sandbox.listener.take().map(|l| self.egress(TcpListener::from(l))).transpose()?;
        let steps = Steps {
            recipe: &self.recipe,
            context: &self.context,
            stop: &self.stop,
            egress: egress.as_ref(),
            programs: self.stack.programs,
        };
        let steps = steps.run(&mut sandbox);
        if let Some(egress) = egress.as_ref().filter(|_| went_wrong(&steps)) {
            // Perhaps because of what it was given, which the next run must not be given again.
            egress.forget_given();
        }
        let (made, syncs_suppressed) = (sandbox.made.clone(), sandbox.syncs_suppressed);
        let owned = std::mem::take(&mut sandbox.owned);
        // Nothing changes the upper any more.
        drop(sandbox);
        if self.stack.options.store.flavor() == Flavor::SingleId {
            let image = lower::whole(&self.stack)?;
            let owned = if self.stack.tooling.is_empty() { owned } else { owned::of_target(owned) };
            owned::settle(upper, &image, &owned, &mut record).map_err(errors::of_work)?;
        }
        let fetches = fetches::of(egress.map(Egress::finish).unwrap_or_default());
        Ok(Outcome { steps, fetches, made, record, syncs_suppressed })
    }

    fn setup(&self, upper: &Upper, work: &TempDir) -> Setup {
        let flavor = self.stack.options.store.flavor();
        Setup {
            layers: lower::paths(&self.stack.base),
            tooling: lower::paths(&self.stack.tooling),
            work: work.path().to_owned(),
            user_attributes: flavor != Flavor::Native,
            emulate_owners: flavor == Flavor::SingleId,
            network: self.recipe.steps.iter().any(has_network),
            x86_32: self.stack.programs.x86_32,
            processes_max: self.stack.options.processes_max,
            upper_in_memory: upper.mount().is_some(),
            shown: !self.recipe.mounts.is_empty(),
        }
    }

    fn shown(&self) -> Result<Option<std::os::fd::OwnedFd>, Error> {
        if self.recipe.mounts.is_empty() {
            return Ok(None);
        }
        let files = self.recipe.mounts.iter().map(|m| (&*m.name, &*m.content));
        upper::shown(files).map(Some).map_err(errors::of_work)
    }

    fn egress(&self, listener: TcpListener) -> Result<Egress, Error> {
        let rule = |host: &String| {
            // The names are the image's own words; what is none cannot be reached either.
            HostRule::of_image(host)
                .inspect_err(|error| tracing::warn!(%error, "a repository of the image has no usable host"))
                .ok()
        };
        let hosts = self.recipe.hosts.iter().filter_map(rule).collect();
        let options = EgressOptions { hosts, ..self.stack.options.egress.clone() };
        Egress::start(listener, options, &self.runtime)
            .map_err(|e| errors::io("serving the network of the sandbox", std::io::Error::other(e)))
    }

    fn read_back(&self, top: Arc<LayerDir>, kept: Kept, left: Left) -> Result<Run, Error> {
        let base = &kept.stack.base;
        let after = Overlay::new(topmost_first(base, Some(top.clone()))).map_err(errors::of_layer)?;
        let base = Overlay::new(topmost_first(base, None)).map_err(errors::of_layer)?;
        let evidence = evidence::collect(&after, &self.recipe.evidence)?;
        let kept = Arc::new(kept);
        Ok(Run {
            changes: Box::new(Held::new(DirChanges::new(top), kept.clone())),
            base: Box::new(Held::new(base, kept.clone())),
            after: Box::new(Held::new(after, kept)),
            evidence,
            steps: left.steps,
            fetches: left.fetches,
            window: left.window,
            syncs_suppressed: left.syncs_suppressed,
        })
    }
}

/// What must stay while the result of a run is read: the layers in the store, the folder of an upper on the disk.
struct Kept {
    stack: Arc<Stack>,
    _room: Room,
}

/// Where a run has its changes.
struct Room {
    /// A folder on the disk.
    work: TempDir,
    /// What of the memory it may fill, where changes are in memory.
    #[expect(dead_code, reason = "it is given back with the rest")]
    share: Option<Share>,
}

/// What a run that came to its end leaves beside its changes.
struct Left {
    steps: Vec<StepResult>,
    fetches: Vec<Fetch>,
    window: (i64, i64),
    syncs_suppressed: bool,
}

/// Whether a step did not do what it was to do, even one that may fail.
fn went_wrong(steps: &Result<Vec<StepResult>, Broken>) -> bool {
    match steps {
        Ok(results) => results.iter().any(|result| result.exit.is_some_and(|exit| exit != 0)),
        Err(Broken::Ended { why: Ended::Stopped, .. }) => false,
        Err(_) => true,
    }
}

fn has_network(step: &Step) -> bool {
    matches!(step, Step::Exec(Exec { network: true, .. }))
}

fn not_started(ended: Ended) -> Error {
    match ended {
        Ended::Stopped => Error::Cancelled,
        Ended::Failed(failure) => errors::of_setup(failure),
        Ended::TimedOut | Ended::Died | Ended::DiskFull => {
            let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            errors::io("starting a sandbox", source)
        }
    }
}

fn error_of(broken: Broken, fetches: Vec<Fetch>) -> Error {
    match broken {
        Broken::Failed { title, exit, tail } => Error::StepFailed { title, exit, tail, fetches },
        Broken::Ended { title, limit, why } => match why {
            Ended::Stopped => Error::Cancelled,
            Ended::DiskFull => Error::Limit(format!("the disk is full during \"{title}\"")),
            Ended::TimedOut => Error::TimedOut { title, limit },
            Ended::Died => {
                Error::Limit(format!("the sandbox was killed during \"{title}\"; most likely memory ran out"))
            }
            Ended::Failed(failure) => errors::of_work(failure),
        },
    }
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
