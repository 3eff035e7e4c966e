//! The library API: composes the line report → plan → recipe → run → layer → image → destination for one image and one
//! platform, emits events, returns what became of it. Knows no terminal.
//!
//! ```text
//! source ─▶ image ─▶ inventory ─▶ plan ─▶ recipe ─▶ run ─▶ outcome
//!                                                    └─▶ layer ─▶ image' ─▶ destination ─▶ receipt
//! ```

mod answer;
mod assemble;
mod deliver;
mod end_of_life;
mod error;
mod event;
mod foreign;
mod format;
mod index;
pub mod inspect;
mod join;
mod line;
pub mod lineage;
mod observe;
mod pinned;
mod platforms;
mod record;
mod referrers;
pub mod result;
mod several;
mod strategy;

pub use answer::Answer;
pub use end_of_life::{EndOfLife, LifecycleApi};
pub use error::{Error, Failed, Offence};
pub use event::{Event, Phase};
pub use line::{Patcher, Request, Settings, Target};
pub use platforms::{NamedReport, Selection};
pub use referrers::Referrers;
pub use result::ResultDocument;
pub use several::{Answers, Several};
pub use strategy::{Repositories, Tooling, ToolingImages};
