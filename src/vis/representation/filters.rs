//! The filters of a convolution: what its weights look like.

use std::fmt;

use crate::error::Result;
use crate::lang::{Provenance, define, value_type};
use crate::model::{Channels, Layer, without_weights};

/// The kernels of a convolution.
#[derive(Clone, Debug)]
pub struct Filters {
    /// Where they are from.
    pub layer: Layer,
    /// How many filters (output channels) the layer has.
    pub outputs: usize,
    /// How many channels each filter reads.
    pub inputs: usize,
    /// Height of a kernel.
    pub height: usize,
    /// Width of a kernel.
    pub width: usize,
    /// [outputs, inputs, height, width] in row-major order. For a layer that reads the image itself, the inputs
    /// are red, green and blue, whatever the network's own order is.
    pub weights: Vec<f32>,
    /// Does the layer read the image itself, so that its filters have colours?
    pub colored: bool,
    /// The call that made it.
    pub provenance: Option<String>,
}

value_type!(Filters, "filters", "filters", "The kernels of a convolution.", remembers);

impl Provenance for Filters {
    fn provenance(&self) -> Option<&str> {
        self.provenance.as_deref()
    }

    fn made_by(self, call: &str) -> Self {
        Self { provenance: Some(call.to_owned()), ..self }
    }
}

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outputs, inputs, height, width, .. } = self;
        write!(f, "{outputs} filters of {inputs}×{height}×{width} of layer {}", self.layer.name())
    }
}

impl Filters {
    /// The weights of one kernel, [height, width].
    pub fn kernel(&self, output: usize, input: usize) -> &[f32] {
        let size = self.height * self.width;
        let start = (output * self.inputs + input) * size;
        self.weights.get(start..start + size).unwrap_or_default()
    }

    /// The weights of one filter, [inputs, height, width].
    pub fn filter(&self, output: usize) -> &[f32] {
        let size = self.inputs * self.height * self.width;
        self.weights.get(output * size..(output + 1) * size).unwrap_or_default()
    }
}

/// The filters of a convolution: in colour for a layer that reads the image, as grey kernels for later ones.
///
/// ```rhai
/// layer("conv1").filters()
/// ```
#[define]
fn filters(
    /// The layer.
    layer: Layer,
) -> Result<Filters> {
    let weight = layer.weight().ok_or_else(|| without_weights(&layer, "filters"))?;
    let (outputs, inputs, height, width) = weight.dims4()?;
    let colored = layer.reads_image() && inputs == 3;
    let weight = if colored && layer.model().recipe().channels == Channels::Bgr {
        weight.index_select(&candle_core::Tensor::new(&[2u32, 1, 0], weight.device())?, 1)?
    } else {
        weight.clone()
    };
    let weights = weight.flatten_all()?.to_vec1()?;
    Ok(Filters { layer: layer.clone(), outputs, inputs, height, width, weights, colored, provenance: None })
}
