//! `copa completion`: a script for the shell, on standard output.

use crate::{args::CompletionArgs, error::Failure, output, reference_docs};
use std::path::Path;

/// Prints it.
pub fn run(args: &CompletionArgs) -> Result<(), Failure> {
    output::write(Path::new(output::STDOUT), &reference_docs::completion(args.shell))
}
