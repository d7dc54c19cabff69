//! The filters of a convolution: what its weights look like, as they are or through the layers below.

use std::fmt;

use candle_core::{D, Tensor};

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Provenance, function, value_type};
use crate::model::{Channels, Graph, Layer, Model, NodeId, Op, without_weights};
use crate::tensor::batch_norm_scale;

/// The kernels of a convolution.
#[derive(Clone, Debug)]
pub struct Filters {
    /// Where they are from.
    pub layer: Layer,
    /// `[outputs, inputs, height, width]`. For a layer that reads the image itself, the inputs are red, green and blue,
    /// whatever the network's own order is.
    pub weights: Tensor,
    /// Does the layer read the image itself, so that its filters have colours?
    pub colored: bool,
    /// What each filter is a sum of at the image, `[outputs, 3 or 1, height, width]`, if it was asked for or the kernels
    /// have no extent of their own.
    pub through: Option<Through>,
    /// The call that made it.
    pub provenance: Provenance,
}

/// Filters seen through the layers below: what they would answer to if everything between were linear.
#[derive(Clone, Debug)]
pub struct Through {
    /// `[outputs, image channels, height, width]`, red first.
    pub weights: Tensor,
    /// The layers on the way that are not linear, which are left out: "ReLU", "max pooling".
    pub left_out: Vec<&'static str>,
}

value_type!(Filters, "filters", "filters", "The kernels of a convolution.", provenance);

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.weights.dims() {
            [outputs, inputs, height, width] => {
                write!(f, "{outputs} filters of {inputs}×{height}×{width} of layer {}", self.layer.name())
            }
            dims => write!(f, "filters {dims:?} of layer {}", self.layer.name()),
        }
    }
}

/// The filters of a convolution: in colour for a layer that reads the image, as a matrix of grey kernels for later ones.
///
/// Kernels of one pixel have no picture of their own. They are shown *through* the layers below as well: each output
/// channel as the sum of the first filters that it weights. That is what it would look for if everything between were
/// linear: ReLU and the choice of max pooling are left out.
///
/// ```rhai
/// layer("conv1").filters()
/// ```
///
/// ```rhai
/// layer("conv3").filters(through=true)
/// ```
#[function]
pub fn filters(
    job: &Job,
    /// The layer.
    layer: &Layer,
    /// Whether later filters are shown through the layers below too; for kernels of one pixel they are, if not said.
    #[default]
    through: Option<bool>,
) -> Result<Filters> {
    let weight = layer.weight().ok_or_else(|| without_weights(layer, "filters"))?;
    let Ok((_, inputs, height, width)) = weight.dims4() else {
        let message = format!("filters: {} is no convolution: it is {}", layer.name(), layer.node().op);
        return Err(Error::new(Kind::Argument, message).at_argument("layer"));
    };
    let reads_image = layer.reads_image();
    let colored = reads_image && inputs == 3;
    let weights = if reads_image { red_first(layer.model(), weight)? } else { weight.clone() };
    let wanted = through.unwrap_or(height * width == 1);
    let through = match wanted && !reads_image {
        true => match seen_through(job, layer) {
            Err(error) if through.is_none() && error.kind() == Kind::Argument => None,
            found => Some(found?),
        },
        false => None,
    };
    Ok(Filters { layer: layer.clone(), weights, colored, through, provenance: None })
}

/// Weights over the image's channels, red first.
fn red_first(model: &Model, weights: &Tensor) -> Result<Tensor> {
    if weights.dim(1)? == 3 && model.recipe().channels == Channels::Bgr {
        return Ok(weights.index_select(&Tensor::new(&[2u32, 1, 0], weights.device())?, 1)?);
    }
    Ok(weights.clone())
}

/// Composed kernels may not be larger than this, in pixels of the image.
const LARGEST: usize = 128;

/// The filters of a layer as linear functions of the image.
fn seen_through(job: &Job, layer: &Layer) -> Result<Through> {
    let mut walk = Walk { job, layer, graph: layer.model().graph(), left_out: Vec::new() };
    let weights = layer.weight().ok_or_else(|| without_weights(layer, "filters"))?;
    let grouped = matches!(&layer.node().op, Op::Conv2d(conv) if conv.params.groups > 1);
    let [input] = layer.node().inputs[..] else { return Err(walk.stuck(layer.id())) };
    if grouped {
        return Err(walk.stuck(layer.id()));
    }
    let weights = red_first(layer.model(), &walk.down(input, weights.clone())?)?;
    Ok(Through { weights, left_out: walk.left_out })
}

