//! Unpacked: packages are resolved, verified and placed by us. No program runs, so no sandbox is needed.

use super::Ran;
use crate::{
    Error, Phase,
    line::{Patcher, Request, Subject},
    observe::Observed,
    result::{IndexRecord, ResultDocument},
};
use adapter::{Adapter, Facts, Settings, Unpacking};
use engine::{Event, Evidence, Run, StepResult};
use layer::{Changes, Staged, Tree};
use plan::Plan;
use repository::{Archive, Resolution, Session};
use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Everything that placing packages needs, away from the async world.
struct Placing {
    adapter: &'static dyn Adapter,
    plan: Plan,
    facts: Facts,
    settings: Settings,
    archives: Vec<Archive>,
    base: Box<dyn Tree>,
    earlier: Option<Box<dyn Changes>>,
    spool: File,
    cancel: engine::CancellationToken,
}

impl Patcher {
    /// Asks the repositories, downloads what they answer, and places it.
    pub(crate) async fn unpacked(
        &self,
        request: &Request,
        subject: &mut Subject,
        plan: &Plan,
        document: &mut ResultDocument,
    ) -> Result<Ran, Error> {
        let mut steps = Steps { patcher: self, done: Vec::new(), began: None };
        let settings = self.adapter_settings(request);
        let Observed { adapter, facts, .. } = &subject.observed;
        let adapter_error = |source| Error::Adapter { name: request.name.clone(), source };
        let wanted = adapter.request(plan, facts, &settings).map_err(adapter_error)?;
        let fetched = Arc::new(AtomicU64::new(0));
        let session = self.session(request, fetched.clone());
        let run = async {
            steps.begin("Fetching package indexes");
            let resolution = repository::resolve(&wanted, &session).await.map_err(repository_error)?;
            steps.end();
            steps.begin(&downloading(&resolution));
            let archives = repository::download(&resolution, &session).await.map_err(repository_error)?;
            steps.end();
            steps.begin(&format!("Unpacking {} packages", archives.len()));
            let placed = self.place(request, subject, (plan, settings, archives)).await?;
            steps.end();
            Ok((resolution, placed))
        };
        let (resolution, (run, notes)) = self.timed(Phase::Run, document, run).await?;
        document.indexes = resolution.indexes.iter().map(index_record).collect();
        document.counters.index_fetches = fetched.load(Ordering::Relaxed);
        for note in resolution.notes.into_iter().chain(notes) {
            self.warn(note, document);
        }
        Ok(Ran { run: Run { steps: steps.done, ..run }, exclusions: Vec::new() })
    }

    fn session<'a>(&self, request: &'a Request, fetched: Arc<AtomicU64>) -> Session<'a> {
        let repositories = &request.repositories;
        let events = self.events.clone();
        Session {
            client: &repositories.client,
            store: &repositories.store,
            now: request.settings.now,
            cancel: self.cancel.clone(),
            events: Arc::new(move |event| match event {
                repository::Event::Index { url, fetched: bytes } => {
                    fetched.fetch_add(u64::from(bytes > 0), Ordering::Relaxed);
                    events(crate::Event::Engine(Event::StepOutput { index: 0, line: url }));
                }
                repository::Event::Package { name, done, total } if done == total => {
                    let line = format!("{name} ({total} bytes)");
                    events(crate::Event::Engine(Event::StepOutput { index: 1, line }));
                }
                repository::Event::Package { .. } => {}
            }),
            allow_archived: repositories.allow_archived,
            operator_hosts: repositories.operator_hosts.clone(),
        }
    }

    /// Places the packages over the base with the earlier patch on it. Gives the run that was none, and what the user should know.
    async fn place(
        &self,
        request: &Request,
        subject: &Subject,
        (plan, settings, archives): (&Plan, Settings, Vec<Archive>),
    ) -> Result<(Run, Vec<String>), Error> {
        let work = &request.settings.work_dir;
        let io = |source| Error::Io { doing: format!("making a file in {}", work.display()), source };
        let engine_error = |e| self.engine_error(e);
        let observed = &subject.observed;
        let placing = Placing {
            adapter: observed.adapter,
            plan: plan.clone(),
            facts: observed.facts.clone(),
            settings,
            archives,
            base: subject.root.base().map_err(engine_error)?,
            earlier: subject.root.earlier().map_err(engine_error)?,
            spool: tempfile::tempfile_in(work).map_err(io)?,
            cancel: self.cancel.clone(),
        };
        let name = request.name.clone();
        let placed = tokio::task::spawn_blocking(move || placing.place(&name)).await;
        let (staged, notes) = placed.map_err(|_| Error::Cancelled)??;
        let run = Run {
            changes: Box::new(staged.changes()),
            base: subject.root.base().map_err(engine_error)?,
            after: Box::new(staged),
            evidence: Evidence::new(),
            steps: Vec::new(),
            fetches: Vec::new(),
            window: layer::STAGED_WINDOW,
            syncs_suppressed: true,
        };
        Ok((run, notes))
    }
}

impl Placing {
    fn place(mut self, name: &str) -> Result<(Staged, Vec<String>), Error> {
        let cancel = self.cancel.clone();
        let mut staged = Staged::over(self.base, self.spool).stopped_by(move || cancel.is_cancelled());
        if let Some(earlier) = &mut self.earlier {
            staged.seed(&mut **earlier).map_err(crate::line::layer_error)?;
        }
        let work = Unpacking {
            plan: &self.plan,
            facts: &self.facts,
            settings: &self.settings,
            archives: &self.archives,
        };
        let notes = self.adapter.unpack(work, &mut staged);
        match notes {
            Ok(notes) => Ok((staged, notes)),
            Err(_) if self.cancel.is_cancelled() => Err(Error::Cancelled),
            Err(source) => Err(Error::Adapter { name: name.to_owned(), source }),
        }
    }
}

/// What is told of work that is no program in a sandbox, in the words that steps have.
struct Steps<'a> {
    patcher: &'a Patcher,
    done: Vec<StepResult>,
    began: Option<(String, Instant)>,
}

/// Asking, downloading, placing.
const STEPS: usize = 3;

impl Steps<'_> {
    fn begin(&mut self, title: &str) {
        let (index, title) = (self.done.len(), title.to_owned());
        self.began = Some((title.clone(), Instant::now()));
        self.tell(Event::StepStarted { index, total: STEPS, title });
    }

    fn end(&mut self) {
        let Some((title, began)) = self.began.take() else { return };
        let (index, took) = (self.done.len(), began.elapsed());
        self.done.push(StepResult { title, exit: Some(0), tail: String::new(), took });
        self.tell(Event::StepEnded { index, exit: 0, took });
    }

    fn tell(&self, event: Event) {
        (self.patcher.events)(crate::Event::Engine(event));
    }
}

fn downloading(resolution: &Resolution) -> String {
    let bytes: u64 = resolution.packages.iter().map(|p| p.size).sum();
    format!("Getting {} packages of {bytes} bytes", resolution.packages.len())
}

fn index_record(index: &repository::IndexRecord) -> IndexRecord {
    IndexRecord {
        url: index.url.clone(),
        digest: index.digest.to_string(),
        signed_by: index.signed_by.clone(),
        date: index.date,
    }
}

fn repository_error(error: repository::Error) -> Error {
    match error {
        repository::Error::Cancelled => Error::Cancelled,
        other => Error::Repository(Box::new(other)),
    }
}
