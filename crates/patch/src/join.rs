//! One outcome of several platforms' lines, and one index of their images, delivered under one name.

use crate::{
    Answer, Error, Failed,
    assemble::{reencoded, rfc3339},
    deliver::Patched,
    index::{self, Changes, Role},
    line::{Patcher, Request},
    record,
    result::{PatchedIndexRecord, PreservedRecord, ResultDocument, Status},
    several::{Line, Seen, Several, is_unpatchable},
};
use endpoint::Outgoing;
use oci::Digest;
use std::collections::BTreeMap;

/// What the lines gave.
struct Gathered {
    several: Several,
    /// Patched images by the digest of the original, each with the place of its answer.
    patched: BTreeMap<Digest, (usize, Patched)>,
    /// Places in the document, of each answer.
    places: Vec<usize>,
    /// Why images stay as they are.
    preserve: BTreeMap<Digest, String>,
    /// Why nothing is delivered.
    stop: Option<Error>,
    /// What could not be patched and need not be.
    unpatchable: Vec<Error>,
}

impl Patcher {
    /// Makes one outcome of all lines, and delivers the index where anything was patched.
    pub(crate) async fn join(
        &self,
        request: &Request,
        seen: &Seen,
        (preserve, lines): (BTreeMap<usize, String>, Vec<Line>),
        document: ResultDocument,
    ) -> Result<Several, Failed> {
        let preserve =
            preserve.into_iter().map(|(at, why)| (seen.images[at].0.digest.clone(), why)).collect();
        let several = Several { document, answers: Vec::new(), failures: Vec::new() };
        let mut gathered = Gathered {
            several,
            patched: BTreeMap::new(),
            places: Vec::new(),
            preserve,
            stop: None,
            unpatchable: Vec::new(),
        };
        for line in lines {
            self.gather(line, &mut gathered);
        }
        let finished = match gathered.why_not() {
            Some(error) => Err(error),
            None => self.finish(request, seen, &mut gathered).await,
        };
        let Gathered { mut several, .. } = gathered;
        aggregate(&mut several.document);
        match finished {
            Ok(()) => Ok(several),
            Err(error) => Err(Failed { error, document: Box::new(several.document) }),
        }
    }

    /// Notes how a line ended.
    fn gather(&self, line: Line, gathered: &mut Gathered) {
        let Line { platform, digest, asked, stops, end } = line;
        let document = &mut gathered.several.document;
        let (error, known) = match end {
            Ok((answer, made)) => {
                if answer.document.status == Status::UpToDate {
                    gathered.preserve.insert(digest.clone(), "nothing to do".to_owned());
                }
                if let Some(made) = made {
                    gathered.patched.insert(digest, (gathered.several.answers.len(), made));
                }
                gathered.places.push(document.platforms.len());
                document.platforms.push(answer.document.clone());
                gathered.several.answers.push(*answer);
                return;
            }
            Err(failed) => failed,
        };
        let (why, unpatchable) = (why(&error), is_unpatchable(&error, &platform));
        let wrapped = match error {
            Error::Cancelled => Error::Cancelled,
            error => Error::Platform { platform: platform.to_string(), source: Box::new(error) },
        };
        if stops {
            document.platforms.push(*known);
            // What was stopped because of another is not the reason.
            if matches!(gathered.stop, None | Some(Error::Cancelled)) {
                gathered.stop = Some(wrapped);
            }
            return;
        }
        self.warn(format!("{platform} is preserved as it is: {why}"), document);
        gathered.preserve.insert(digest, why);
        if asked || !unpatchable {
            gathered.several.failures.push((document.platforms.len(), wrapped));
            document.platforms.push(*known);
        } else {
            gathered.unpatchable.push(wrapped);
        }
    }

