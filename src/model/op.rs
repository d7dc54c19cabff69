//! The operations a graph is made of, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::tensor::{Activation, Conv2dParams, LocalResponseNorm, Pool2dParams};

/// One operation of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The network's input.
    Input {
        /// Channels of the image, 3 for colour.
        channels: usize,
    },
    /// 2-D convolution.
    Conv2d(Conv2d),
    /// A matrix product with a row of numbers per image.
    Linear(Linear),
    /// Batch normalisation by what training has measured: a scale and a shift of every channel.
    BatchNorm(BatchNorm),
    /// A scale and a shift of every channel, as constants of a network.
    Scale(Scale),
    /// Every channel times a number: an edit of a network.
    ScaleChannels(Vec<f32>),
    /// Some channels replaced by constants: an edit of a network.
    Patch(Patch),
    /// Normalisation by neighbouring channels.
    LocalResponseNorm(LocalResponseNorm),
    /// A function of every number.
    Activation(Activation),
    /// e^x / Σ e^x over the channels.
    Softmax,
    /// The largest value of each window.
    MaxPool2d(Pool2dParams),
    /// The mean of each window.
    AvgPool2d {
        /// The window.
        params: Pool2dParams,
        /// Whether padding counts as zeros.
        count_include_pad: bool,
    },
    /// The mean of each part of the image cut into so many rows and columns; 1×1 is the whole image.
    AdaptiveAvgPool2d([usize; 2]),
    /// Zeros around the image: [top, bottom] and [left, right].
    ZeroPad([[usize; 2]; 2]),
    /// Joins its inputs along the channels.
    Concat,
    /// The sum of its inputs.
    Add,
    /// The product of its inputs, of which one may be `[C, 1, 1]`, as in squeeze-and-excitation.
    Mul,
    /// Nothing when a trained network is looked at; kept because it has a published name.
    Dropout,
    /// One row of numbers per image.
    Flatten,
    /// A row of numbers as an image `[channels, height, width]`.
    Unflatten([usize; 3]),
    /// Some channels that follow each other.
    Narrow {
        /// The first of them.
        start: usize,
        /// How many there are.
        length: usize,
    },
    /// The first channel of each of so many groups, then the second of each, and so on (Zhang et al., "ShuffleNet",
    /// 2017, arXiv:1707.01083).
    ChannelShuffle {
        /// How many groups there are.
        groups: usize,
    },
}

/// A convolution's sizes and the names of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A linear layer's sizes and the names of its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// Numbers it reads.
    pub in_features: usize,
    /// Numbers it writes.
    pub out_features: usize,
    /// Name of the weight `[out, in]`.
    pub weight: String,
    /// Name of the bias `[out]`, if it has one.
    pub bias: Option<String>,
}

/// A batch normalisation's size and the names of its parameters, all `[channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Channels.
    pub channels: usize,
    /// Name of the scale.
    pub weight: String,
    /// Name of the shift.
    pub bias: String,
    /// Name of the measured mean.
    pub mean: String,
    /// Name of the measured variance.
    pub var: String,
    /// What is added to the variance.
    pub eps: f64,
}

/// x · scale + shift, both `[channels]` or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Channels.
    pub channels: usize,
    /// Name of the scale.
    pub scale: Option<String>,
    /// Name of the shift.
    pub shift: Option<String>,
}

