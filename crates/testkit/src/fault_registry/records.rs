//! What was asked and how much went both ways; and the moment at which the registry vanishes.

use super::wire::{Recorded, bare, field};

/// How much a registry still takes before it vanishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// So many requests.
    Requests(u64),
    /// So many bytes of bodies of requests.
    BytesUp(u64),
}

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) all: Vec<Recorded>,
    /// Requests of before that were forgotten: numbers of requests go on.
    forgotten: usize,
    left: Option<Break>,
    broken: bool,
}

impl Records {
    pub(crate) fn break_after(&mut self, limit: Break) {
        self.left = Some(limit);
        self.broken = false;
    }

    pub(crate) fn mend(&mut self) {
        self.left = None;
        self.broken = false;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn clear(&mut self) {
        self.forgotten += self.all.len();
        self.all.clear();
    }

    /// Notes a request; its number, or `None` where the registry has vanished.
    pub(crate) fn begin(&mut self, request: Recorded) -> Option<usize> {
        if let Some(Break::Requests(left)) = &mut self.left {
            self.broken = *left == 0;
            *left = left.saturating_sub(1);
        }
        if self.broken {
            return None;
        }
        self.all.push(request);
        Some(self.forgotten + self.all.len() - 1)
    }

    fn of(&mut self, number: usize) -> Option<&mut Recorded> {
        self.all.get_mut(number.checked_sub(self.forgotten)?)
    }

    /// Notes bytes of the body of a request; how many of them still come through.
    pub(crate) fn came(&mut self, number: usize, bytes: u64) -> u64 {
        let mut through = if self.broken { 0 } else { bytes };
        if let Some(Break::BytesUp(left)) = &mut self.left {
            through = through.min(*left);
            *left -= through;
            self.broken |= through < bytes;
        }
        if let Some(request) = self.of(number) {
            request.body += through;
        }
        through
    }

    /// Notes that the client ended a request before its body was whole.
    pub(crate) fn given_up(&mut self, number: usize) {
        if let Some(request) = self.of(number) {
            request.given_up = true;
        }
    }

    /// Notes the status that is about to be sent.
    pub(crate) fn answered(&mut self, number: usize, status: u16) {
        if let Some(request) = self.of(number) {
            request.status = status;
        }
    }

    /// Notes bytes of the body of an answer.
    pub(crate) fn sent(&mut self, number: usize, bytes: u64) {
        if let Some(request) = self.of(number) {
            request.sent += bytes;
        }
    }

    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.all.iter().map(|r| r.body).sum(), self.all.iter().map(|r| r.sent).sum())
    }

    pub(crate) fn blob_bytes(&self, digest: &str) -> (u64, u64) {
        let named = |r: &&Recorded| {
            let query = r.path.split_once('?').map_or("", |(_, query)| query);
            r.method == "PUT" && field(query, "digest").as_deref() == Some(digest)
        };
        let uploads: Vec<&str> = self.all.iter().filter(named).map(|r| bare(&r.path)).collect();
        let up = self.all.iter().filter(|r| uploads.contains(&bare(&r.path))).map(|r| r.body).sum();
        let is_blob = |r: &&Recorded| bare(&r.path).ends_with(&format!("/blobs/{digest}"));
        (up, self.all.iter().filter(is_blob).map(|r| r.sent).sum())
    }
}