    /// Puts the index together and delivers it, where there is anything new in it.
    async fn finish(&self, request: &Request, seen: &Seen, gathered: &mut Gathered) -> Result<(), Error> {
        let outgoing: BTreeMap<Digest, Outgoing> =
            gathered.patched.iter().map(|(digest, (_, made))| (digest.clone(), made.outgoing())).collect();
        let now = rfc3339(request.settings.source_date_epoch.unwrap_or(request.settings.now));
        let tag = request.target.as_ref().and_then(|t| t.tag.as_deref());
        let changes = Changes { patched: &outgoing, referrers: request.referrers, words: (&now, tag) };
        gathered.several.document.preserved = preserved(seen, &changes, &gathered.preserve);
        let Some(target) = request.target.as_ref().filter(|_| !outgoing.is_empty()) else { return Ok(()) };
        let document = &mut gathered.several.document;
        if let Some(note) = index::dropped_note(&seen.members, &changes) {
            self.warn(note, document);
        }
        let source = &*request.source;
        let making = index::content(source, &seen.named, &seen.members, &changes);
        let content = self.cancel.run_until_cancelled(making).await.ok_or(Error::Cancelled)?;
        let content = content.map_err(|source| Error::Source { name: request.name.clone(), source })?;
        let receipt = self.write(target, (source, &content), document).await?;
        document.index = Some(PatchedIndexRecord {
            reference: receipt.reference.clone(),
            digest: receipt.digest.to_string(),
            media_type: content.descriptor().media_type.clone(),
        });
        for (at, made) in gathered.patched.values() {
            let answer = &mut gathered.several.answers[*at];
            told(answer, made, &receipt.reference);
            document.platforms[gathered.places[*at]] = answer.document.clone();
        }
        Ok(())
    }
}

impl Gathered {
    /// Why nothing can be delivered: a line that must not fail did, or no line gave anything.
    fn why_not(&mut self) -> Option<Error> {
        if let Some(error) = self.stop.take() {
            return Some(error);
        }
        if !self.several.answers.is_empty() {
            return None;
        }
        let failures = std::mem::take(&mut self.several.failures).into_iter().map(|(_, error)| error);
        failures.chain(std::mem::take(&mut self.unpatchable)).next()
    }
}

/// What is told of a platform once the index has been delivered.
fn told(answer: &mut Answer, made: &Patched, reference: &str) {
    let document = &mut answer.document;
    document.counters.layers_reencoded = reencoded(&answer.image, &made.image, made.base_layers);
    document.patched = Some(made.record(reference));
    document.status = Status::Patched;
}

/// Everything that stays as it is, in the order of the index.
fn preserved(seen: &Seen, changes: &Changes<'_>, why: &BTreeMap<Digest, String>) -> Vec<PreservedRecord> {
    let stays = index::staying(&seen.members, changes).into_iter();
    let record = |member: &index::Member| {
        let (kind, platform) = match &member.role {
            Role::Image(platform) => ("image", Some(platform.to_string())),
            Role::Attestation(_) => ("attestation", None),
            Role::Index(_) | Role::Other => ("other", None),
        };
        PreservedRecord {
            digest: member.entry.digest.to_string(),
            platform,
            kind: kind.to_owned(),
            why: why.get(&member.entry.digest).cloned(),
        }
    };
    // Where only a plan was asked for, what would be patched is not among them.
    let planned = |member: &&index::Member| {
        !matches!(member.role, Role::Image(_)) || why.contains_key(&member.entry.digest)
    };
    stays.filter(planned).map(record).collect()
}

/// The words for the whole from those for each.
fn aggregate(document: &mut ResultDocument) {
    let each = std::mem::take(&mut document.platforms);
    let has = |status| each.iter().any(|d| d.status == status);
    document.status = match () {
        () if has(Status::Patched) => Status::Patched,
        () if has(Status::Planned) => Status::Planned,
        () => Status::UpToDate,
    };
    for of in &each {
        if document.scope.is_empty() {
            document.scope.clone_from(&of.scope);
        }
        for (outcome, count) in &of.summary {
            *document.summary.entry(outcome.clone()).or_default() += count;
        }
        record::add(&mut document.counters, &of.counters);
    }
    document.platforms = each;
}

/// An error and its causes in one line.
fn why(error: &Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !parts.last().is_some_and(|above| above.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ")
}