/// Constants in place of some channels, the same for every image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// How many channels there are.
    pub of: usize,
    /// Those that are replaced.
    pub channels: Vec<usize>,
    /// Name of the constants.
    pub values: String,
    /// Their shape: `[C′]`, a number for each replaced channel, or `[C′, height, width]`, a map for each.
    pub shape: Vec<usize>,
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
    /// max(x, 0).
    pub const RELU: Self = Self::Activation(Activation::Relu);

    /// The mean of each channel over the whole image.
    pub const GLOBAL_AVG_POOL: Self = Self::AdaptiveAvgPool2d([1, 1]);

    /// The kind in a word, which also counts the ordinal names: `conv`, `relu`, `pool`, ….
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Conv2d(_) => "conv",
            Self::Linear(_) => "fc",
            Self::BatchNorm(_) => "bn",
            Self::Scale(_) => "scale",
            Self::ScaleChannels(_) | Self::Patch(_) => "edit",
            Self::LocalResponseNorm(_) => "norm",
            Self::Activation(function) => match function {
                Activation::Relu | Activation::Clip(..) | Activation::LeakyRelu(_) => "relu",
                Activation::Sigmoid | Activation::HardSigmoid => "sigmoid",
                Activation::Tanh => "tanh",
                Activation::Silu => "silu",
                Activation::HardSwish => "hardswish",
                Activation::Gelu => "gelu",
            },
            Self::Softmax => "softmax",
            Self::MaxPool2d(_) | Self::AvgPool2d { .. } | Self::AdaptiveAvgPool2d(_) => "pool",
            Self::ZeroPad(_) => "pad",
            Self::Concat => "concat",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::Dropout => "dropout",
            Self::Flatten => "flatten",
            Self::Unflatten(_) => "unflatten",
            Self::Narrow { .. } => "narrow",
            Self::ChannelShuffle { .. } => "shuffle",
        }
    }

    /// Whether it was put into a network by an edit.
    pub fn is_edit(&self) -> bool {
        matches!(self, Self::ScaleChannels(_) | Self::Patch(_))
    }

    /// Whether the rules of rectifiers apply to it.
    pub fn is_rectifier(&self) -> bool {
        matches!(self, Self::Activation(function) if function.is_rectifier())
    }

    /// The parameters it reads.
    pub fn parameters(&self) -> Vec<Parameter> {
        let named = |name: &String, shape: &[usize]| Parameter { name: name.clone(), shape: shape.to_vec() };
        match self {
            Self::Conv2d(conv) => {
                let [height, width] = conv.kernel;
                let in_group = conv.in_channels / conv.params.groups.max(1);
                let weight = named(&conv.weight, &[conv.out_channels, in_group, height, width]);
                let bias = conv.bias.iter().map(|name| named(name, &[conv.out_channels]));
                std::iter::once(weight).chain(bias).collect()
            }
            Self::Linear(linear) => {
                let weight = named(&linear.weight, &[linear.out_features, linear.in_features]);
                let bias = linear.bias.iter().map(|name| named(name, &[linear.out_features]));
                std::iter::once(weight).chain(bias).collect()
            }
            Self::BatchNorm(norm) => {
                let names = [&norm.weight, &norm.bias, &norm.mean, &norm.var];
                names.iter().map(|name| named(name, &[norm.channels])).collect()
            }
            Self::Scale(scale) => {
                scale.scale.iter().chain(&scale.shift).map(|name| named(name, &[scale.channels])).collect()
            }
            Self::Patch(patch) => vec![named(&patch.values, &patch.shape)],
            _ => Vec::new(),
        }
    }

    /// The shape of its result for one image, without the batch, given the shapes of its inputs. An input node
    /// keeps the shape it is given.
    ///
    /// An error means that the image is too small or that the graph doesn't fit together.
    pub fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let fits_nowhere = || Error::new(Kind::Tensor, format!("the image is too small for {self}"));
        let sized = |channels: usize, size: Option<(usize, usize)>| {
            size.map(|(height, width)| vec![channels, height, width]).ok_or_else(fits_nowhere)
        };
        match (self, inputs) {
            (Self::Input { channels }, [[c, _, _]]) if c == channels => Ok(inputs[0].to_vec()),
            (Self::Conv2d(conv), [[channels, height, width]]) if *channels == conv.in_channels => {
                sized(conv.out_channels, conv.params.output_size(conv.kernel, *height, *width))
            }
            (Self::Linear(linear), [[features]]) if *features == linear.in_features => Ok(vec![linear.out_features]),
            (Self::BatchNorm(BatchNorm { channels, .. }) | Self::Scale(Scale { channels, .. }), [shape])
                if shape.first() == Some(channels) =>
            {
                Ok(shape.to_vec())
            }
            (Self::ScaleChannels(factors), [shape]) if shape.first() == Some(&factors.len()) => Ok(shape.to_vec()),
            (Self::Patch(patch), [shape]) if shape.first() == Some(&patch.of) => match patch.shape[..] {
                [_, height, width] if shape[1..] != [height, width] => Err(Error::new(
                    Kind::Tensor,
                    format!("its constants are maps of {height}×{width}, but here it takes {:?}", &shape[1..]),
                )),
                _ => Ok(shape.to_vec()),
            },
            (Self::MaxPool2d(params) | Self::AvgPool2d { params, .. }, [[channels, height, width]]) => {
                sized(*channels, params.output_size(*height, *width))
            }
            (Self::AdaptiveAvgPool2d([height, width]), [[channels, _, _]]) => Ok(vec![*channels, *height, *width]),
            (Self::ZeroPad([rows, columns]), [[channels, height, width]]) => {
                Ok(vec![*channels, height + rows[0] + rows[1], width + columns[0] + columns[1]])
            }
            (Self::Concat, [[_, height, width], rest @ ..])
                if rest.iter().all(|r| matches!(r, [_, h, w] if h == height && w == width)) =>
            {
                let channels = inputs.iter().filter_map(|shape| shape.first()).sum();
                Ok(vec![channels, *height, *width])
            }
            (Self::Add, [shape, rest @ ..]) if !rest.is_empty() && rest.iter().all(|other| other == shape) => {
                Ok(shape.to_vec())
            }
            (Self::Mul, [a, b]) => match (a, b) {
                (a, b) if a == b => Ok(a.to_vec()),
                ([c, 1, 1], [channels, _, _]) if c == channels => Ok(b.to_vec()),
                ([channels, _, _], [c, 1, 1]) if c == channels => Ok(a.to_vec()),
                _ => Err(self.misfit(inputs)),
            },
            (Self::Activation(_) | Self::Dropout | Self::Softmax, [shape]) => Ok(shape.to_vec()),
            (Self::LocalResponseNorm(_), [shape @ [_, _, _]]) => Ok(shape.to_vec()),
            (Self::Flatten, [shape]) => Ok(vec![shape.iter().product()]),
            (Self::Unflatten(to), [[features]]) if to.iter().product::<usize>() == *features => Ok(to.to_vec()),
            (Self::Narrow { start, length }, [[channels, height, width]])
                if *length > 0 && start + length <= *channels =>
            {
                Ok(vec![*length, *height, *width])
            }
            (Self::ChannelShuffle { groups }, [shape @ [channels, _, _]]) if *groups > 0 && channels % groups == 0 => {
                Ok(shape.to_vec())
            }
            _ => Err(self.misfit(inputs)),
        }
    }

    fn misfit(&self, inputs: &[&[usize]]) -> Error {
        Error::new(Kind::Tensor, format!("{self} does not take inputs of shape {inputs:?}"))
    }
}