/// From a layer down to the image.
struct Walk<'a> {
    job: &'a Job<'a>,
    layer: &'a Layer,
    graph: &'a Graph,
    left_out: Vec<&'static str>,
}

impl Walk<'_> {
    /// Kernels `[outputs, channels of a node, h, w]` over a node, as kernels over the image.
    fn down(&mut self, node: NodeId, kernels: Tensor) -> Result<Tensor> {
        self.job.interrupt().check()?;
        if kernels.dim(D::Minus1)?.max(kernels.dim(D::Minus2)?) > LARGEST {
            let message = format!("filters: {} is too far from the image to be shown through it", self.layer.name());
            let error = Error::new(Kind::Argument, message).at_argument("layer");
            return Err(error.with_hint(format!("its kernels would be larger than {LARGEST} pixels")));
        }
        let weights = self.layer.model().weights();
        let inputs = &self.graph.node(node).inputs;
        match (&self.graph.node(node).op, inputs.as_slice()) {
            (Op::Input { .. }, _) => Ok(kernels),
            (Op::Conv2d(conv), [input]) if conv.params.groups == 1 && conv.params.dilation == [1; 2] => {
                let composed = compose(&kernels, weights.get(&conv.weight)?, conv.params.stride)?;
                self.down(*input, composed)
            }
            (Op::BatchNorm(norm), [input]) => {
                let (mean, var) = (weights.get(&norm.mean)?, weights.get(&norm.var)?);
                let (weight, bias) = (weights.get(&norm.weight)?, weights.get(&norm.bias)?);
                let (scale, _) = batch_norm_scale(mean, var, weight, bias, norm.eps)?;
                self.down(*input, kernels.broadcast_mul(&scale.reshape((1, scale.elem_count(), 1, 1))?)?)
            }
            (Op::Dropout, [input]) => self.down(*input, kernels),
            (Op::Activation(_), [input]) => {
                self.leave_out("ReLU");
                self.down(*input, kernels)
            }
            (Op::MaxPool2d(params), [input]) => {
                let stride = params.stride;
                self.leave_out("max pooling");
                self.down(*input, spread(&kernels, stride)?)
            }
            (Op::Scale(scale), [input]) => {
                let factor = scale.scale.as_ref().map(|name| weights.get(name)).transpose()?;
                let kernels = match factor {
                    Some(factor) => kernels.broadcast_mul(&factor.reshape((1, factor.elem_count(), 1, 1))?)?,
                    None => kernels,
                };
                self.down(*input, kernels)
            }
            (Op::Concat, parts) => {
                let mut start = 0;
                let mut below = Vec::new();
                for part in parts.iter().copied() {
                    let channels = self.channels(part).ok_or_else(|| self.stuck(node))?;
                    below.push(self.down(part, kernels.narrow(1, start, channels)?)?);
                    start += channels;
                }
                sum_centred(below)
            }
            (Op::Add, parts) => {
                let below = parts.iter().copied().map(|part| self.down(part, kernels.clone()));
                sum_centred(below.collect::<Result<Vec<_>>>()?)
            }
            _ => Err(self.stuck(node)),
        }
    }

    fn channels(&self, node: NodeId) -> Option<usize> {
        self.layer.sibling(node).shape().first().copied()
    }

    fn leave_out(&mut self, what: &'static str) {
        if !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    fn stuck(&self, node: NodeId) -> Error {
        let node = self.graph.node(node);
        let message =
            format!("filters: {} cannot be shown through {}: it is {}", self.layer.name(), node.name, node.op);
        Error::new(Kind::Argument, message).at_argument("layer")
    }
}

