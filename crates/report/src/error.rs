//! Why a report is not taken.

use crate::guard::Limit;

/// Longest piece of a report shown in a message, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Why a report is not taken. Texts of the report are shown escaped and shortened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not strict JSON, or not of the shape of its format.
    #[error("invalid report at byte {offset}: {what}")]
    Syntax {
        /// Where reading stopped, counted from 0.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// It is larger, deeper or longer than any real report.
    #[error("report refused at byte {offset}: {limit}")]
    Limit {
        /// Where.
        offset: u64,
        /// Which bound.
        limit: Limit,
    },
    /// It is JSON, but no report of this format.
    #[error("not a {format} report: {why}")]
    Format {
        /// The format it was to have.
        format: &'static str,
        /// What is missing or unknown.
        why: String,
    },
    /// One of its findings is not acceptable.
    #[error("invalid finding {vulnerability} on package {package}: {why}")]
    Finding {
        /// Its vulnerability id, escaped.
        vulnerability: String,
        /// Its package, escaped.
        package: String,
        /// What is wrong.
        why: String,
    },
    /// It could not be read at all.
    #[error("cannot read the report at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A plugin's name is no plain word.
    #[error(
        "invalid scanner name \"{escaped}\": letters, digits, _ and - are allowed, the first a letter or digit"
    )]
    PluginName {
        /// The name, escaped.
        escaped: String,
    },
    /// No directory of PATH has the plugin.
    #[error("{program} is not in any directory of PATH")]
    PluginMissing {
        /// Its file name.
        program: String,
    },
    /// The plugin could not be started.
    #[error("cannot start {program}")]
    PluginStart {
        /// Its file name.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The plugin failed, took too long, or printed too much.
    #[error("{program} {what}")]
    Plugin {
        /// Its file name.
        program: String,
        /// What went wrong.
        what: String,
        /// The end of its standard error, printable.
        stderr: String,
    },
    /// A plugin was stopped because everything was.
    #[error("interrupted")]
    Cancelled,
}

/// A text of a report as it may be shown.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_default).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}
