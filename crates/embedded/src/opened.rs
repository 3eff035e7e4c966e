//! An opened image: its whole tree to read, and runs on top of its base.

use crate::{
    earlier, errors,
    foreign::Programs,
    held::Held,
    options::EngineOptions,
    ready::{self, Layer},
    run::Attempt,
    supervise::Stop,
};
use async_trait::async_trait;
use engine::{Context, Error, OpenRequest, Recipe, Root, Run};
use layer::{Changes, LayerDir, Overlay, Tree};
use std::{io, sync::Arc};
use tokio::runtime::Handle;

/// The image.
pub(crate) struct Opened {
    stack: Arc<Stack>,
    tree: Overlay,
    tooling: Option<Overlay>,
}

/// What a run needs to know of it.
#[derive(Clone)]
pub(crate) struct Stack {
    /// How the engine is set up.
    pub options: Arc<EngineOptions>,
    /// Layers that stay, lowest first.
    pub base: Vec<Layer>,
    /// Layers of an earlier patch, lowest first.
    pub earlier: Vec<Layer>,
    /// Layers of the image in whose tree steps run, lowest first; none where they run in the image itself.
    pub tooling: Vec<Layer>,
    /// What is known of the programs that run.
    pub programs: Programs,
}

/// What an image is opened from.
pub(crate) struct Parts {
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    /// How many of them, from the first, are the base.
    pub base_layers: usize,
    /// What is known of its programs.
    pub programs: Programs,
}

impl Opened {
    /// Of these parts.
    pub(crate) fn new(options: Arc<EngineOptions>, parts: Parts) -> Result<Self, layer::Error> {
        let Parts { mut layers, base_layers, programs } = parts;
        let tree = Overlay::new(topmost_first(&layers, None))?;
        let earlier = layers.split_off(base_layers);
        let stack = Stack { options, base: layers, earlier, tooling: Vec::new(), programs };
        Ok(Opened { stack: Arc::new(stack), tree, tooling: None })
    }
}

/// Whether an image has anything at all.
pub(crate) fn has_layers(request: &OpenRequest) -> Result<(), Error> {
    match request.image.layers.is_empty() || request.base_layers == 0 {
        false => Ok(()),
        true => Err(Error::Image {
            item: request.image.descriptor.digest.to_string(),
            why: "has no layers, so there is nothing to patch".into(),
        }),
    }
}

/// What a tree is made of: layers given lowest first, with something on top of them.
pub(crate) fn topmost_first(layers: &[Layer], top: Option<Arc<LayerDir>>) -> Vec<Arc<LayerDir>> {
    top.into_iter().chain(layers.iter().rev().map(|l| l.dir.clone())).collect()
}

#[async_trait]
impl Root for Opened {
    fn tree(&self) -> &dyn Tree {
        &self.tree
    }

    fn base(&self) -> Result<Box<dyn Tree>, Error> {
        let base = Overlay::new(topmost_first(&self.stack.base, None)).map_err(errors::of_layer)?;
        Ok(Box::new(Held::new(base, self.stack.clone())))
    }

    fn earlier(&self) -> Result<Option<Box<dyn Changes>>, Error> {
        earlier::changes(&self.stack)
    }

    async fn attach_tooling(&mut self, request: OpenRequest, context: &Context) -> Result<(), Error> {
        has_layers(&request)?;
        let layers = ready::all(&self.stack.options, &request, context).await?;
        self.tooling = Some(Overlay::new(topmost_first(&layers, None)).map_err(errors::of_layer)?);
        // Parts that were given out keep the stack that they are of.
        let stack = Arc::make_mut(&mut self.stack);
        stack.programs = stack.programs.and(Programs::of(&request.image.platform()));
        stack.tooling = layers;
        Ok(())
    }

    fn tooling(&self) -> Option<&dyn Tree> {
        self.tooling.as_ref().map(|tree| tree as &dyn Tree)
    }

    async fn run(&mut self, recipe: &Recipe, context: &Context) -> Result<Run, Error> {
        let fail = |source| Error::Io { doing: "starting a run".into(), source };
        let stop = Stop::new().map_err(fail)?;
        let attempt = Attempt {
            stack: self.stack.clone(),
            recipe: recipe.clone(),
            context: context.clone(),
            stop: stop.clone(),
            runtime: Handle::current(),
        };
        let _stops = stop.on_drop();
        let mut work = tokio::task::spawn_blocking(move || attempt.run());
        let done = tokio::select! {
            done = &mut work => done,
            () = context.cancel.cancelled() => {
                stop.pull();
                work.await
            }
        };
        done.map_err(|e| fail(io::Error::other(e)))?
    }
}
