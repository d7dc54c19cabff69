//! Weights as the kernels want them, made when they are first needed and kept with the model.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::model::{Conv2d, Graph, NodeId, Op, Scale, Weights};
use crate::tensor::{batch_norm_scale, with_values};
use percept_kernels::winograd::Tile;
use percept_kernels::{Epilogue, Maps, Stop, Target, View, Window, depthwise, direct, winograd};

/// For how many threads the way of convolving is chosen, however many there are: no result hangs on their number.
const THREADS: f64 = 2.0;

/// A gradient in one of so many channels or fewer is computed with the weights of those alone.
const PART: usize = 8;

/// How a convolution is computed in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Method {
    Winograd(Tile),
    Direct,
    Depthwise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Direction {
    Forward,
    Backward,
}

/// Which weights: those of a convolution with the scales after it folded in, by the names of their nodes. Networks that are
/// edits of each other share kernels: what an edit changes is never folded.
type Key = (Vec<String>, Method, Direction);

#[derive(Debug)]
enum Kernel {
    Winograd(winograd::Kernel),
    Direct(direct::Kernel),
    DirectBackward(direct::Backward),
    Depthwise(depthwise::Kernel),
}

impl Kernel {
    fn floats(&self) -> usize {
        match self {
            Self::Winograd(kernel) => kernel.floats(),
            Self::Direct(kernel) => kernel.floats(),
            Self::DirectBackward(kernel) => kernel.floats(),
            Self::Depthwise(kernel) => kernel.floats(),
        }
    }
}

/// The prepared weights of one model.
#[derive(Debug, Default)]
pub(super) struct Kernels {
    made: Mutex<HashMap<Key, Arc<Kernel>>>,
    /// Floats in all of them.
    floats: AtomicUsize,
}

impl Kernels {
    /// Bytes that prepared weights take.
    pub(super) fn bytes(&self) -> usize {
        4 * self.floats.load(Ordering::Relaxed)
    }

    /// The kernel of a key; it is kept as long as all of them stay within `budget` bytes.
    fn get(&self, key: Key, budget: usize, make: impl FnOnce() -> Kernel) -> Arc<Kernel> {
        let found = self.made.lock().ok().and_then(|made| made.get(&key).cloned());
        found.unwrap_or_else(|| {
            let kernel = Arc::new(make());
            if self.bytes() + 4 * kernel.floats() <= budget
                && let Ok(mut made) = self.made.lock()
            {
                self.floats.fetch_add(kernel.floats(), Ordering::Relaxed);
                made.insert(key, kernel.clone());
            }
            kernel
        })
    }
}

/// A convolution with the scales that follow it, ready to run on maps of some size.
pub(super) struct Convolution<'a> {
    /// The convolution and the scales that are folded in.
    nodes: Vec<String>,
    conv: &'a Conv2d,
    /// `[O, C / groups, KH, KW]` in row-major order.
    weight: Vec<f32>,
    /// Of each output, if scales are folded in.
    factors: Option<Vec<f32>>,
    /// Added to each output.
    pub(super) bias: Option<Vec<f32>>,
    pub(super) window: Window,
    /// How carefully the value is summed, see [`Run::exact`](crate::model::Run).
    pub(super) sums: Sums,
}

/// How a convolution sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// As is fastest: off by up to 3·10⁻⁵ of the largest value.
    Fast,
    /// Hardly worse than as it is defined.
    Careful,
    /// As it is defined, in an order that does not depend on where in the image a pixel is.
    Defined,
}

/// The channels in which a gradient is anything but zero, if they are a small part of all.
fn few_channels(gradient: View<'_>, rows: usize, channels: usize) -> Option<Vec<usize>> {
    let mut seen = vec![false; channels];
    let mut found = 0;
    for row in 0..rows {
        for (seen, value) in seen.iter_mut().zip(gradient.row(row, channels)) {
            if *value != 0.0 && !*seen {
                *seen = true;
                found += 1;
            }
        }
        if found * PART > channels {
            return None;
        }
    }
    (found > 0).then(|| (0..channels).filter(|channel| seen[*channel]).collect())
}