/// Kernels over a convolution's output `[O, M, a, b]` and its own kernels `[M, C, c, d]` as kernels over its input
/// `[O, C, (a-1)·s + c, (b-1)·t + d]`, for strides `[s, t]`.
fn compose(kernels: &Tensor, below: &Tensor, [down, right]: [usize; 2]) -> Result<Tensor> {
    let (outputs, middle, rows, columns) = kernels.dims4()?;
    let (_, channels, height, width) = below.dims4()?;
    let (all_rows, all_columns) = ((rows - 1) * down + height, (columns - 1) * right + width);
    let below = below.reshape((middle, channels * height * width))?;
    let mut sum = Tensor::zeros((outputs, channels, all_rows, all_columns), kernels.dtype(), kernels.device())?;
    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let tap = kernels.narrow(2, y, 1)?.narrow(3, x, 1)?.reshape((outputs, middle))?;
        let part = tap.matmul(&below)?.reshape((outputs, channels, height, width))?;
        let (top, left) = (y * down, x * right);
        let part = part.pad_with_zeros(2, top, all_rows - top - height)?;
        sum = (sum + part.pad_with_zeros(3, left, all_columns - left - width)?)?;
    }
    Ok(sum)
}

/// Kernels whose taps lie a stride apart, with zeros between.
fn spread(kernels: &Tensor, [down, right]: [usize; 2]) -> Result<Tensor> {
    let (outputs, channels, rows, columns) = kernels.dims4()?;
    let (all_rows, all_columns) = ((rows - 1) * down + 1, (columns - 1) * right + 1);
    let values: Vec<f32> = kernels.flatten_all()?.to_vec1()?;
    let mut spread = vec![0f32; outputs * channels * all_rows * all_columns];
    for (kernel, plane) in values.chunks(rows * columns).zip(spread.chunks_mut(all_rows * all_columns)) {
        for (index, value) in kernel.iter().enumerate() {
            plane[index / columns * down * all_columns + index % columns * right] = *value;
        }
    }
    Ok(Tensor::from_vec(spread, (outputs, channels, all_rows, all_columns), kernels.device())?)
}

/// The sum of kernels of several sizes with one centre.
fn sum_centred(kernels: Vec<Tensor>) -> Result<Tensor> {
    let mut kernels = kernels.into_iter();
    let first = kernels.next().ok_or_else(|| Error::new(Kind::Internal, "a layer reads nothing"))?;
    kernels.try_fold(first, |sum, next| add_centred(&sum, &next))
}

fn add_centred(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (a.dim(2)?.max(b.dim(2)?), a.dim(3)?.max(b.dim(3)?));
    let grown = |kernels: &Tensor| -> Result<Tensor> {
        let (above, left) = ((rows - kernels.dim(2)?) / 2, (columns - kernels.dim(3)?) / 2);
        let tall = kernels.pad_with_zeros(2, above, rows - kernels.dim(2)? - above)?;
        Ok(tall.pad_with_zeros(3, left, columns - kernels.dim(3)? - left)?)
    };
    Ok((grown(a)? + grown(b)?)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{random, rng, values};

    /// A convolution of a convolution is a convolution with the composed kernel.
    #[test]
    fn composed_kernels_are_the_two_convolutions_at_once() {
        let mut rng = rng(1);
        let image = random(&mut rng, (1, 3, 23, 19));
        let (first, second) = (random(&mut rng, (5, 3, 3, 4)), random(&mut rng, (2, 5, 2, 3)));
        for stride in [1, 2, 3] {
            let one_by_one = image.conv2d(&first, 0, stride, 1, 1).unwrap().conv2d(&second, 0, 1, 1, 1).unwrap();
            let at_once = image.conv2d(&compose(&second, &first, [stride; 2]).unwrap(), 0, stride, 1, 1).unwrap();
            assert_eq!(one_by_one.dims(), at_once.dims());
            for (a, b) in values(&one_by_one).iter().zip(values(&at_once)) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn spread_kernels_sample_every_other_pixel() {
        let mut rng = rng(2);
        let image = random(&mut rng, (1, 2, 9, 9));
        let kernels = random(&mut rng, (3, 2, 2, 2));
        let rows = Tensor::new(&[0u32, 2, 4, 6, 8], image.device()).unwrap();
        let subsampled = image.index_select(&rows, 2).unwrap().index_select(&rows, 3).unwrap();
        let small = subsampled.conv2d(&kernels, 0, 1, 1, 1).unwrap();
        let large = image.conv2d(&spread(&kernels, [2; 2]).unwrap(), 0, 2, 1, 1).unwrap();
        for (a, b) in values(&small).iter().zip(values(&large)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
