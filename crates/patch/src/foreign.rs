//! Images of another platform than this host's: they can be patched where no program of theirs has to run, which only shows
//! when one has looked into them, or where the engine can run such programs.

use adapter::Strategy;
use endpoint::{Error, Source, SourceImage};
use engine::{Context, Engine};
use oci::Platform;

/// The image for a platform. Where the name leads to one of another platform alone and nobody asked for a certain one, that one.
pub(crate) async fn image(source: &dyn Source, wanted: &Platform) -> Result<SourceImage, Error> {
    let error = match source.image(wanted).await {
        Ok(image) => return Ok(image),
        Err(error) => error,
    };
    match &error {
        Error::OtherPlatform { found, .. } if *wanted == Platform::host() => {
            source.image(found).await.map_err(|_| error)
        }
        _ => Err(error),
    }
}

/// Refuses an image whose programs the engine cannot run, where one of them would have to.
pub(crate) async fn refuse(
    engine: &dyn Engine,
    platform: &Platform,
    strategy: Strategy,
    context: &Context,
) -> Result<(), engine::Error> {
    match strategy {
        Strategy::InPlace | Strategy::Outside => engine.can_run(platform, context).await,
        Strategy::Unpacked => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use engine::{OpenRequest, Root};

    /// Knows of no emulator.
    struct Plain;

    #[async_trait]
    impl Engine for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        fn proxy_url(&self) -> Option<String> {
            None
        }

        async fn open(&self, _: OpenRequest, _: &Context) -> Result<Box<dyn Root>, engine::Error> {
            Err(engine::Error::Cancelled)
        }
    }

    #[tokio::test]
    async fn only_what_runs_needs_an_engine_that_runs_it() {
        let (host, other) = (Platform::host(), Platform::new("linux", "pdp11", None));
        let variant = Platform { variant: Some("v3".into()), ..host.clone() };
        for (platform, strategy, want) in [
            (&host, Strategy::InPlace, true),
            (&variant, Strategy::InPlace, true),
            (&other, Strategy::InPlace, false),
            (&other, Strategy::Outside, false),
            (&other, Strategy::Unpacked, true),
        ] {
            let refused = refuse(&Plain, platform, strategy, &Context::silent()).await.map_err(|e| match e {
                engine::Error::Unavailable { what, remedy, .. } => {
                    assert!(what.contains("not enabled for platform linux/pdp11"), "{what}");
                    assert!(!remedy.is_empty());
                }
                other => panic!("{other}"),
            });
            assert_eq!(refused.is_ok(), want, "{platform} {strategy:?}");
        }
    }
}
