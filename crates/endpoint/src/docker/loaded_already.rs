//! Which layers a daemon has, told by the images it has: a layer is there where an image begins with it and those below it.

use super::api::Client;
use crate::Error;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::DiffId;

/// Images that are looked at, the newest first: the base of what is patched is seldom older than that, and each costs a question.
const IMAGES_MAX: usize = 64;
/// Questions at once.
const AT_ONCE: usize = 8;

/// The layers of images, lowest first.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Vec<DiffId>>);

impl Held {
    /// Whether layers are there, lowest first.
    pub(super) fn has(&self, layers: &[DiffId]) -> bool {
        self.0.iter().any(|image| image.starts_with(layers))
    }
}

/// Asks for them. Images that go meanwhile are left out.
pub(super) async fn held(client: &Client) -> Result<Held, Error> {
    let ids = client.images().await?;
    let layers = stream::iter(ids.into_iter().take(IMAGES_MAX)).map(|id| async move {
        let found = client.inspect(id.as_str(), false).await?;
        Ok::<_, Error>(found.map(|image| image.diff_ids))
    });
    let layers: Vec<Option<Vec<DiffId>>> = layers.buffered(AT_ONCE).try_collect().await?;
    Ok(Held(layers.into_iter().flatten().filter(|ids| !ids.is_empty()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::Digest;

    #[test]
    fn layers_are_there_only_above_the_same_ones() {
        let ids = |names: &[&str]| names.iter().map(|n| DiffId(Digest::of(n.as_bytes()))).collect::<Vec<_>>();
        let held = Held(vec![ids(&["a", "b", "c"]), ids(&["x"])]);
        for (layers, there) in [
            (&["a"][..], true),
            (&["a", "b", "c"], true),
            (&["b"], false),
            (&["a", "b", "c", "d"], false),
            (&["x"], true),
        ] {
            assert_eq!(held.has(&ids(layers)), there, "{layers:?}");
        }
    }
}
