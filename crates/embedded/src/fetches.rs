//! The egress proxy's records, in the engine's words.

use engine::{Fetch, FetchKind};
use fetch::egress::{How, Record};

/// All of them, in order.
pub(crate) fn of(records: Vec<Record>) -> Vec<Fetch> {
    records.into_iter().map(one).collect()
}

fn one(record: Record) -> Fetch {
    let how = match record.how {
        How::Hit => FetchKind::Hit,
        How::Revalidated => FetchKind::Revalidated,
        How::Miss => FetchKind::Miss,
        How::Passed => FetchKind::Passed,
        How::Tunnel => FetchKind::Tunnel,
        How::Refused(why) => FetchKind::Refused(why.to_string()),
        How::Failed(why) => FetchKind::Failed(why),
    };
    Fetch { method: record.method, target: record.target, status: record.status, bytes: record.bytes, how }
}
