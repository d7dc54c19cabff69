//! What a layer answers to an image, channel by channel.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::lang::{Context, Provenance, define, value_type};
use crate::model::Layer;
use crate::tensor::TensorValue;

/// The channels of a layer for one image.
#[derive(Clone, Debug)]
pub struct Activations {
    /// The layer.
    pub layer: Layer,
    /// The image as the network saw it.
    pub image: Image,
    /// How many channels there are.
    pub channels: usize,
    /// Height of a channel in units.
    pub height: usize,
    /// Width of a channel in units.
    pub width: usize,
    /// [channels, height, width] in row-major order.
    pub values: Vec<f32>,
    /// The call that made it.
    pub provenance: Option<String>,
}

value_type!(Activations, "activations", "activations", "The channels of a layer for one image.", remembers);

impl Provenance for Activations {
    fn provenance(&self) -> Option<&str> {
        self.provenance.as_deref()
    }

    fn made_by(self, call: &str) -> Self {
        Self { provenance: Some(call.to_owned()), ..self }
    }
}

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, height, width, .. } = self;
        write!(f, "{channels} channels of {height}×{width} of layer {}", self.layer.name())
    }
}

impl Activations {
    /// One channel, [height, width].
    pub fn channel(&self, index: usize) -> &[f32] {
        let size = self.height * self.width;
        self.values.get(index * size..(index + 1) * size).unwrap_or_default()
    }

    /// The channels' numbers, the one with the greatest mean first.
    pub fn by_strength(&self) -> Vec<usize> {
        let mean = |index: usize| self.channel(index).iter().sum::<f32>();
        let mut order: Vec<usize> = (0..self.channels).collect();
        order.sort_by(|a, b| mean(*b).total_cmp(&mean(*a)).then(a.cmp(b)));
        order
    }
}

/// What each channel of a layer answers to an image.
///
/// ```rhai
/// layer("fire2").activations(photo("china"))
/// ```
#[define]
fn activations(
    cx: &Context<'_>,
    /// The layer.
    layer: Layer,
    /// The image.
    image: Image,
) -> Result<Activations> {
    let model = layer.model();
    let view = model.view(&image)?;
    let values = layer.activations(&model.input(&view)?, cx.interrupt())?;
    let (channels, height, width) = match *values.dims() {
        [_, channels, height, width] => (channels, height, width),
        [_, units] => (units, 1, 1),
        ref dims => return Err(Error::new(Kind::Internal, format!("a layer answered with shape {dims:?}"))),
    };
    let values = values.flatten_all()?.to_vec1()?;
    Ok(Activations { layer: layer.clone(), image: view, channels, height, width, values, provenance: None })
}

/// Activations as a tensor [channels, height, width].
///
/// ```rhai
/// layer("conv1").activations(photo("china")).to_tensor().max()
/// ```
#[define]
fn to_tensor(
    /// The activations.
    activations: Activations,
) -> Result<TensorValue> {
    let Activations { channels, height, width, values, .. } = activations;
    TensorValue::from_values(values, &[channels, height, width])
}
