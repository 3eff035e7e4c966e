//! Which release an image is of, and until when its distribution keeps that up: from the embedded table, or from the answer
//! of an API like endoflife.date's. Pure: who asks that API, and what time it is, is said by others.

mod answer;
mod release;
mod table;

pub use answer::{AnswerError, BYTES_MAX as ANSWER_BYTES_MAX, parse as parse_answer};
pub use jiff::civil::Date;
pub use release::Release;
pub use table::{Table, embedded};

/// What is known of the support of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// It has ended.
    pub ended: bool,
    /// Its last day, where one is announced.
    pub until: Option<Date>,
}
