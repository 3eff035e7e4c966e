//! One image to patch or to plan for: everything that can be checked is checked first, then the line is run.

use crate::{
    args::{ContextArgs, EngineChoice, PackageArgs, RunArgs, SubjectArgs, TargetArgs},
    error::Failure,
    exit::Kind,
    findings::{self, Reports, Scanner},
    host,
    image_format::ImageFormat,
    lifecycle_api, local_places, output, places, policy, registry_access, repositories,
    settings::{Certificates, Settings, absolute},
    source_policy::SourcePolicy,
    stop::Stop,
    stored_source::StoredFirst,
    streams,
    target::{Delivery, delivery},
    tooling::ToolingImages,
    ui::{Progress, Style, paint::Paint},
    vex_files, wiring,
    work_folder::WorkFolder,
};
use embedded::{Embedded, EngineOptions, host::Mode};
use endpoint::{Address, Connections};
use fetch::client::Url;
use fetch::egress::{CacheOptions, EgressOptions, HostRule, UpstreamProxies};
use patch::{Answer, Answers, Event, NamedReport, Patcher, Request, ResultDocument, Selection, Target};
use report::Findings;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use store::Store;

/// How long threads that still wait for a file or a pipe are waited for at the end.
const LINGER: Duration = Duration::from_millis(500);

/// The name of the engine there is.
const ENGINE: &str = "embedded";

type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// What was asked for.
pub struct Wanted<'a> {
    /// What to look at.
    pub subject: &'a SubjectArgs,
    /// Which packages, and where they come from.
    pub packages: &'a PackageArgs,
    /// How to run.
    pub run: &'a RunArgs,
    /// Where to; `None` stops after the plan.
    pub target: Option<&'a TargetArgs>,
    /// A build context instead.
    pub context: Option<&'a ContextArgs>,
    /// Whether it is about the image in its registry, whatever daemons of this machine have.
    pub in_registry: bool,
    /// Where the VEX document goes.
    pub vex: Option<&'a Path>,
}

