//! `copa cache`: what is kept, and less of it.

use crate::{
    args::{CacheCommand, ListArgs, PruneArgs},
    error::Failure,
    host, output,
    settings::Settings,
    ui::text::{bytes, counted, printable, table, took},
};
use serde_json::json;
use std::{
    path::Path,
    time::{Duration, SystemTime},
};
use store::{Item, ItemKind, PruneOptions};

/// Lists or prunes.
pub fn run(command: &CacheCommand, settings: &Settings) -> Result<(), Failure> {
    match command {
        CacheCommand::Ls(args) => list(args, settings),
        CacheCommand::Prune(args) => prune(args, settings),
    }
}

fn list(args: &ListArgs, settings: &Settings) -> Result<(), Failure> {
    let items = match settings.cache_dir.exists() {
        true => host::open_store(settings, host::become_root()?)?.list()?,
        false => Vec::new(),
    };
    let text = if args.json { as_json(&items, settings) } else { as_text(&items, settings) };
    output::write(Path::new(output::STDOUT), text.as_bytes())
}

fn as_json(items: &[Item], settings: &Settings) -> String {
    let entry = |item: &Item| {
        let used = item.used.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        json!({"kind": kind(item.kind), "name": item.name, "bytes": item.bytes, "usedSeconds": used})
    };
    let entries: Vec<_> = items.iter().map(entry).collect();
    let whole = json!({
        "schemaVersion": "copa.sh/cache/v1", "dir": settings.cache_dir.to_string_lossy(),
        "bytes": total(items), "entries": entries,
    });
    format!("{whole:#}\n")
}

fn as_text(items: &[Item], settings: &Settings) -> String {
    let dir = settings.cache_dir.to_string_lossy();
    if items.is_empty() {
        return format!("{} is empty\n", printable(&dir));
    }
    let now = SystemTime::now();
    let row = |item: &Item| {
        let age = now.duration_since(item.used).unwrap_or(Duration::ZERO);
        vec![
            kind(item.kind).to_owned(),
            printable(&item.name).into_owned(),
            bytes(item.bytes),
            format!("{} ago", rough(age)),
        ]
    };
    let head = ["KIND", "NAME", "SIZE", "USED"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(items.iter().map(row)).collect();
    let sum = format!("{} in {}, {}", bytes(total(items)), counted(items.len(), "item"), printable(&dir));
    format!("{}{sum}\n", table(&rows, 0))
}

fn total(items: &[Item]) -> u64 {
    items.iter().map(|i| i.bytes).sum()
}

fn rough(age: Duration) -> String {
    const DAY: u64 = 86_400;
    match age.as_secs() {
        0..DAY => took(age),
        seconds => counted((seconds / DAY) as usize, "day"),
    }
}

fn kind(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Layer => "layer",
        ItemKind::Blob => "blob",
        ItemKind::Http => "download",
    }
}

fn prune(args: &PruneArgs, settings: &Settings) -> Result<(), Failure> {
    let options = PruneOptions {
        all: args.all,
        older_than: args
            .older_than
            .map(|age| SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)),
        size_max: args.max_size,
        dry_run: args.dry_run,
        ..PruneOptions::default()
    };
    let pruned = match settings.cache_dir.exists() {
        true => host::open_store(settings, host::become_root()?)?.prune(&options)?,
        false => store::Pruned::default(),
    };
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let mut text = format!("{} in {} {verb}\n", bytes(pruned.bytes), counted(pruned.items as usize, "item"));
    if pruned.in_use > 0 {
        text.push_str(&format!("{} in use and kept\n", counted(pruned.in_use as usize, "item")));
    }
    output::write(Path::new(output::STDOUT), text.as_bytes())
}
