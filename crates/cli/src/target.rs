//! Where the patched image goes and what it will be called there. Pure: decided before any work is done.

use crate::{
    args::{Loader, TargetArgs},
    error::Failure,
    exit::Kind,
    ui::text::printable,
};
use endpoint::{Address, LocalName};
use oci::{Reference, is_tag};
use std::path::{Path, PathBuf};

/// Where the patched image goes: one place or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To a registry.
    pub registry: Option<Reference>,
    /// Into an OCI layout, under a name.
    pub layout: Option<(PathBuf, String)>,
    /// To where `--to` says.
    pub others: Vec<Address>,
    /// Into a daemon of this machine.
    pub local: Option<Local>,
}

/// A name in the daemon that the image comes from, or in the one there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The name.
    pub reference: Reference,
    /// The user's choice of a daemon.
    pub loader: Option<Loader>,
}

impl Delivery {
    /// The tag it will have; of several places that of the registry goes first.
    pub fn tag(&self) -> &str {
        let registry = self.registry.as_ref().and_then(Reference::tag);
        let layout = || self.layout.as_ref().map(|(_, name)| name.as_str());
        let local = || self.local.as_ref().and_then(|local| local.reference.tag());
        let other = || self.others.iter().find_map(tag_of);
        registry.or_else(layout).or_else(local).or_else(other).unwrap_or_default()
    }
}

/// The tag, or name, in an address.
fn tag_of(address: &Address) -> Option<&str> {
    match address {
        Address::OciLayout { tag, .. } | Address::OciArchive { tag, .. } => tag.as_deref(),
        other => other.reference().and_then(Reference::tag),
    }
}

/// From what was typed.
pub fn delivery(source: &Address, args: &TargetArgs) -> Result<Delivery, Failure> {
    let nowhere = !args.push && args.oci_dir.is_none() && args.to.is_empty();
    let own_layout = match source {
        Address::OciLayout { dir, .. } if nowhere => Some(dir),
        _ => None,
    };
    let layout = args.oci_dir.as_ref().or(own_layout);
    let registry = args.push.then(|| reference(source, args)).transpose()?;
    let layout = layout.map(|dir| name(source, dir, args).map(|name| (dir.clone(), name))).transpose()?;
    let others: Result<Vec<Address>, Failure> = args.to.iter().map(|to| other(to, source, args)).collect();
    let mut delivery = Delivery { registry, layout, others: others?, local: None };
    if nowhere && own_layout.is_none() {
        by_source(source, args, &mut delivery)?;
    }
    Ok(delivery)
}

/// Where it goes if nothing is said: to where it is.
fn by_source(source: &Address, args: &TargetArgs, delivery: &mut Delivery) -> Result<(), Failure> {
    let own: fn(LocalName) -> Address = match source {
        Address::Plain(_) | Address::Registry(_) => {
            delivery.local = Some(Local { reference: reference(source, args)?, loader: args.loader });
            return Ok(());
        }
        Address::Docker(_) => Address::Docker,
        Address::Podman(_) => Address::Podman,
        Address::Containerd(_) => Address::Containerd,
        Address::OciLayout { .. }
        | Address::OciArchive { .. }
        | Address::DockerArchive { .. }
        | Address::Stream => {
            return Err(Failure::usage("there is no destination for the patched image").hint(
                "--to oci-archive:FILE or docker-archive:FILE writes an archive, --to docker-daemon:NAME loads it, \
                 --push sends it to a registry, --dry-run only shows the plan",
            ));
        }
    };
    let own = match args.loader {
        None => own,
        Some(Loader::Docker) => Address::Docker,
        Some(Loader::Podman) => Address::Podman,
        Some(Loader::Containerd) => Address::Containerd,
    };
    delivery.others.push(own(LocalName::Reference(reference(source, args)?)));
    Ok(())
}