/// What was asked for, found possible.
pub struct Job<'a> {
    settings: &'a Settings,
    packages: &'a PackageArgs,
    policy: plan::Policy,
    source_policy: SourcePolicy,
    run: &'a RunArgs,
    vex: Option<&'a Path>,
    name: &'a str,
    platforms: &'a [oci::Platform],
    address: Address,
    in_registry: bool,
    report: Option<(&'a Path, Scanner)>,
    delivery: Option<(Delivery, bool)>,
    format: ImageFormat,
    context: Option<(&'a ContextArgs, String)>,
    stream_name: Option<oci::Reference>,
    certificates: Certificates,
    hosts: Vec<HostRule>,
    eol_api: Option<Url>,
    parent: Option<PathBuf>,
}

impl<'a> Job<'a> {
    /// Checks everything that needs no work.
    pub fn check(wanted: &Wanted<'a>, settings: &'a Settings) -> Result<Self, Failure> {
        let (subject, run) = (wanted.subject, wanted.run);
        let no_image = || Failure::usage("no image given").hint("name it with --image");
        let name = subject.image.as_deref().filter(|i| !i.is_empty()).ok_or_else(no_image)?;
        let address: Address = name.parse().map_err(Failure::from)?;
        let address = registry_access::whole(address, name, settings, run)?;
        let deliver = |target: &TargetArgs| delivery(&address, target).map(|d| (d, target.overwrite));
        let delivery = wanted.target.map(deliver).transpose()?;
        delivery.as_ref().map_or(Ok(()), |(delivery, _)| local_places::check(delivery))?;
        let target = delivery.as_ref().map(|(delivery, _)| delivery).zip(wanted.target);
        let stream_name = streams::check(&address, target)?;
        let context =
            |args| streams::check_context(args).and_then(|()| Ok((args, streams::from(&address, name)?)));
        let context = wanted.context.map(context).transpose()?;
        let tooling = wanted.packages.tooling_image.as_deref();
        tooling
            .map_or(Ok(()), |image| image.parse::<Address>().map(drop))
            .map_err(|error| Failure::from(error).about("--tooling-image is no image".to_owned()))?;
        let scanner = Scanner::find(&subject.scanner, settings.search_path.as_ref())?;
        let report = subject.report.as_deref();
        report.map_or(Ok(()), findings::check)?;
        Ok(Job {
            certificates: settings.certificates(run.ca_cert.as_deref())?,
            hosts: wiring::allowed_hosts(&run.allow_host)?,
            eol_api: lifecycle_api::base(wanted.packages.lifecycle.eol_api_url.as_deref())?,
            parent: run.working_folder.as_deref().map(absolute).transpose()?,
            report: report.map(|path| (path, scanner)),
            vex: wanted.vex,
            settings,
            packages: wanted.packages,
            source_policy: settings
                .source_policy
                .as_deref()
                .map_or(Ok(SourcePolicy::default()), SourcePolicy::read)?,
            policy: policy::policy(subject, wanted.packages, now())?,
            run,
            name,
            platforms: &subject.platform,
            address,
            in_registry: wanted.in_registry,
            delivery,
            format: ImageFormat::check(&wanted.target.map(|t| t.format.clone()).unwrap_or_default())?,
            context,
            stream_name,
        })
    }

    /// Whether it stops after the plan.
    pub fn is_plan(&self) -> bool {
        self.delivery.is_none() && self.context.is_none()
    }

    /// Whether an archive or a build context goes to standard output.
    pub fn is_to_stdout(&self) -> bool {
        let places = self.delivery.iter().flat_map(|(delivery, _)| &delivery.others);
        let context = |(args, _): &(&ContextArgs, String)| args.output_context.is_none();
        places.into_iter().any(|place| *place == Address::Stream)
            || self.context.as_ref().is_some_and(context)
    }

    /// How progress is shown.
    pub fn style(&self) -> Style {
        self.style_and_warning().0
    }

    /// Colours.
    pub fn paint(&self) -> Paint {
        self.settings.paint
    }

    fn style_and_warning(&self) -> (Style, Option<String>) {
        Style::choose(&self.run.progress, self.settings.terminal, self.settings.debug)
    }

    /// A document that knows the image's name only.
    pub fn blank_document(&self) -> ResultDocument {
        let engine = match self.run.engine {
            EngineChoice::Auto | EngineChoice::Embedded => ENGINE,
        };
        let mut document = ResultDocument::blank(env!("CARGO_PKG_VERSION"), engine);
        document.image.name = self.name.to_owned();
        document
    }

    /// Does it.
    pub fn run(&self, mode: Mode) -> Result<Answers, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::internal("cannot start threads").because(e.to_string()))?;
        let answer = runtime.block_on(self.watched(mode));
        runtime.shutdown_timeout(LINGER);
        answer
    }

    /// With progress shown, until it is done or stopped.
    async fn watched(&self, mode: Mode) -> Result<Answers, Failure> {
        let stop = Stop::arm(self.run.timeout)?;
        let (style, warning) = self.style_and_warning();
        let progress = Progress::start(style, self.settings.paint)
            .map_err(|e| Failure::internal("cannot start threads").because(e.to_string()))?;
        let events = progress.sink();
        let vexless = (self.vex.is_some() && self.report.is_none())
            .then(|| "No vulnerability report was provided, so no VEX output will be generated.".to_owned());
        warning.into_iter().chain(vexless).for_each(|w| events(Event::Warning(w)));
        let answer = self.work(mode, &stop, events).await;
        progress.finish();
        answer.map_err(|failure| {
            stop.failure().map_or(failure.clone(), |f| Failure { document: failure.document, ..f })
        })
    }

    async fn work(&self, mode: Mode, stop: &Stop, events: Events) -> Result<Answers, Failure> {
        let (findings, reports) = self.findings(stop, &events).await?;
        let store = Arc::new(host::open_store(self.settings, mode)?);
        let folder = self.folder(&store)?;
        let client = wiring::client(self.settings, &self.certificates)?;
        let connections = wiring::connections(client.clone(), self.settings, self.run, events.clone())?;
        let connections = Arc::new(self.local(connections, folder.path()));
        let end_of_life = patch::EndOfLife {
            api: self.eol_api.clone().map(|base| lifecycle_api::api(base, client.clone())),
            refuse: self.packages.lifecycle.exit_on_eol,
        };
        let address = places::source(&connections, &self.address, self.in_registry).await;
        let source = connections.source(&address).await;
        let source = source.map_err(|e| {
            Failure::endpoint(&e, Kind::Source).about(format!("cannot read image {}", self.name))
        })?;
        let source = Arc::new(StoredFirst { store: store.clone(), source });
        let target = self.target(&connections, &address).await?;
        let engine = Arc::new(Embedded::new(self.engine_options(store.clone(), mode)));
        let request = Request {
            name: self.name.to_owned(),
            source,
            base: self.format.base(&connections).await?,
            platform: oci::Platform::host(),
            findings,
            policy: self.policy.clone(),
            target,
            repositories: patch::Repositories {
                client,
                store: store.clone(),
                operator_hosts: self.hosts.clone(),
                allow_archived: self.packages.allow_archived,
                files: self.packages.repositories.as_deref().map(repositories::read).transpose()?,
            },
            tooling: patch::Tooling {
                reference: self.packages.tooling_image.clone(),
                images: Arc::new(ToolingImages { connections, store, policy: self.source_policy.clone() }),
            },
            end_of_life,
            referrers: self.format.referrers,
            settings: self.line_settings(folder.path()),
        };
        let patcher = Patcher { engine, events, cancel: stop.token.clone() };
        let selection =
            Selection { platforms: self.platforms.to_vec(), reports, host: None, jobs: self.jobs() };
        Ok(patcher.patch_platforms(request, selection).await?)
    }

    /// With the daemons, archives and streams of this machine.
    fn local(&self, connections: Connections, temp_dir: &Path) -> Connections {
        connections
            .with_daemons(wiring::daemons(self.settings, temp_dir))
            .with_archives(streams::archives(temp_dir, self.stream_name.clone()))
    }

    /// Where the patched image goes; `None` stops after the plan.
    async fn target(&self, connections: &Connections, source: &Address) -> Result<Option<Target>, Failure> {
        if let Some((context, from)) = &self.context {
            return streams::context(from.clone(), context).map(Some);
        }
        let Some((delivery, overwrite)) = &self.delivery else { return Ok(None) };
        let places = places::destinations(connections, source, delivery).await?;
        let destination = wiring::destination(connections, &places, *overwrite).await?;
        let tag = Some(delivery.tag().to_owned());
        Ok(Some(Target { name: destination.name(), tag, destination }))
    }

    /// How many platforms are worked on at a time.
    fn jobs(&self) -> usize {
        self.run.jobs.map_or_else(cores, usize::from)
    }

    /// The one report there is, or those of a folder.
    async fn findings(
        &self,
        stop: &Stop,
        events: &Events,
    ) -> Result<(Option<Findings>, Option<Vec<NamedReport>>), Failure> {
        let Some((path, scanner)) = &self.report else { return Ok((None, None)) };
        let (path, scanner, cancel) = (path.to_path_buf(), scanner.clone(), stop.token.clone());
        let ignored = self.policy.ignore_errors;
        let reading = tokio::task::spawn_blocking(move || scanner.read_all(&path, ignored, &cancel));
        // A pipe that nobody writes to would hold the reading thread for ever.
        let read = stop.token.run_until_cancelled(reading).await;
        let interrupted = || Failure::new(Kind::Interrupted, "interrupted");
        match read.ok_or_else(interrupted)?.map_err(|_| interrupted())?? {
            Reports::One(findings) => Ok((Some(findings), None)),
            Reports::Folder(reports, left_out) => {
                left_out.into_iter().for_each(|why| events(Event::Warning(why)));
                Ok((None, Some(reports)))
            }
        }
    }

    fn folder(&self, store: &Store) -> Result<Folder, Failure> {
        let (debug, temp) = (self.settings.debug, self.settings.temp_dir.as_ref());
        let parent = self.parent.as_ref().or(temp).cloned().or_else(|| debug.then(std::env::temp_dir));
        Ok(match parent {
            Some(parent) => Folder::Own(WorkFolder::within(&parent, debug)?),
            None => Folder::Cache(store.temp_dir()?),
        })
    }

    fn engine_options(&self, store: Arc<Store>, mode: Mode) -> EngineOptions {
        let proxy = &self.settings.package_proxy;
        let egress = EgressOptions {
            operator_hosts: self.hosts.clone(),
            upstream: UpstreamProxies {
                http: proxy.http_proxy.clone(),
                https: proxy.https_proxy.clone(),
                no_proxy: proxy.no_proxy.clone(),
            },
            cache: Some(CacheOptions::in_dir(store.http_dir())),
            ..EgressOptions::default()
        };
        EngineOptions { egress, ..EngineOptions::new(store, mode) }
    }

    fn line_settings(&self, work_dir: &Path) -> patch::Settings {
        patch::Settings {
            now: now(),
            source_date_epoch: self.settings.source_date_epoch,
            work_dir: work_dir.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            ca_certificates: self.certificates.bundle.clone(),
            threads: cores(),
            compression: self.format.compression,
            compression_level: self.format.level,
            reencode_base: self.format.reencode_base,
        }
    }
}