impl fmt::Display for Op {
    /// `conv 3×3, 64 → 128, stride 2`, leaving out what is usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv2d(conv) => {
                let Conv2d { in_channels, out_channels, kernel: [height, width], params, .. } = conv;
                write!(f, "conv {height}×{width}, {in_channels} → {out_channels}")?;
                unusual(f, "stride", &pair(params.stride), "1")?;
                unusual(f, "padding", &padding(params.padding), "0")?;
                unusual(f, "dilation", &pair(params.dilation), "1")?;
                unusual(f, "groups", &params.groups.to_string(), "1")
            }
            Self::Linear(linear) => write!(f, "linear {} → {}", linear.in_features, linear.out_features),
            Self::BatchNorm(_) => f.write_str("batch norm"),
            Self::ScaleChannels(factors) => {
                let changed: Vec<usize> = (0..factors.len()).filter(|channel| factors[*channel] != 1.0).collect();
                let mut values = changed.iter().map(|channel| factors[*channel]);
                let first = values.next().unwrap_or(1.0);
                let how = match first {
                    _ if values.any(|factor| factor != first) => "scaled".to_owned(),
                    0.0 => "set to 0".to_owned(),
                    factor => format!("times {factor}"),
                };
                write!(f, "{} {how}", some_channels(&changed, factors.len()))
            }
            Self::Patch(patch) => write!(f, "{} replaced", some_channels(&patch.channels, patch.of)),
            Self::LocalResponseNorm(norm) => write!(f, "local response norm over {} channels", norm.size),
            Self::Activation(function) => match function {
                Activation::Clip(0.0, 6.0) => f.write_str("relu6"),
                Activation::Clip(f32::MIN, high) => write!(f, "clip to at most {high}"),
                Activation::Clip(low, f32::MAX) => write!(f, "clip to at least {low}"),
                Activation::Clip(low, high) => write!(f, "clip to {low}…{high}"),
                Activation::LeakyRelu(slope) => write!(f, "leaky relu, slope {slope}"),
                Activation::HardSigmoid => f.write_str("hard sigmoid"),
                Activation::HardSwish => f.write_str("hard swish"),
                _ => f.write_str(self.kind()),
            },
            Self::MaxPool2d(params) => window(f, "max pool", params),
            Self::AvgPool2d { params, .. } => window(f, "average pool", params),
            Self::AdaptiveAvgPool2d([1, 1]) => f.write_str("average pool, whole image"),
            Self::AdaptiveAvgPool2d([height, width]) => write!(f, "average pool to {height}×{width}"),
            Self::ZeroPad(sides) => write!(f, "pad {}", padding(*sides)),
            Self::Unflatten([channels, height, width]) => write!(f, "unflatten to {channels}×{height}×{width}"),
            Self::Narrow { start, length: 1 } => write!(f, "channel {start}"),
            Self::Narrow { start, length } => write!(f, "channels {start} to {}", start + length - 1),
            Self::ChannelShuffle { groups } => write!(f, "shuffle {groups} groups of channels"),
            other => f.write_str(other.kind()),
        }
    }
}