/// The reference in a registry or daemon.
fn reference(source: &Address, args: &TargetArgs) -> Result<Reference, Failure> {
    let target = match (source.reference(), args.tag.as_deref()) {
        (_, Some(text)) if is_full(text) => full(text)?,
        (Some(source), tag) => tagged(source, source, tag, args)?,
        (None, _) => {
            return Err(Failure::usage(format!(
                "{} is in no registry to push to",
                printable(&source.to_string())
            ))
            .hint("give --tag as REGISTRY/REPOSITORY:TAG"));
        }
    };
    match source.reference() {
        Some(source) if !args.overwrite && is_same(source, &target) => Err(overwrites(&target.to_string())),
        _ => Ok(target),
    }
}

/// A repository with the tag that is asked for, or else that of the source with the suffix.
fn tagged(
    repository: &Reference,
    source: &Reference,
    tag: Option<&str>,
    args: &TargetArgs,
) -> Result<Reference, Failure> {
    let tag = match tag {
        Some(tag) => tag.to_owned(),
        None => suffixed(source.tag(), &source.to_string(), args)?,
    };
    repository.with_tag(&tag).map_err(|e| bad_tag(&e.escaped))
}

/// An address of `--to`.
fn other(text: &str, source: &Address, args: &TargetArgs) -> Result<Address, Failure> {
    let about = |failure: Failure| failure.about(format!("--to {} is no destination", printable(text)));
    let address: Address = text.parse().map_err(|e| about(Failure::from(e)))?;
    let address = match address {
        Address::Plain(reference) => {
            return Err(about(Failure::usage("it does not say of which kind it is")).hint(format!(
                "docker://{reference} is a registry, docker-daemon:{reference} the local docker"
            )));
        }
        Address::Registry(reference) => Address::Registry(named(reference, source, args)?),
        Address::Docker(name) => Address::Docker(local(name, source, args)?),
        Address::Podman(name) => Address::Podman(local(name, source, args)?),
        Address::Containerd(name) => Address::Containerd(local(name, source, args)?),
        Address::OciLayout { dir, tag: None } => {
            let tag = Some(name(source, &dir, args)?);
            Address::OciLayout { dir, tag }
        }
        Address::OciArchive { file, tag: None } => {
            let tag = Some(layout_name(source, args)?);
            Address::OciArchive { file, tag }
        }
        Address::DockerArchive { file, reference: None } => {
            Address::DockerArchive { file, reference: Some(reference(source, args)?) }
        }
        Address::DockerArchive { file, reference: Some(reference) } => {
            Address::DockerArchive { file, reference: Some(named(reference, source, args)?) }
        }
        other => other,
    };
    let same = address == *source && address != Address::Stream;
    if same && !args.overwrite { Err(overwrites(&address.to_string())) } else { Ok(address) }
}

/// What an archive on standard output calls the image; nothing where neither the source nor `--tag` has a whole name.
pub fn stream_name(source: &Address, args: &TargetArgs) -> Result<Option<Reference>, Failure> {
    let is_named = source.reference().is_some() || args.tag.as_deref().is_some_and(is_full);
    is_named.then(|| reference(source, args)).transpose()
}

fn local(name: LocalName, source: &Address, args: &TargetArgs) -> Result<LocalName, Failure> {
    match name {
        LocalName::Reference(reference) => Ok(LocalName::Reference(named(reference, source, args)?)),
        LocalName::Id(id) => Err(Failure::usage(format!("--to {id} is no name"))
            .hint("the id of the patched image is not known before it is made")),
    }
}

/// A reference that says everything: one without a tag gets it as everywhere.
fn named(target: Reference, source: &Address, args: &TargetArgs) -> Result<Reference, Failure> {
    if target.digest().is_some() {
        return Err(Failure::usage(format!("--to {target} has a digest"))
            .hint("the digest of the patched image is not known before it is made"));
    }
    let target = match target.tag() {
        Some(_) => target,
        None => {
            let tag = layout_name(source, args)?;
            target.with_tag(&tag).map_err(|e| bad_tag(&e.escaped))?
        }
    };
    match source.reference() {
        Some(source) if !args.overwrite && is_same(source, &target) => Err(overwrites(&target.to_string())),
        _ => Ok(target),
    }
}