impl Job<'_> {
    /// Writes the VEX document where one was asked for: of several platforms all in one, and beside it each by itself. False
    /// where there is nothing to say in it.
    pub fn write_vex(&self, answers: &Answers) -> Result<bool, Failure> {
        let Some(path) = self.vex else { return Ok(true) };
        let seconds = self.settings.source_date_epoch.unwrap_or_else(now);
        let timestamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string();
        let (author, each) = (&self.settings.vex_author, answers.each());
        let Some(all) = Answer::openvex_of(each, author, &timestamp) else {
            return Ok(self.report.is_none());
        };
        output::write(path, &all)?;
        if each.len() > 1 && vex_files::is_a_file(path) {
            for (at, answer) in each.iter().enumerate() {
                let platform = |answer: &Answer| answer.document.image.platform.clone();
                let number = each[..=at].iter().filter(|a| platform(a) == platform(answer)).count();
                let Some(document) = answer.openvex(author, &timestamp) else { continue };
                output::write(&vex_files::of_platform(path, &platform(answer), number), &document)?;
            }
        }
        Ok(true)
    }
}

/// A folder for temporary files, gone when dropped.
enum Folder {
    Own(WorkFolder),
    Cache(store::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Own(folder) => folder.path(),
            Folder::Cache(folder) => folder.path(),
        }
    }
}

/// Cores of this machine.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