/// `channels 12 and 40 of 512`, or how many they are.
fn some_channels(channels: &[usize], of: usize) -> String {
    const NAMED: usize = 5;
    match channels {
        [] => format!("none of {of} channels"),
        [one] => format!("channel {one} of {of}"),
        many if many.len() == of => format!("all {of} channels"),
        [first @ .., last] if channels.len() <= NAMED => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("channels {} and {last} of {of}", first.join(", "))
        }
        many => format!("{} of {of} channels", many.len()),
    }
}

/// `max pool 3×3, stride 2, padding 1`.
fn window(f: &mut fmt::Formatter<'_>, name: &str, params: &Pool2dParams) -> fmt::Result {
    let [height, width] = params.kernel;
    write!(f, "{name} {height}×{width}, stride {}", pair(params.stride))?;
    unusual(f, "padding", &padding(params.padding), "0")
}

fn unusual(f: &mut fmt::Formatter<'_>, name: &str, value: &str, usual: &str) -> fmt::Result {
    if value == usual { Ok(()) } else { write!(f, ", {name} {value}") }
}

/// `2`, or `2×1` where the sides differ.
fn pair([height, width]: [usize; 2]) -> String {
    if height == width { height.to_string() } else { format!("{height}×{width}") }
}

/// `1`, `0×3` for rows and columns, or all four from the top clockwise where opposite sides differ.
fn padding([[top, bottom], [left, right]]: [[usize; 2]; 2]) -> String {
    if top == bottom && left == right { pair([top, left]) } else { format!("{top},{right},{bottom},{left}") }
}
