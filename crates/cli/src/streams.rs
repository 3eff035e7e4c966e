//! Standard input and output where an archive or a build context goes through them: never a terminal.

use crate::{
    args::{ContextArgs, TargetArgs},
    error::Failure,
    exit::Kind,
    output,
    target::{Delivery, stream_name},
    ui::text::printable,
};
use endpoint::{
    Address, LocalName,
    archive::{Archives, BuildContext, ContextOutput},
};
use oci::Reference;
use patch::Target;
use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::Arc,
};

/// Whether what goes through standard input and output can: no terminal, and not two things at once. Gives what an archive on
/// standard output calls the image.
pub fn check(
    source: &Address,
    target: Option<(&Delivery, &TargetArgs)>,
) -> Result<Option<Reference>, Failure> {
    if *source == Address::Stream && io::stdin().is_terminal() {
        return Err(Failure::usage("refusing to read an archive from a terminal")
            .hint("name a file as oci-archive:FILE or docker-archive:FILE, or redirect stdin"));
    }
    let streams = |d: &Delivery| d.others.iter().filter(|a| **a == Address::Stream).count();
    match target.map(|(delivery, args)| (streams(delivery), args)) {
        None | Some((0, _)) => Ok(None),
        Some((1, args)) => {
            not_a_terminal("Use --to docker-archive:FILE to save to file or redirect stdout")?;
            stream_name(source, args)
        }
        Some(_) => Err(Failure::usage("--to - can be given only once")),
    }
}

fn not_a_terminal(hint: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => Err(Failure::usage("refusing to write tar stream to terminal").hint(hint)),
        false => Ok(()),
    }
}

/// What archives need. `name` is what an archive on standard output calls the image.
pub fn archives(work_dir: &Path, name: Option<Reference>) -> Archives {
    Archives {
        work_dir: work_dir.to_owned(),
        input: own(io::stdin().as_fd()).map(|file| Box::new(file) as _),
        output: own(io::stdout().as_fd()).map(|file| Box::new(file) as _),
        stream_names: name.into_iter().collect(),
    }
}

/// A stream of this process; `None` where it is closed.
fn own(stream: BorrowedFd<'_>) -> Option<tokio::fs::File> {
    stream.try_clone_to_owned().ok().map(|own| tokio::fs::File::from_std(own.into()))
}

/// What a Dockerfile calls the image: as it was typed, without the transport.
pub fn from(source: &Address, typed: &str) -> Result<String, Failure> {
    match source {
        Address::Plain(_) | Address::Registry(_) => {
            Ok(typed.strip_prefix("docker://").unwrap_or(typed).to_owned())
        }
        Address::Docker(LocalName::Reference(name))
        | Address::Podman(LocalName::Reference(name))
        | Address::Containerd(LocalName::Reference(name)) => Ok(name.to_string()),
        _ => {
            let shown = printable(typed);
            Err(Failure::usage(format!("a Dockerfile has no way to begin with {shown}"))
                .hint("name the image as in a registry or a daemon"))
        }
    }
}

/// Whether a build context can go where it is to go.
pub fn check_context(context: &ContextArgs) -> Result<(), Failure> {
    match &context.output_context {
        Some(_) => Ok(()),
        None => not_a_terminal("Use --output-context to save to file or redirect stdout"),
    }
}

/// A build context as a target.
pub fn context(from: String, context: &ContextArgs) -> Result<Target, Failure> {
    let output = match &context.output_context {
        Some(path) if path.as_os_str() != output::STDOUT => ContextOutput::File(path.clone()),
        _ => ContextOutput::Stream(Box::new(io::stdout())),
    };
    let made = BuildContext::new(from, output).map_err(|e| Failure::endpoint(&e, Kind::Destination))?;
    let destination: Arc<dyn endpoint::Destination> = Arc::new(made);
    Ok(Target { name: destination.name(), tag: None, destination })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerfiles_begin_with_what_was_typed() {
        for (typed, from_line) in [
            ("nginx:1.21", Some("nginx:1.21")),
            ("docker://nginx:1.21", Some("nginx:1.21")),
            ("docker-daemon:app:1", Some("docker.io/library/app:1")),
            ("oci:dir:1", None),
            ("docker-archive:f.tar", None),
            ("-", None),
        ] {
            let found = from(&typed.parse().unwrap(), typed);
            assert_eq!(found.ok().as_deref(), from_line, "{typed}");
        }
    }
}
