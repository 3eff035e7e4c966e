//! `copa inspect`: what is known of an image's patches.

use crate::{
    args::{FormatArgs, InspectArgs},
    error::Failure,
    exit::Kind,
    host,
    image_format::ImageFormat,
    output, places, registry_access,
    settings::Settings,
    stop::Stop,
    stored_source::StoredFirst,
    streams,
    ui::text::{bytes, counted, printable},
    wiring,
};
use embedded::{Embedded, EngineOptions, host::Mode};
use endpoint::{Address, Source};
use engine::{Context, Engine};
use patch::inspect::{
    InspectError, InspectRequest, Inspection, LayerInspection, PlatformInspection, inspect,
};
use std::{path::Path, sync::Arc};

/// Characters of a digest that tell it from others.
const SHORT: usize = "sha256:".len() + 12;

/// Looks and tells.
pub fn run(args: &InspectArgs, settings: &Settings) -> Result<(), Failure> {
    let address: Address = args.image.parse().map_err(Failure::from)?;
    streams::check(&address, None)?;
    let address = registry_access::whole(address, &args.image, settings, &args.run())?;
    let format = ImageFormat::check(&FormatArgs { base: args.base.clone(), ..FormatArgs::default() })?;
    // Unpacked layers are kept as whoever runs images wants them; what has no layers needs no such rights.
    let mode = args.packages.then(host::become_root).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::internal("cannot start threads").because(e.to_string()))?;
    let found = runtime.block_on(async {
        let stop = Stop::arm(args.timeout)?;
        let look = look(args, settings, (address, format), (mode, &stop));
        let done = stop.token.run_until_cancelled(look).await;
        let interrupted = || stop.failure().unwrap_or_else(|| Failure::new(Kind::Interrupted, "interrupted"));
        done.ok_or_else(interrupted)?.map_err(|failure| stop.failure().unwrap_or(failure))
    })?;
    let text = if args.json { as_json(&found)? } else { as_text(&found) };
    output::write(Path::new(output::STDOUT), text.as_bytes())
}

async fn look(
    args: &InspectArgs,
    settings: &Settings,
    (address, format): (Address, ImageFormat),
    (mode, stop): (Option<Mode>, &Stop),
) -> Result<Inspection, Failure> {
    let run = args.run();
    let client = wiring::client(settings, &settings.certificates(run.ca_cert.as_deref())?)?;
    let connections = wiring::connections(client, settings, &run, Arc::new(|_| ()))?;
    let folder =
        tempfile::tempdir().map_err(|e| Failure::internal("cannot make a folder").because(e.to_string()))?;
    let connections = connections
        .with_daemons(wiring::daemons(settings, folder.path()))
        .with_archives(streams::archives(folder.path(), None));
    let address = places::source(&connections, &address, args.remote).await;
    let about = || format!("cannot read image {}", printable(&args.image));
    let source = connections.source(&address).await;
    let mut source: Arc<dyn Source> =
        source.map_err(|e| Failure::endpoint(&e, Kind::Source).about(about()))?;
    let mut packages: Option<(Arc<dyn Engine>, Context)> = None;
    if let Some(mode) = mode {
        let store = Arc::new(host::open_store(settings, mode)?);
        source = Arc::new(StoredFirst { store: store.clone(), source });
        let context = Context { events: Arc::new(|_| ()), cancel: stop.token.clone() };
        packages = Some((Arc::new(Embedded::new(EngineOptions::new(store, mode))), context));
    }
    let base = format.base(&connections).await?;
    let platforms = args.platform.clone();
    let request = InspectRequest { name: args.image.clone(), source, base, platforms, packages };
    Ok(inspect(&request).await?)
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        use patch::Error as E;
        match error {
            InspectError::Source { name, source } => E::Source { name, source }.into(),
            InspectError::Base(source) => E::Base(source).into(),
            InspectError::Engine { source, .. } => E::Engine { engine: "embedded", source }.into(),
            InspectError::Database { name, source } => E::Adapter { name, source }.into(),
        }
    }
}

fn as_json(found: &Inspection) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(found);
    text.map(|t| t + "\n").map_err(|e| Failure::internal("cannot write the result").because(e.to_string()))
}

