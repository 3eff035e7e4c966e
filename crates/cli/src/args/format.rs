//! Flags on what the patched image is made of: its layers' compression, its original, what referred to it.

/// How layers are compressed, and what an image made before says.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Patched image")]
pub struct FormatArgs {
    /// How the patch layer is compressed, wherever it goes: gzip, zstd, uncompressed
    ///
    /// Images in docker's format take gzip and uncompressed only, unless they have zstd layers already.
    #[arg(long, value_name = "COMPRESSION", default_value = "gzip", value_parser = parse_compression)]
    pub compression: Compression,

    /// How hard: 1 to 9 for gzip, 1 to 19 for zstd [default: 4, 3]
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<i32>,

    /// Compress the original's layers anew too, where they are compressed otherwise
    ///
    /// Without it they stay as they are, byte for byte. What they hold is the same, but they have other digests then: registries and
    /// hosts that have the original share nothing with the patched image.
    #[arg(long)]
    pub force_compression: bool,

    /// What becomes of signatures, SBOMs and attestations about the original: drop, keep, mark
    ///
    /// They are true of the original only. drop: those in the index are left out, others stay with the original. keep: those in the
    /// index stay in it. mark: they stay too, and are said to be stale. Preserved platforms always keep theirs.
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    pub referrers: ReferrersChoice,

    /// The original of an image that another tool has patched: what lies above its layers becomes part of the patch layer
    ///
    /// Needed only where the original is not in the image's own repository. It must be the original: its layers the first of the
    /// image's.
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<String>,
}

impl Default for FormatArgs {
    fn default() -> Self {
        FormatArgs {
            compression: Compression::Gzip,
            compression_level: None,
            force_compression: false,
            referrers: ReferrersChoice::Drop,
            base: None,
        }
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip
    Gzip,
    /// zstd
    Zstd,
    /// Not at all
    Uncompressed,
}

/// What becomes of what refers to the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReferrersChoice {
    /// Left behind, with a note
    Drop,
    /// Those in the index stay
    Keep,
    /// Those in the index stay, said to be stale
    Mark,
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "uncompressed" => Ok(Compression::Uncompressed),
        "estargz" => {
            Err("estargz is not supported; its layers are gzip to most readers: take gzip, or zstd"
                .to_owned())
        }
        _ => Err("want gzip, zstd or uncompressed".to_owned()),
    }
}