fn is_same(source: &Reference, target: &Reference) -> bool {
    let tag = |r: &Reference| r.tag().unwrap_or("latest").to_owned();
    let place = |r: &Reference| (r.host().to_owned(), r.repository().to_owned(), tag(r));
    source.digest().is_none() && place(source) == place(target)
}

/// The tag alone, or the name in the index of an OCI layout.
fn layout_name(source: &Address, args: &TargetArgs) -> Result<String, Failure> {
    let name = match args.tag.as_deref() {
        Some(text) if is_full(text) => full(text)?.tag().unwrap_or_default().to_owned(),
        Some(text) if is_tag(text) => text.to_owned(),
        Some(text) => return Err(bad_tag(&printable(text))),
        None => suffixed(tag_of(source), &source.to_string(), args)?,
    };
    // The grammar of names in layouts is another than that of tags.
    format!("oci:x:{name}").parse::<Address>().map_err(|_| bad_tag(&printable(&name)))?;
    Ok(name)
}

/// The name in the index of an OCI layout.
fn name(source: &Address, dir: &Path, args: &TargetArgs) -> Result<String, Failure> {
    let name = layout_name(source, args)?;
    match source {
        Address::OciLayout { dir: own, tag }
            if own == dir && tag.as_ref() == Some(&name) && !args.overwrite =>
        {
            Err(overwrites(&source.to_string()))
        }
        _ => Ok(name),
    }
}

fn overwrites(name: &str) -> Failure {
    Failure::usage(format!("{} is the image itself", printable(name)))
        .hint("give another name with --tag, or allow it with --overwrite")
}

/// Whether a `--tag` is meant as a whole reference.
fn is_full(text: &str) -> bool {
    text.contains([':', '@', '/'])
}

fn full(text: &str) -> Result<Reference, Failure> {
    let target: Reference = text.parse().map_err(|e| Failure::of(Kind::Usage, &e))?;
    match target.tag() {
        Some(_) if target.digest().is_none() => Ok(target),
        Some(_) => Err(Failure::usage(format!("--tag {} has a digest", printable(text)))
            .hint("the digest of the patched image is not known before it is made")),
        None => Err(Failure::usage(format!("explicit reference {} does not contain a tag", printable(text)))
            .hint("give --tag as TAG or as REGISTRY/REPOSITORY:TAG")),
    }
}

fn suffixed(tag: Option<&str>, source: &str, args: &TargetArgs) -> Result<String, Failure> {
    let suffix = if args.tag_suffix.is_empty() { "patched" } else { &args.tag_suffix };
    let Some(tag) = tag else {
        let shown = printable(source);
        return Err(Failure::usage(format!(
            "failed to generate tag: no tag found in image reference {shown}"
        ))
        .hint("give the patched image a tag with --tag"));
    };
    Ok(format!("{tag}-{suffix}"))
}