/// The window of a convolution over maps.
fn window(conv: &Conv2d, input: Maps, output: Maps) -> Window {
    let params = &conv.params;
    Window {
        input,
        output,
        kernel: conv.kernel,
        stride: params.stride,
        before: [params.padding[0][0], params.padding[1][0]],
        dilation: params.dilation,
    }
}

/// What a batch-norm or scale does to each channel: factors and shifts.
fn scale_and_shift(graph: &Graph, weights: &Weights, node: NodeId) -> Result<(Vec<f32>, Vec<f32>)> {
    let numbers = |tensor: &Tensor| Ok::<Vec<f32>, Error>(tensor.to_vec1()?);
    match &graph.node(node).op {
        Op::BatchNorm(norm) => {
            let [mean, var, weight, bias] = [&norm.mean, &norm.var, &norm.weight, &norm.bias].map(|n| weights.get(n));
            let (scale, shift) = batch_norm_scale(mean?, var?, weight?, bias?, norm.eps)?;
            Ok((numbers(&scale)?, numbers(&shift)?))
        }
        Op::ScaleChannels(factors) => Ok((factors.clone(), vec![0.0; factors.len()])),
        Op::Patch(patch) => patch.constants(weights),
        Op::Scale(Scale { channels, scale, shift }) => {
            let or = |name: &Option<String>, usual: f32| match name {
                Some(name) => numbers(weights.get(name)?),
                None => Ok(vec![usual; *channels]),
            };
            Ok((or(scale, 1.0)?, or(shift, 0.0)?))
        }
        other => Err(Error::new(Kind::Internal, format!("{other} is no scale"))),
    }
}

/// Several scales one after the other as one.
pub(super) fn combined(graph: &Graph, weights: &Weights, nodes: &[NodeId]) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
    let mut all: Option<(Vec<f32>, Vec<f32>)> = None;
    for node in nodes {
        let (scale, shift) = scale_and_shift(graph, weights, *node)?;
        all = Some(match all {
            None => (scale, shift),
            Some((before, moved)) => (
                before.iter().zip(&scale).map(|(a, b)| a * b).collect(),
                moved.iter().zip(&scale).zip(&shift).map(|((m, s), t)| m * s + t).collect(),
            ),
        });
    }
    Ok(all)
}

