//! The operations a graph is made of, as data.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::tensor::{Conv2dParams, MaxPool2dParams};

/// One operation of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The network's input.
    Input {
        /// Channels of the image, 3 for colour.
        channels: usize,
    },
    /// 2-D convolution with bias.
    Conv2d(Conv2d),
    /// max(x, 0).
    Relu,
    /// The largest value of each window.
    MaxPool2d(MaxPool2dParams),
    /// The mean of each channel over the whole image.
    GlobalAvgPool,
    /// Joins its inputs along the channels.
    Concat,
    /// Nothing when a trained network is looked at; kept because it has a published name.
    Dropout,
    /// One row of numbers per image.
    Flatten,
}

/// A convolution's sizes and the names of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels it reads.
    pub in_channels: usize,
    /// Channels it writes.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride, padding, dilation and groups.
    pub params: Conv2dParams,
    /// Name of the weight `[out, in / groups, height, width]`.
    pub weight: String,
    /// Name of the bias `[out]`, if it has one.
    pub bias: Option<String>,
}

/// A parameter that an operation reads from the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the weights file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Op {
    /// The kind in a word, which also counts the ordinal names: `conv`, `relu`, `pool`, ….
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Conv2d(_) => "conv",
            Self::Relu => "relu",
            Self::MaxPool2d(_) | Self::GlobalAvgPool => "pool",
            Self::Concat => "concat",
            Self::Dropout => "dropout",
            Self::Flatten => "flatten",
        }
    }

    /// The parameters it reads.
    pub fn parameters(&self) -> Vec<Parameter> {
        let Self::Conv2d(conv) = self else { return Vec::new() };
        let shape =
            vec![conv.out_channels, conv.in_channels / conv.params.groups.max(1), conv.kernel[0], conv.kernel[1]];
        let weight = Parameter { name: conv.weight.clone(), shape };
        let bias = conv.bias.iter().map(|name| Parameter { name: name.clone(), shape: vec![conv.out_channels] });
        std::iter::once(weight).chain(bias).collect()
    }

    /// The shape of its result for one image, without the batch, given the shapes of its inputs. An input node
    /// keeps the shape it is given.
    ///
    /// An error means that the image is too small or that the graph doesn't fit together.
    pub fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let fits_nowhere = || Error::new(Kind::Tensor, format!("the image is too small for {self}"));
        match (self, inputs) {
            (Self::Input { channels }, [[c, _, _]]) if c == channels => Ok(inputs[0].to_vec()),
            (Self::Conv2d(conv), [[channels, height, width]]) if *channels == conv.in_channels => {
                let size = conv.params.output_size(conv.kernel, *height, *width);
                size.map(|(h, w)| vec![conv.out_channels, h, w]).ok_or_else(fits_nowhere)
            }
            (Self::MaxPool2d(params), [[channels, height, width]]) => {
                params.output_size(*height, *width).map(|(h, w)| vec![*channels, h, w]).ok_or_else(fits_nowhere)
            }
            (Self::GlobalAvgPool, [[channels, _, _]]) => Ok(vec![*channels, 1, 1]),
            (Self::Concat, [[_, height, width], rest @ ..])
                if rest.iter().all(|r| matches!(r, [_, h, w] if h == height && w == width)) =>
            {
                let channels = inputs.iter().filter_map(|shape| shape.first()).sum();
                Ok(vec![channels, *height, *width])
            }
            (Self::Relu | Self::Dropout, [shape]) => Ok(shape.to_vec()),
            (Self::Flatten, [shape]) => Ok(vec![shape.iter().product()]),
            _ => Err(Error::new(Kind::Tensor, format!("{self} does not take inputs of shape {inputs:?}"))),
        }
    }
}

impl fmt::Display for Op {
    /// `conv 3×3, 64 → 128, stride 2`, leaving out what is usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv2d(conv) => {
                let Conv2d { in_channels, out_channels, kernel: [height, width], params, .. } = conv;
                write!(f, "conv {height}×{width}, {in_channels} → {out_channels}")?;
                let unusual = [
                    ("stride", params.stride, 1),
                    ("padding", params.padding, 0),
                    ("dilation", params.dilation, 1),
                    ("groups", params.groups, 1),
                ];
                unusual
                    .iter()
                    .filter(|(_, value, usual)| value != usual)
                    .try_for_each(|(n, v, _)| write!(f, ", {n} {v}"))
            }
            Self::MaxPool2d(params) => {
                write!(f, "max pool {0}×{0}, stride {1}", params.kernel, params.stride)?;
                if params.padding > 0 {
                    write!(f, ", padding {}", params.padding)?;
                }
                Ok(())
            }
            Self::GlobalAvgPool => f.write_str("average pool, whole image"),
            other => f.write_str(other.kind()),
        }
    }
}