fn bad_tag(shown: &str) -> Failure {
    Failure::usage(format!("\"{shown}\" is not a valid tag"))
        .hint("a tag has up to 128 letters, digits, _ . - and begins with a letter, digit or _")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(tag: Option<&str>, suffix: &str) -> TargetArgs {
        TargetArgs {
            tag: tag.map(str::to_owned),
            tag_suffix: suffix.to_owned(),
            push: true,
            oci_dir: None,
            to: Vec::new(),
            loader: None,
            overwrite: false,
            dry_run: false,
            format: crate::args::FormatArgs::default(),
        }
    }

    fn pushed(image: &str, tag: Option<&str>, suffix: &str) -> Result<String, String> {
        let found = delivery(&image.parse().unwrap(), &args(tag, suffix));
        found.map(|d| d.registry.unwrap().to_string()).map_err(|f| f.what)
    }

    fn laid_out(image: &str, dir: Option<&str>, tag: Option<&str>) -> Result<(String, String), String> {
        let args = TargetArgs { push: false, oci_dir: dir.map(Into::into), ..args(tag, "patched") };
        let found = delivery(&image.parse().unwrap(), &args).map_err(|f| f.what)?;
        assert_eq!(found.registry, None);
        let (dir, name) = found.layout.unwrap();
        Ok((dir.to_string_lossy().into_owned(), name))
    }

    #[test]
    fn names_are_made_as_asked() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (image, tag, suffix, name) in [
            ("nginx:1.21", None, "patched", "docker.io/library/nginx:1.21-patched"),
            ("nginx:1.21", None, "", "docker.io/library/nginx:1.21-patched"),
            ("reg:5000/a/b:1", None, "fixed", "reg:5000/a/b:1-fixed"),
            ("nginx:1.21", Some("x"), "patched", "docker.io/library/nginx:x"),
            ("nginx", Some("x"), "patched", "docker.io/library/nginx:x"),
            ("nginx:1.21", Some("reg.example/n:2"), "patched", "reg.example/n:2"),
            (&format!("nginx@{digest}"), Some("x"), "patched", "docker.io/library/nginx:x"),
            (&format!("nginx:1@{digest}"), None, "patched", "docker.io/library/nginx:1-patched"),
            ("oci:d:1", Some("reg.example/n:2"), "patched", "reg.example/n:2"),
        ] {
            assert_eq!(pushed(image, tag, suffix).as_deref(), Ok(name), "{image} {tag:?}");
        }
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for (image, tag, suffix, part) in [
            (
                "nginx",
                None,
                "patched",
                "failed to generate tag: no tag found in image reference docker.io/library/nginx",
            ),
            ("nginx:1", Some("reg.example/n"), "patched", "does not contain a tag"),
            ("nginx:1", Some("$(id)"), "patched", "is not a valid tag"),
            ("nginx:1", Some("-x"), "patched", "is not a valid tag"),
            ("nginx:1", Some("a\u{1b}[2J"), "patched", "a\\u{1b}[2J"),
            ("nginx:1", None, "a b", "is not a valid tag"),
            ("nginx:1", Some("1"), "patched", "is the image itself"),
            ("nginx", Some("latest"), "patched", "is the image itself"),
            ("oci:d:1", Some("x"), "patched", "is in no registry"),
        ] {
            let refused = pushed(image, tag, suffix).unwrap_err();
            assert!(refused.contains(part), "{image} {tag:?}: {refused}");
        }
    }

    #[test]
    fn replacing_the_original_has_to_be_asked_for() {
        let wanted = TargetArgs { overwrite: true, ..args(Some("1"), "patched") };
        let found = delivery(&"nginx:1".parse().unwrap(), &wanted).unwrap();
        assert_eq!(found.registry.unwrap().tag(), Some("1"));
        assert!(laid_out("oci:d:1", None, Some("1")).unwrap_err().contains("is the image itself"));
        assert!(laid_out("oci:d:1", Some("other"), Some("1")).is_ok());
    }

    #[test]
    fn layouts_take_a_name() {
        let ok = |dir: &str, name: &str| Ok((dir.to_owned(), name.to_owned()));
        assert_eq!(laid_out("oci:d:v1", None, None), ok("d", "v1-patched"));
        assert_eq!(laid_out("oci:d:v1", Some("e"), None), ok("e", "v1-patched"));
        assert_eq!(
            laid_out("oci:d:docker.io/library/a:1", None, None),
            ok("d", "docker.io/library/a:1-patched")
        );
        assert_eq!(laid_out("nginx:1", Some("e"), None), ok("e", "1-patched"));
        assert_eq!(laid_out("nginx:1", Some("e"), Some("r.example/n:y")), ok("e", "y"));
        assert!(laid_out("oci:d", None, None).is_err());
        assert!(laid_out("oci:d", None, Some("a b")).is_err());
    }

    fn placed(image: &str, change: impl FnOnce(&mut TargetArgs)) -> Result<Delivery, String> {
        let mut args = TargetArgs { push: false, ..args(None, "patched") };
        change(&mut args);
        delivery(&image.parse().unwrap(), &args).map_err(|f| f.to_string())
    }

    #[test]
    fn without_a_destination_it_goes_to_where_it_is() {
        let local = |reference: &str, loader| Some(Local { reference: reference.parse().unwrap(), loader });
        let found = placed("nginx:1", |_| ()).unwrap();
        assert_eq!(found.local, local("nginx:1-patched", None));
        assert_eq!(found.tag(), "1-patched");
        let found = placed("docker://nginx:1", |args| args.loader = Some(Loader::Podman)).unwrap();
        assert_eq!(found.local, local("nginx:1-patched", Some(Loader::Podman)));
        for (image, loader, to) in [
            ("docker-daemon:nginx:1", None, "docker-daemon:nginx:1-patched"),
            ("podman:nginx:1", None, "podman:nginx:1-patched"),
            ("containerd:a.example/b:1", None, "containerd:a.example/b:1-patched"),
            ("podman:nginx:1", Some(Loader::Docker), "docker-daemon:nginx:1-patched"),
        ] {
            let found = placed(image, |args| args.loader = loader).unwrap();
            assert_eq!((found.others, found.local), (vec![to.parse().unwrap()], None), "{image}");
        }
        for image in ["-", "oci-archive:f", "docker-archive:f:nginx:1"] {
            assert!(placed(image, |_| ()).unwrap_err().contains("no destination"), "{image}");
        }
    }

    #[test]
    fn destinations_are_named_as_fully_as_they_have_to_be() {
        for (image, to, found) in [
            ("nginx:1", "docker-daemon:x:2", "docker-daemon:x:2"),
            ("nginx:1", "docker-daemon:x", "docker-daemon:x:1-patched"),
            ("nginx:1", "docker://r.example/n", "docker://r.example/n:1-patched"),
            ("nginx:1", "oci:d", "oci:d:1-patched"),
            ("nginx:1", "oci:d:v", "oci:d:v"),
            ("nginx:1", "oci-archive:f", "oci-archive:f:1-patched"),
            ("nginx:1", "docker-archive:f", "docker-archive:f:docker.io/library/nginx:1-patched"),
            ("docker-archive:f:nginx:1", "podman:x", "podman:x:1-patched"),
            ("-", "-", "-"),
        ] {
            let placed = placed(image, |args| args.to = vec![to.to_owned()]).unwrap();
            assert_eq!((placed.others, placed.local), (vec![found.parse().unwrap()], None), "{image} {to}");
        }
        for (image, to, part) in [
            ("nginx:1", "nginx:2", "docker-daemon:docker.io/library/nginx:2"),
            ("nginx:1", "docker-daemon:nginx:1", "is the image itself"),
            ("nginx:1", "docker://nginx:1", "is the image itself"),
            ("oci:d:1", "oci:d:1", "is the image itself"),
            ("-", "docker-daemon:x", "no tag found"),
            ("-", "docker-archive:f", "is in no registry"),
            ("nginx:1", "oci:", "--to oci: is no destination"),
            ("nginx:1", &format!("podman:sha256:{}", "0".repeat(64)), "is no name"),
        ] {
            let refused = placed(image, |args| args.to = vec![to.to_owned()]).unwrap_err();
            assert!(refused.contains(part), "{image} {to}: {refused}");
        }
    }

    #[test]
    fn both_places_may_be_asked_for() {
        let both = TargetArgs { oci_dir: Some("e".into()), ..args(None, "patched") };
        let found = delivery(&"reg.example/a:1".parse().unwrap(), &both).unwrap();
        assert!(found.registry.is_some());
        assert_eq!(found.layout, Some(("e".into(), "1-patched".into())));
    }
}
