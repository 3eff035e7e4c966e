//! Whether the distribution still keeps the image's release up: told before anything is planned, and an error where that is
//! wanted. Go Copa asks only without a report; a report does not make an old release any newer.

use crate::{
    Error,
    line::{Patcher, Request, Subject},
    result::{LifecycleRecord, ResultDocument},
};
use async_trait::async_trait;
use lifecycle::{Release, Support};
use std::sync::Arc;

/// Says of one release whether it is kept up.
#[async_trait]
pub trait LifecycleApi: Send + Sync {
    /// Its address, for the result.
    fn name(&self) -> String;

    /// What it knows of a release, `None` where it knows nothing. An error is one printable line.
    async fn ask(&self, release: &Release) -> Result<Option<Support>, String>;
}

/// What to do about releases at their end.
#[derive(Clone, Default)]
pub struct EndOfLife {
    /// Asked in place of the embedded table.
    pub api: Option<Arc<dyn LifecycleApi>>,
    /// Make it an error.
    pub refuse: bool,
}

impl Patcher {
    /// Judges the release, and notes what came of it.
    pub(crate) async fn end_of_life(
        &self,
        request: &Request,
        subject: &Subject,
        document: &mut ResultDocument,
    ) -> Result<(), Error> {
        let os = &subject.observed.facts.inventory.os;
        let Some(release) = Release::of(os) else { return Ok(()) };
        let (support, source) = self.support(request, &release, document).await?;
        let ended = support.is_some_and(|s| s.ended);
        let until = support.and_then(|s| s.until).map(|day| day.to_string());
        document.lifecycle = Some(LifecycleRecord {
            product: release.product().to_owned(),
            release: release.release().to_owned(),
            eol: ended,
            eol_from: until.clone(),
            source,
        });
        if !ended {
            return Ok(());
        }
        let version = if os.version_id.is_empty() { release.release() } else { &os.version_id };
        let name = format!("{} {version}", subject.observed.family.name);
        self.warn(warning(&name, until.as_deref()), document);
        if request.end_of_life.refuse { Err(Error::EndOfLife { os: name }) } else { Ok(()) }
    }

    /// What is known, and who says so: the API where there is one and it answers, else the embedded table.
    async fn support(
        &self,
        request: &Request,
        release: &Release,
        document: &mut ResultDocument,
    ) -> Result<(Option<Support>, String), Error> {
        if let Some(api) = &request.end_of_life.api {
            let asked = self.cancel.run_until_cancelled(api.ask(release)).await;
            match asked.ok_or(Error::Cancelled)? {
                Ok(support) => return Ok((support, api.name())),
                Err(why) => self.warn(
                    format!(
                        "cannot ask {} for the end of life: {why}; the embedded table is used",
                        api.name()
                    ),
                    document,
                ),
            }
        }
        let table = lifecycle::embedded();
        Ok((table.support(release, request.settings.now), format!("embedded ({})", table.state())))
    }
}

/// The words are those of Go Copa, which pipelines look for.
fn warning(os: &str, until: Option<&str>) -> String {
    format!(
        "The operating system {os} appears to be End-Of-Support-Life. (EOL date: {}) Patching may fail, be incomplete, or \
         use archived repositories. Consider upgrading the base image.",
        until.unwrap_or("unknown")
    )
}
