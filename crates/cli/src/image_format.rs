//! What the patched image is to be made of: as typed → as meant, checked before any work is done.

use crate::{
    args::{Compression, FormatArgs, ReferrersChoice},
    error::Failure,
    exit::Kind,
};
use endpoint::{Address, Connections, Source};
use oci::media_type;
use patch::Referrers;
use std::sync::Arc;

/// What was asked for.
pub struct ImageFormat {
    /// How the patch layer is compressed.
    pub compression: media_type::Compression,
    /// How hard.
    pub level: Option<i32>,
    /// Whether the original's layers are compressed so, too.
    pub reencode_base: bool,
    /// What becomes of what refers to the original.
    pub referrers: Referrers,
    base: Option<Address>,
}

impl ImageFormat {
    /// Checks what needs no work.
    pub fn check(args: &FormatArgs) -> Result<Self, Failure> {
        let compression = match args.compression {
            Compression::Gzip => media_type::Compression::Gzip,
            Compression::Zstd => media_type::Compression::Zstd,
            Compression::Uncompressed => media_type::Compression::None,
        };
        let base = args.base.as_deref().map(str::parse::<Address>).transpose();
        Ok(ImageFormat {
            compression,
            level: args.compression_level.map(|level| level_of(compression, level)).transpose()?,
            reencode_base: args.force_compression,
            referrers: match args.referrers {
                ReferrersChoice::Drop => Referrers::Drop,
                ReferrersChoice::Keep => Referrers::Keep,
                ReferrersChoice::Mark => Referrers::Mark,
            },
            base: base.map_err(|e| Failure::from(e).about("--base is no image".to_owned()))?,
        })
    }

    /// The original that the user names.
    pub async fn base(&self, connections: &Connections) -> Result<Option<Arc<dyn Source>>, Failure> {
        let Some(address) = &self.base else { return Ok(None) };
        let source = connections.source(address).await;
        let source = source.map_err(|e| {
            Failure::endpoint(&e, Kind::Source).about(format!("cannot read the original {address}"))
        })?;
        Ok(Some(source))
    }
}

fn level_of(compression: media_type::Compression, level: i32) -> Result<i32, Failure> {
    match layer::levels(compression) {
        Some(levels) if levels.contains(&level) => Ok(level),
        Some(levels) => Err(Failure::usage(format!("there is no compression level {level}")).hint(format!(
            "want {} to {}",
            levels.start(),
            levels.end()
        ))),
        None => Err(Failure::usage("what is not compressed has no level")
            .hint("leave out --compression-level, or choose gzip or zstd with --compression")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_compression() {
        for (compression, level, good) in [
            (Compression::Gzip, 1, true),
            (Compression::Gzip, 9, true),
            (Compression::Gzip, 10, false),
            (Compression::Gzip, 0, false),
            (Compression::Zstd, 19, true),
            (Compression::Zstd, -1, false),
            (Compression::Zstd, 100, false),
            (Compression::Uncompressed, 1, false),
        ] {
            let args = FormatArgs { compression, compression_level: Some(level), ..FormatArgs::default() };
            let found = ImageFormat::check(&args).map(|f| f.level);
            assert_eq!(found.ok(), good.then_some(Some(level)), "{compression:?} {level}");
        }
        let plain = ImageFormat::check(&FormatArgs::default()).unwrap();
        assert_eq!((plain.compression, plain.level), (media_type::Compression::Gzip, None));
    }

    #[test]
    fn the_original_is_an_image() {
        let args = |base: &str| FormatArgs { base: Some(base.to_owned()), ..FormatArgs::default() };
        assert!(ImageFormat::check(&args("oci:dir:1")).is_ok());
        assert!(ImageFormat::check(&args("a b")).is_err());
    }
}