impl<'a> Convolution<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        weights: &Weights,
        node: NodeId,
        scales: &[NodeId],
        input: Maps,
        output: Maps,
    ) -> Result<Self> {
        let Op::Conv2d(conv) = &graph.node(node).op else {
            return Err(Error::new(Kind::Internal, "a step convolves with something else"));
        };
        let bias: Option<Vec<f32>> =
            conv.bias.as_ref().map(|name| Ok::<_, Error>(weights.get(name)?.to_vec1()?)).transpose()?;
        let (factors, bias) = match combined(graph, weights, scales)? {
            None => (None, bias),
            Some((scale, shift)) => {
                let bias = bias.unwrap_or_else(|| vec![0.0; shift.len()]);
                let bias = bias.iter().zip(&scale).zip(&shift).map(|((b, s), t)| b * s + t).collect();
                (Some(scale), Some(bias))
            }
        };
        let weight = Vec::new();
        let nodes = std::iter::once(&node).chain(scales).map(|id| graph.node(*id).name.clone()).collect();
        Ok(Self { nodes, conv, weight, factors, bias, window: window(conv, input, output), sums: Sums::Fast })
    }

    /// A convolution with other weights, in row-major order, and exact sums.
    pub(super) fn with(conv: &'a Conv2d, weight: Vec<f32>, input: Maps, output: Maps) -> Self {
        let window = window(conv, input, output);
        Self { nodes: Vec::new(), conv, weight, factors: None, bias: None, window, sums: Sums::Defined }
    }

    /// A convolution with its own weight, by itself, and exact sums; `name` is its node's.
    pub(super) fn own(conv: &'a Conv2d, name: &str, input: Maps, output: Maps) -> Self {
        Self { nodes: vec![name.to_owned()], ..Self::with(conv, Vec::new(), input, output) }
    }

    fn is_depthwise(&self) -> bool {
        let Conv2d { in_channels, out_channels, params, .. } = self.conv;
        params.groups == *in_channels && in_channels == out_channels && *in_channels > 1
    }

    fn sizes(&self) -> direct::Sizes {
        let Conv2d { in_channels, out_channels, params, .. } = self.conv;
        let groups = params.groups;
        direct::Sizes { groups, channels: in_channels / groups, outputs: out_channels / groups }
    }

    /// The tile for Winograd's method, if it fits and is faster, from maps of `channels` to maps of `outputs`.
    fn winograd(&self, input: Maps, output: Maps, [channels, outputs]: [usize; 2]) -> Option<Tile> {
        let Window { kernel, stride, dilation, .. } = self.window;
        let fits = kernel == [3, 3] && stride == [1, 1] && dilation == [1, 1] && self.conv.params.groups == 1;
        let before = self.window.before;
        let (tile, places, transforms) = match self.sums {
            Sums::Fast => (Tile::Four, 36.0, 18.0),
            Sums::Careful => (Tile::Two, 16.0, 22.0),
            Sums::Defined => return None,
        };
        if !fits || before.iter().any(|before| *before > 2) || channels < 12 || outputs < 12 {
            return None;
        }
        // cycles of a core with sixteen multiplications each; weights come from memory at a few bytes a cycle
        let tiles = winograd::Shape { input, output, before }.tiles(tile) as f64;
        let (pairs, sum) = ((channels * outputs) as f64, (channels + outputs) as f64);
        let direct = output.rows() as f64 * 9.0 * pairs / (13.0 * THREADS) + 9.0 * pairs / 2.0;
        let turned = tiles * (places * pairs / 11.0 + transforms * sum) / THREADS + places * pairs / 2.0;
        (turned < direct).then_some(tile)
    }

    fn with_weights(&mut self, weights: &Weights) -> Result<()> {
        if self.weight.is_empty() {
            self.weight = weights.get(&self.conv.weight)?.flatten_all()?.to_vec1()?;
        }
        Ok(())
    }

    /// `weight[output, channel, ky, kx]`, scaled.
    fn at(&self, output: usize, channel: usize, tap: [usize; 2]) -> f32 {
        self.scaled(&self.weight, output, channel, tap)
    }

    fn scaled(&self, weight: &[f32], output: usize, channel: usize, [ky, kx]: [usize; 2]) -> f32 {
        let channels = self.conv.in_channels / self.conv.params.groups;
        let [height, width] = self.conv.kernel;
        let weight = weight[((output * channels + channel) * height + ky) * width + kx];
        self.factors.as_ref().map_or(weight, |factors| weight * factors[output])
    }

    /// The value, without bias; `epilogue` adds it.
    #[expect(clippy::too_many_arguments, reason = "where weights are kept, what goes in, and what comes out")]
    pub(super) fn forward(
        &mut self,
        kernels: &Kernels,
        weights: &Weights,
        budget: usize,
        x: View<'_>,
        out: Target<'_>,
        epilogue: &Epilogue<'_>,
        stop: Stop<'_>,
    ) -> Result<()> {
        let Window { input, output, before, kernel: [height, width], .. } = self.window;
        let (channels, outputs) = (self.conv.in_channels, self.conv.out_channels);
        let method = if self.is_depthwise() {
            Method::Depthwise
        } else if let Some(tile) = self.winograd(input, output, [channels, outputs]) {
            Method::Winograd(tile)
        } else {
            Method::Direct
        };
        let key = (self.nodes.clone(), method, Direction::Forward);
        self.load(kernels, &key, weights)?;
        let kernel = kernels.get(key, budget, || match method {
            Method::Winograd(tile) => {
                Kernel::Winograd(winograd::Kernel::new(tile, channels, outputs, |o, c, tap| self.at(o, c, tap)))
            }
            Method::Direct => {
                let kernel =
                    direct::Kernel::new(self.sizes(), [height, width], height * width, |o, c, tap| self.at(o, c, tap));
                Kernel::Direct(kernel)
            }
            Method::Depthwise => {
                Kernel::Depthwise(depthwise::Kernel::new(channels, [height, width], |c, tap| self.at(c, 0, tap)))
            }
        });
        match &*kernel {
            Kernel::Winograd(kernel) => {
                winograd::convolve(&winograd::Shape { input, output, before }, x, kernel, out, epilogue, stop);
            }
            Kernel::Direct(kernel) => direct::convolve(&self.window, x, kernel, out, epilogue, stop),
            Kernel::Depthwise(kernel) => depthwise::convolve(&self.window, x, kernel, out, epilogue, stop),
            Kernel::DirectBackward(_) => return Err(Error::new(Kind::Internal, "a kernel of the other direction")),
        }
        Ok(())
    }

    /// The gradient for the input, given the value's.
    #[expect(clippy::too_many_arguments, reason = "where weights are kept, what goes in, and what comes out")]
    pub(super) fn backward(
        &mut self,
        kernels: &Kernels,
        weights: &Weights,
        budget: usize,
        gradient: View<'_>,
        out: Target<'_>,
        epilogue: &Epilogue<'_>,
        stop: Stop<'_>,
    ) -> Result<()> {
        let Window { input, output, before, kernel: [height, width], .. } = self.window;
        let (channels, outputs) = (self.conv.in_channels, self.conv.out_channels);
        if self.conv.params.groups == 1
            && let Some(alone) = few_channels(gradient, output.rows(), outputs)
        {
            return self.backward_of(&alone, weights, gradient, out, epilogue, stop);
        }
        let method = if self.is_depthwise() {
            Method::Depthwise
        } else if let Some(tile) = self.winograd(output, input, [outputs, channels]) {
            Method::Winograd(tile)
        } else {
            Method::Direct
        };
        let key = (self.nodes.clone(), method, Direction::Backward);
        self.load(kernels, &key, weights)?;
        let kernel = kernels.get(key, budget, || match method {
            Method::Winograd(tile) => {
                let turned = |c: usize, o: usize, [ky, kx]: [usize; 2]| self.at(o, c, [2 - ky, 2 - kx]);
                Kernel::Winograd(winograd::Kernel::new(tile, outputs, channels, turned))
            }
            Method::Direct => Kernel::DirectBackward(direct::Backward::new(self.sizes(), &self.window, |o, c, tap| {
                self.at(o, c, tap)
            })),
            Method::Depthwise => {
                Kernel::Depthwise(depthwise::Kernel::new(channels, [height, width], |c, tap| self.at(c, 0, tap)))
            }
        });
        match &*kernel {
            Kernel::Winograd(kernel) => {
                let shape = winograd::Shape { input: output, output: input, before: before.map(|before| 2 - before) };
                winograd::convolve(&shape, gradient, kernel, out, epilogue, stop);
            }
            Kernel::DirectBackward(kernel) => direct::backward(&self.window, gradient, kernel, out, epilogue, stop),
            Kernel::Depthwise(kernel) => depthwise::backward(&self.window, gradient, kernel, out, epilogue, stop),
            Kernel::Direct(_) => return Err(Error::new(Kind::Internal, "a kernel of the other direction")),
        }
        Ok(())
    }

    /// The gradient for the input where that of the value is zero but in these channels, as that of one class or one unit is.
    fn backward_of(
        &self,
        alone: &[usize],
        weights: &Weights,
        gradient: View<'_>,
        out: Target<'_>,
        epilogue: &Epilogue<'_>,
        stop: Stop<'_>,
    ) -> Result<()> {
        let sizes = direct::Sizes { groups: 1, channels: self.conv.in_channels, outputs: alone.len() };
        let of = |weight: &[f32]| {
            direct::Backward::new(sizes, &self.window, |o, c, tap| self.scaled(weight, alone[o], c, tap))
        };
        // they are only read out of the model to be kept, or come from elsewhere
        let kernel = match self.weight.as_slice() {
            [] => with_values(weights.get(&self.conv.weight)?, of)?,
            weight => of(weight),
        };
        let rows = 0..=self.window.output.rows();
        let data: Vec<f32> = rows
            .flat_map(|row| {
                let row = gradient.row(row, self.conv.out_channels);
                alone.iter().map(move |channel| row[*channel])
            })
            .collect();
        let gradient = View { data: &data, stride: alone.len(), offset: 0 };
        direct::backward(&self.window, gradient, &kernel, out, epilogue, stop);
        Ok(())
    }

    /// Reads the weights if the kernel of `key` has to be made.
    fn load(&mut self, kernels: &Kernels, key: &Key, weights: &Weights) -> Result<()> {
        let made = kernels.made.lock().is_ok_and(|made| made.contains_key(key));
        if made { Ok(()) } else { self.with_weights(weights) }
    }
}