fn as_text(found: &Inspection) -> String {
    let mut text = format!("{}\n{}\n", printable(&found.name), found.digest);
    for platform in &found.platforms {
        text.push('\n');
        text.push_str(&platform_text(platform));
    }
    text
}

fn platform_text(platform: &PlatformInspection) -> String {
    let mut lines = vec![format!(
        "{}  {}  {}",
        printable(&platform.platform),
        short(&platform.digest),
        counted(usize::try_from(platform.layers).unwrap_or(usize::MAX), "layer")
    )];
    lines.push(format!("  {}", origin(platform)));
    if let Some(base) = &platform.base {
        let checked = if base.verified { "checked" } else { "not checked: it is not at hand" };
        let layers = counted(usize::try_from(base.layers).unwrap_or(usize::MAX), "layer");
        lines.push(format!(
            "  original   {}  {}  {layers} ({checked})",
            printable(&base.name),
            short(&base.digest)
        ));
    }
    lines.extend(
        platform.built_on.iter().map(|below| {
            format!("  built on   {}  {}", printable(&below.base_name), short(&below.base_digest))
        }),
    );
    lines.extend(platform.patches.iter().map(layer_line));
    for package in platform.packages.iter().flatten() {
        let version =
            |v: &Option<String>| v.as_deref().map_or("absent".to_owned(), |v| printable(v).into_owned());
        let (from, to) = (version(&package.from), version(&package.to));
        lines.push(format!("  package    {} {from} → {to}", printable(&package.name)));
    }
    lines.extend(platform.notes.iter().map(|note| format!("  note       {}", printable(note))));
    lines.join("\n") + "\n"
}

fn origin(platform: &PlatformInspection) -> &'static str {
    if !platform.platform.starts_with("linux/") {
        return "only Linux images can be patched";
    }
    match platform.origin.as_str() {
        "patched" => "patched by copa; patching it again takes the place of its patch layer",
        "patched-elsewhere" => "patched by another tool; patching it again takes the place of those layers",
        "built-on-patched" => "built on a patched image; patching it adds a layer",
        "unproven" => "says that it was patched, but not truly; patching it adds a layer",
        _ => "not patched; patching it adds a layer",
    }
}

fn layer_line(layer: &LayerInspection) -> String {
    let mut line =
        format!("  patch      layer {}  {}  {}", layer.layer + 1, short(&layer.digest), bytes(layer.size));
    for (word, said) in
        [("made", &layer.created), ("by copa", &layer.tool_version), ("plan", &layer.plan_digest)]
    {
        if let Some(said) = said {
            let said = if word == "plan" { short(said) } else { printable(said).into_owned() };
            line.push_str(&format!("  {word} {said}"));
        }
    }
    line
}

/// The beginning of a digest, or of whatever stands in its place.
fn short(digest: &str) -> String {
    printable(&digest.chars().take(SHORT).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use patch::inspect::BaseInspection;

    #[test]
    fn what_is_known_is_told_and_nothing_of_it_reaches_the_terminal_raw() {
        let layer = LayerInspection {
            layer: 2,
            digest: format!("sha256:{}", "a".repeat(64)),
            diff_id: String::new(),
            size: 2048,
            created: Some("2023-11-14T22:13:20Z".into()),
            created_by: None,
            tool_version: Some("1\u{1b}[2J".into()),
            plan_digest: None,
        };
        let platform = PlatformInspection {
            platform: "linux/amd64".into(),
            digest: "sha256:0".into(),
            media_type: String::new(),
            layers: 3,
            origin: "patched".into(),
            replaces_patch: true,
            base: Some(BaseInspection {
                name: "app:1\u{7}".into(),
                digest: "sha256:1".into(),
                layers: 2,
                verified: false,
            }),
            patches: vec![layer],
            built_on: Vec::new(),
            packages: None,
            notes: vec!["evil\u{1b}]0;x".into()],
        };
        let text = platform_text(&platform);
        for part in [
            "linux/amd64",
            "takes the place",
            "not checked",
            "layer 3",
            "2023-11-14T22:13:20Z",
            "sha256:aaaaaaaaaaaa ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let windows = PlatformInspection { platform: "windows/amd64".into(), ..platform };
        assert!(platform_text(&windows).contains("only Linux images can be patched"));
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
