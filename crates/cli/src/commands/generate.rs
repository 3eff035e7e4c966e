//! `copa generate`: the line of `copa patch` up to the layer, which goes into a build context.

use crate::{
    args::{GenerateArgs, SubjectArgs},
    commands::patch::carry_out,
    error::Failure,
    exit,
    job::Wanted,
    settings::Settings,
};
use oci::Platform;

/// Makes a build context.
pub fn run(args: &GenerateArgs, settings: &Settings) -> Result<exit::Code, Failure> {
    let platform = match args.subject.platform.as_slice() {
        [] => Platform::host(),
        [one] => one.clone(),
        _ => {
            return Err(
                Failure::usage("a build context is for one platform").hint("name one with --platform")
            );
        }
    };
    let subject = SubjectArgs { platform: vec![platform], ..args.subject.clone() };
    let wanted = Wanted {
        subject: &subject,
        packages: &args.packages,
        run: &args.run,
        target: None,
        context: Some(&args.context),
        in_registry: false,
        vex: None,
    };
    carry_out(&wanted, &args.output, settings)
}
