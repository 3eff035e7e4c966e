//! Making every layer of an image ready: in the store, verified and unpacked, and kept there while it is used.

use crate::{errors, incoming::Incoming, options::EngineOptions};
use engine::{BlobSource, Context, Error, Event, LayerStage, OpenRequest};
use layer::{LayerDir, Limits};
use oci::{ImageLayer, media_type};
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use store::{AddOptions, BlobSpec, Store, StoredLayer};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

/// A layer of an opened image.
#[derive(Clone)]
pub(crate) struct Layer {
    /// To read.
    pub dir: Arc<LayerDir>,
    /// In the store, and kept there while this lives.
    pub stored: Arc<StoredLayer>,
}

impl Layer {
    /// Where it is unpacked.
    pub(crate) fn path(&self) -> PathBuf {
        self.stored.root_path()
    }
}

/// All layers, lowest first.
pub(crate) async fn all(
    options: &EngineOptions,
    request: &OpenRequest,
    context: &Context,
) -> Result<Vec<Layer>, Error> {
    // One that fails ends the others.
    let context = Context { cancel: context.cancel.child_token(), ..context.clone() };
    let _ends_others = context.cancel.clone().drop_guard();
    let places = Arc::new(Semaphore::new(options.parallel_layers.max(1)));
    let mut tasks = JoinSet::new();
    let mut known = HashMap::new();
    for layer in &request.image.layers {
        // The same layer may stand in an image more than once.
        if known.insert(layer.diff_id.clone(), None).is_some() {
            continue;
        }
        let one = One {
            store: options.store.clone(),
            layer: layer.clone(),
            blobs: request.blobs.clone(),
            keep_blob: request.keep_blobs,
            context: context.clone(),
            runtime: Handle::current(),
        };
        let places = places.clone();
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let diff_id = one.layer.diff_id.clone();
            let done = tokio::task::spawn_blocking(move || one.ready()).await;
            (diff_id, done)
        });
    }
    let mut failed = None;
    while let Some(ended) = tasks.join_next().await {
        let lost = |e: tokio::task::JoinError| errors::io("unpacking a layer", std::io::Error::other(e));
        let one = ended.and_then(|(diff_id, done)| Ok((diff_id, done?)));
        match one.map_err(lost).and_then(|(diff_id, done)| Ok((diff_id, done?))) {
            Ok((diff_id, layer)) => drop(known.insert(diff_id, Some(layer))),
            Err(error) => {
                // The others clean up behind them before anybody hears of it; what they say is only that they were ended.
                context.cancel.cancel();
                failed.get_or_insert(error);
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let found = |layer: &ImageLayer| known.get(&layer.diff_id).cloned().flatten();
    Ok(request.image.layers.iter().filter_map(found).collect())
}

/// One layer and all that it takes to get it.
struct One {
    store: Arc<Store>,
    layer: ImageLayer,
    blobs: Arc<dyn BlobSource>,
    keep_blob: bool,
    context: Context,
    runtime: Handle,
}

impl One {
    fn ready(self) -> Result<Layer, Error> {
        let stored = match self.there()? {
            Some(stored) => stored,
            None => self.added()?,
        };
        let dir = stored.layer_dir().map_err(|e| self.failed(e))?;
        Ok(Layer { dir, stored: Arc::new(stored) })
    }

    /// The layer, if it is in the store with all that is asked for.
    fn there(&self) -> Result<Option<StoredLayer>, Error> {
        let descriptor = &self.layer.descriptor;
        if self.keep_blob && !self.has_blob()? {
            return Ok(None);
        }
        let found = self.store.layer(&self.layer.diff_id).map_err(|e| self.failed(e))?;
        if found.is_some() {
            self.tell(descriptor.size, LayerStage::Cached);
        }
        Ok(found)
    }

    fn has_blob(&self) -> Result<bool, Error> {
        let digest = &self.layer.descriptor.digest;
        Ok(self.store.blob(digest).map_err(|e| self.failed(e))?.is_some())
    }

    fn added(&self) -> Result<StoredLayer, Error> {
        let cancel = || self.context.cancel.is_cancelled();
        let _alone = self.store.lock_layer(&self.layer.diff_id, &cancel).map_err(|e| self.failed(e))?;
        if let Some(meanwhile) = self.there()? {
            return Ok(meanwhile);
        }
        let unpacked = self.store.layer(&self.layer.diff_id).map_err(|e| self.failed(e))?;
        self.tell(0, LayerStage::Pulling);
        let mut incoming = self.open()?;
        let added = match unpacked {
            Some(stored) => self.add_blob(&mut incoming).map(|()| stored),
            None => self.add_layer(&mut incoming),
        };
        let digest = self.layer.descriptor.digest.to_string();
        let stored = added.map_err(|error| match incoming.failure() {
            Some(source) => Error::Source { item: digest, source: source.into() },
            None => error,
        })?;
        self.tell(self.layer.descriptor.size, LayerStage::Ready);
        Ok(stored)
    }

    /// The blob alone, for the destination; the layer is unpacked already.
    fn add_blob(&self, incoming: &mut Incoming) -> Result<(), Error> {
        let descriptor = &self.layer.descriptor;
        self.store.add_blob(incoming, &descriptor.digest, descriptor.size).map_err(|e| self.failed(e))
    }

    fn add_layer(&self, incoming: &mut Incoming) -> Result<StoredLayer, Error> {
        let cancel = || self.context.cancel.is_cancelled();
        let descriptor = &self.layer.descriptor;
        let compression = media_type::compression(&descriptor.media_type).ok_or_else(|| Error::Image {
            item: descriptor.digest.to_string(),
            why: format!("layers of type {} are not supported", descriptor.media_type.escape_debug()),
        })?;
        let blob = BlobSpec { digest: descriptor.digest.clone(), size: descriptor.size, compression };
        let progress = |done: u64| self.tell(done, LayerStage::Pulling);
        let add = AddOptions {
            limits: Limits::default(),
            keep_blob: self.keep_blob,
            cancel: &cancel,
            progress: &progress,
        };
        self.store.add_layer(&blob, &self.layer.diff_id, incoming, &add).map_err(|e| self.failed(e))
    }

    fn open(&self) -> Result<Incoming, Error> {
        let (cancel, runtime) = (self.context.cancel.clone(), self.runtime.clone());
        let stream = runtime.block_on(async {
            tokio::select! {
                () = cancel.cancelled() => Err(Error::Cancelled),
                opened = self.blobs.open(&self.layer.descriptor) => opened,
            }
        })?;
        Ok(Incoming::new(stream, cancel, runtime))
    }

    fn tell(&self, done: u64, stage: LayerStage) {
        let descriptor = &self.layer.descriptor;
        let digest = descriptor.digest.clone();
        (self.context.events)(Event::Layer { digest, done, total: descriptor.size, stage });
    }

    fn failed(&self, error: store::Error) -> Error {
        if self.context.cancel.is_cancelled() { Error::Cancelled } else { errors::of_store(error) }
    }
}
