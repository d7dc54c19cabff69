//! Another image that an objective compares with, and what a layer makes of it.

use std::cell::RefCell;

use candle_core::Tensor;

use super::channel::label;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Layer, LayerName, Model};

/// The size at which a network looks at the other image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// The network's own.
    Network,
    /// The image's own.
    Own,
    /// That of the input it is compared with: [height, width].
    Input([usize; 2]),
}

/// Another image, seen through a layer. What the layer makes of it is kept for the network and size that were asked last.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    image: Image,
    layer: Option<LayerName>,
    seen: RefCell<Option<(Model, Size, Tensor)>>,
}

impl Reference {
    /// An image and a layer; without one, the network's last that has places.
    pub(super) fn new(image: Image, layer: Option<LayerName>) -> Self {
        Self { image, layer, seen: RefCell::default() }
    }

    /// The network that the layer decides, if it is a handle.
    pub(super) fn model(&self) -> Option<&Model> {
        self.layer.as_ref()?.handle().map(Layer::model)
    }

    pub(super) fn layer(&self, model: &Model) -> Result<Layer> {
        self.layer.as_ref().map_or_else(|| model.default_cam_layer(), |layer| layer.find(model))
    }

    /// What the layer is called in a description.
    pub(super) fn label(&self, model: &Model) -> String {
        match &self.layer {
            Some(layer) => label(layer, model),
            None => self.layer(model).map_or_else(|_| "?".to_owned(), |layer| layer.name().to_owned()),
        }
    }

    /// Has the layer look at the image.
    ///
    /// # Errors
    /// There is no such layer, the image is too small for it, or the run was interrupted.
    pub(super) fn look(&self, job: &Job, model: &Model, size: Size) -> Result<()> {
        if self.seen.borrow().as_ref().is_some_and(|(of, at, _)| of.same(model) && *at == size) {
            return Ok(());
        }
        let view = match size {
            Size::Network => model.view(&self.image)?,
            Size::Own => self.image.flatten(crate::image::WHITE),
            Size::Input([height, width]) => self.image.flatten(crate::image::WHITE).resize(width, height)?,
        };
        let input = model.recipe().to_input(&view.tensor()?)?;
        let activations = self.layer(model)?.activations(&input, job.interrupt())?.detach();
        *self.seen.borrow_mut() = Some((model.clone(), size, activations));
        Ok(())
    }

    /// What the layer made of the image when it last looked, `[1, …]`.
    ///
    /// # Errors
    /// It has not looked.
    pub(super) fn activations(&self) -> Result<Tensor> {
        let seen = self.seen.borrow();
        let seen = seen.as_ref().ok_or_else(|| Error::new(Kind::Internal, "the other image has not been looked at"))?;
        Ok(seen.2.clone())
    }
}
