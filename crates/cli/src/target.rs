//! Where the patched image goes and what it will be called there. Pure: decided before any work is done.

use crate::{args::TargetArgs, error::Failure, exit::Kind, ui::text::printable};
use endpoint::Address;
use oci::{Reference, is_tag};
use std::path::{Path, PathBuf};

/// Where the patched image goes: one place or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To a registry.
    pub registry: Option<Reference>,
    /// Into an OCI layout, under a name.
    pub layout: Option<(PathBuf, String)>,
}

impl Delivery {
    /// The tag it will have.
    pub fn tag(&self) -> &str {
        let registry = self.registry.as_ref().and_then(Reference::tag);
        registry.or(self.layout.as_ref().map(|(_, name)| name.as_str())).unwrap_or_default()
    }
}

/// From what was typed.
pub fn delivery(source: &Address, args: &TargetArgs) -> Result<Delivery, Failure> {
    let own_layout = match source {
        Address::OciLayout { dir, .. } if !args.push => Some(dir),
        _ => None,
    };
    let layout = args.oci_dir.as_ref().or(own_layout);
    if layout.is_none() && !args.push {
        return Err(Failure::usage("there is no destination for the patched image")
            .hint("--push sends it to the registry, --oci-dir DIR writes an OCI layout, --dry-run only shows the plan"));
    }
    let registry = args.push.then(|| reference(source, args)).transpose()?;
    let layout = layout.map(|dir| name(source, dir, args).map(|name| (dir.clone(), name))).transpose()?;
    Ok(Delivery { registry, layout })
}

/// The reference in a registry.
fn reference(source: &Address, args: &TargetArgs) -> Result<Reference, Failure> {
    let target = match (source, args.tag.as_deref()) {
        (_, Some(text)) if is_full(text) => full(text)?,
        (Address::Plain(source) | Address::Registry(source), Some(tag)) => {
            source.with_tag(tag).map_err(|e| bad_tag(&e.escaped))?
        }
        (Address::Plain(source) | Address::Registry(source), None) => {
            let tag = suffixed(source.tag(), &source.to_string(), args)?;
            source.with_tag(&tag).map_err(|e| bad_tag(&e.escaped))?
        }
        _ => {
            return Err(Failure::usage(format!(
                "{} is in no registry to push to",
                printable(&source.to_string())
            ))
            .hint("give --tag as REGISTRY/REPOSITORY:TAG"));
        }
    };
    match source {
        Address::Plain(source) | Address::Registry(source) if !args.overwrite && is_same(source, &target) => {
            Err(overwrites(&target.to_string()))
        }
        _ => Ok(target),
    }
}

fn is_same(source: &Reference, target: &Reference) -> bool {
    let tag = |r: &Reference| r.tag().unwrap_or("latest").to_owned();
    let place = |r: &Reference| (r.host().to_owned(), r.repository().to_owned(), tag(r));
    source.digest().is_none() && place(source) == place(target)
}

/// The name in the index of an OCI layout.
fn name(source: &Address, dir: &Path, args: &TargetArgs) -> Result<String, Failure> {
    let own = match source {
        Address::Plain(reference) | Address::Registry(reference) => reference.tag(),
        Address::OciLayout { tag, .. } => tag.as_deref(),
        _ => None,
    };
    let name = match args.tag.as_deref() {
        Some(text) if is_full(text) => full(text)?.tag().unwrap_or_default().to_owned(),
        Some(text) if is_tag(text) => text.to_owned(),
        Some(text) => return Err(bad_tag(&printable(text))),
        None => suffixed(own, &source.to_string(), args)?,
    };
    // The grammar of names in layouts is another than that of tags.
    format!("oci:x:{name}").parse::<Address>().map_err(|_| bad_tag(&printable(&name)))?;
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
            overwrite: false,
            dry_run: false,
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
        assert!(laid_out("nginx:1", None, None).unwrap_err().contains("no destination"));
    }

    #[test]
    fn both_places_may_be_asked_for() {
        let both = TargetArgs { oci_dir: Some("e".into()), ..args(None, "patched") };
        let found = delivery(&"reg.example/a:1".parse().unwrap(), &both).unwrap();
        assert!(found.registry.is_some());
        assert_eq!(found.layout, Some(("e".into(), "1-patched".into())));
    }
}
