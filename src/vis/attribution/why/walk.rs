//! From one unit down through some layers: which numbers it is the sum of.
//!
//! Between layers with weights everything is a choice or a share that the image has settled: a rectifier lets through all or
//! nothing, a max pooling takes one place. With these as they are, the unit is a weighted sum of the units some layers below,
//! plus biases. The walk keeps the weight of every unit of one layer at a time, in double precision.

use std::collections::BTreeMap;

use candle_core::Tensor;
use percept_kernels::pool::Windows;
use rayon::prelude::*;

use super::super::relevance::scale_and_shift;
use super::plan::{Plan, walked};
use super::{Constant, Part, Unit};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Conv2d, Linear, Model, NodeId, Op, Rules, Run};
use crate::tensor::{Activation, Pool2dParams, pooling_windows};

/// What a unit is the sum of.
#[derive(Debug)]
pub(super) struct Walk {
    /// The unit's value.
    pub(super) value: f64,
    /// Units times weights, by layer and channel.
    pub(super) parts: Vec<Part>,
    /// Biases, and what functions hold back.
    pub(super) constants: Vec<Constant>,
    /// What happened between the unit and the first sum.
    pub(super) notes: Vec<String>,
}

/// The value of a node for one image.
struct Value {
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Value {
    fn new(tensor: &Tensor) -> Result<Self> {
        let shape = match *tensor.dims() {
            [1, channels, height, width] => [channels, height, width],
            [1, features] => [features, 1, 1],
            ref dims => return Err(Error::new(Kind::Internal, format!("a value of shape {dims:?}"))),
        };
        Ok(Self { shape, values: tensor.flatten_all()?.to_vec1()? })
    }
}

/// A walk on its way.
struct Walker<'a> {
    model: &'a Model,
    values: BTreeMap<NodeId, Value>,
    /// The weight of every unit of the nodes that are still to be visited.
    weights: BTreeMap<NodeId, Vec<f64>>,
    constants: Vec<Constant>,
    notes: Vec<String>,
    /// Nothing has been added up yet: there is one unit, whose way down is told.
    single: bool,
}

/// Takes one unit apart, through so many layers with weights.
///
/// # Errors
/// There is no such unit, it is no sum of others, or the run was interrupted.
pub(super) fn walk(job: &Job, model: &Model, input: &Tensor, unit: Unit, depth: usize) -> Result<Walk> {
    let graph = model.graph();
    let plan = Plan::new(model, unit.layer, depth);
    let (mut reached, mut taps) = (vec![false; graph.nodes().len()], Vec::new());
    reached[unit.layer.index()] = true;
    for id in graph.ids().rev().filter(|id| plan.levels[id.index()].is_some()) {
        if reached[id.index()] {
            taps.push(id);
            if plan.opens(graph, id) {
                let walked = walked(model, id);
                walked.iter().for_each(|input| reached[input.index()] = true);
                taps.extend(graph.node(id).inputs.iter().filter(|input| !walked.contains(input)));
            }
        }
    }
    taps.sort_unstable();
    taps.dedup();
    let rules = Rules::default();
    let run = Run { exact: true, ..Run::new(&taps, &rules, job.interrupt()) };
    let values = model.run_with(std::slice::from_ref(input), &run)?;
    let values = taps.iter().zip(&values).map(|(id, value)| Ok((*id, Value::new(value)?)));
    let values: BTreeMap<NodeId, Value> = values.collect::<Result<_>>()?;
    let mut walker =
        Walker { model, values, weights: BTreeMap::new(), constants: Vec::new(), notes: Vec::new(), single: true };
    let at = walker.place(unit)?;
    let start = walker.value(unit.layer)?;
    let value = f64::from(start.values[at]);
    let mut weights = vec![0.0; start.values.len()];
    weights[at] = 1.0;
    walker.weights.insert(unit.layer, weights);
    let mut parts = Vec::new();
    while let Some((id, weights)) = walker.weights.pop_last() {
        job.interrupt().check()?;
        if plan.opens(graph, id) {
            walker.open(id, weights)?;
        } else {
            walker.collect(id, &weights, &mut parts)?;
        }
    }
    parts.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
    Ok(Walk { value, parts, constants: walker.constants, notes: walker.notes })
}

impl Walker<'_> {
    fn value(&self, id: NodeId) -> Result<&Value> {
        self.values.get(&id).ok_or_else(|| Error::new(Kind::Internal, "a walk without a value"))
    }

    /// Where a unit stands in the value of its layer.
    fn place(&self, unit: Unit) -> Result<usize> {
        let [channels, height, width] = self.value(unit.layer)?.shape;
        let name = &self.model.graph().node(unit.layer).name;
        let wrong = |message: String, argument: &str| Err(Error::new(Kind::Argument, message).at_argument(argument));
        if unit.channel >= channels {
            let last = channels.saturating_sub(1);
            return wrong(format!("layer {name} has channels 0 to {last}, no {}", unit.channel), "channel");
        }
        if unit.y >= height || unit.x >= width {
            let argument = if unit.y >= height { "y" } else { "x" };
            let maps = format!("maps of {height}×{width} (height×width)");
            return wrong(format!("layer {name} has {maps}: no place y={}, x={}", unit.y, unit.x), argument);
        }
        Ok((unit.channel * height + unit.y) * width + unit.x)
    }

    /// The weights of a node's units, to be added to.
    fn below(&mut self, id: NodeId) -> Result<&mut Vec<f64>> {
        let size = self.value(id)?.values.len();
        Ok(self.weights.entry(id).or_insert_with(|| vec![0.0; size]))
    }

    fn constant(&mut self, id: NodeId, what: String, value: f64) {
        if value != 0.0 {
            self.constants.push(Constant { layer: id, what, value });
        }
    }

    /// What a reader calls a node.
    fn name(&self, id: NodeId) -> String {
        self.model.output().sibling(id).known_as().to_owned()
    }

    fn note(&mut self, note: impl FnOnce() -> String) {
        if self.single {
            self.notes.push(note());
        }
    }

    /// Shares the weights of a node out among its inputs.
    fn open(&mut self, id: NodeId, weights: Vec<f64>) -> Result<()> {
        let node = self.model.graph().node(id).clone();
        let inputs = walked(self.model, id);
        let [first, ..] = inputs.as_slice() else { return Ok(()) };
        let first = *first;
        let [_, height, width] = self.value(first)?.shape;
        let [channels, out_height, out_width] = self.value(id)?.shape;
        let plane = out_height * out_width;
        match &node.op {
            Op::Conv2d(conv) => self.convolution(id, first, conv, &weights)?,
            Op::Linear(linear) => self.linear(id, first, linear, &weights)?,
            Op::BatchNorm(_) | Op::Scale(_) => {
                let (scale, shift) = scale_and_shift(&node.op, self.model.weights())?;
                let (scale, shift): (Vec<f32>, Vec<f32>) = (scale.to_vec1()?, shift.to_vec1()?);
                let by_channel = |at: usize| at / plane;
                let moved: f64 =
                    weights.iter().enumerate().map(|(at, weight)| weight * f64::from(shift[by_channel(at)])).sum();
                self.pass(first, &weights, |at, weight| weight * f64::from(scale[by_channel(at)]))?;
                let what = if matches!(node.op, Op::BatchNorm(_)) { "shift of the batch norm" } else { "shift" };
                self.constant(id, format!("{what} {}", self.name(id)), moved);
            }
            Op::ScaleChannels(factors) => {
                self.pass(first, &weights, |at, weight| weight * f64::from(factors[at / plane]))?;
            }
            Op::Patch(patch) => {
                let own = &self.value(id)?.values;
                let replaced = |at: usize| patch.channels.contains(&(at / plane));
                let set =
                    (0..weights.len()).filter(|at| replaced(*at)).map(|at| weights[at] * f64::from(own[at])).sum();
                self.pass(first, &weights, |at, weight| if replaced(at) { 0.0 } else { weight })?;
                self.constant(id, format!("constants of {}", self.name(id)), set);
            }
            Op::LocalResponseNorm(_) => {
                let shares = self.shares(id, first, 0.0)?;
                let name = self.name(id);
                self.note(|| format!("The norm {name} divides it by what is around it."));
                self.pass(first, &weights, |at, weight| weight * shares[at])?;
            }
            Op::Activation(function) => self.activation(id, first, *function, &weights)?,
            Op::Softmax => {
                let message = format!("why: `{}` is a softmax, which is no sum", node.name);
                let error = Error::new(Kind::Argument, message).at_argument("layer");
                return Err(error.with_hint("ask about the layer before it"));
            }
            Op::MaxPool2d(params) => self.max_pool(id, first, params, &weights)?,
            Op::AvgPool2d { params, count_include_pad } => {
                let rows = pooling_windows(params, 0, height, out_height, *count_include_pad);
                let columns = pooling_windows(params, 1, width, out_width, *count_include_pad);
                self.average(id, first, &rows, &columns, &weights)?;
            }
            Op::AdaptiveAvgPool2d(_) => {
                let (rows, columns) = (Windows::adaptive(height, out_height), Windows::adaptive(width, out_width));
                self.average(id, first, &rows, &columns, &weights)?;
            }
            Op::ZeroPad([[top, _], [left, _]]) => {
                let below = self.below(first)?;
                for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                    let (channel, y, x) = (at / plane, at % plane / out_width, at % out_width);
                    if (*top..top + height).contains(&y) && (*left..left + width).contains(&x) {
                        below[(channel * height + y - top) * width + x - left] += weight;
                    }
                }
            }
            Op::Concat => {
                let mut start = 0;
                for input in &inputs {
                    let size = self.value(*input)?.values.len();
                    let own = &weights[start..start + size];
                    if own.iter().any(|weight| *weight != 0.0) {
                        let (name, own_name) = (self.name(*input), self.name(id));
                        let channel = own.iter().position(|weight| *weight != 0.0).unwrap_or(0) / plane;
                        self.note(|| {
                            format!("It is channel {channel} of {name}, one of the maps that {own_name} joins.")
                        });
                        self.pass(*input, own, |_, weight| weight)?;
                    }
                    start += size;
                }
            }
            Op::Add => {
                let name = self.name(id);
                self.note(|| format!("It is the sum of {} maps ({name}).", inputs.len()));
                self.single = false;
                for input in inputs {
                    self.pass(input, &weights, |_, weight| weight)?;
                }
            }
            Op::Mul => self.product(first, &node.inputs, &weights)?,
            Op::Narrow { start, .. } => {
                let start = start * plane;
                let below = self.below(first)?;
                below[start..].iter_mut().zip(&weights).for_each(|(below, weight)| *below += weight);
            }
            Op::ChannelShuffle { groups } => {
                let each = channels / groups.max(&1);
                let below = self.below(first)?;
                for (at, weight) in weights.iter().enumerate() {
                    let (channel, place) = (at / plane, at % plane);
                    below[(channel % groups * each + channel / groups) * plane + place] += weight;
                }
            }
            Op::Dropout | Op::Flatten | Op::Unflatten(_) | Op::Input { .. } => {
                self.pass(first, &weights, |_, weight| weight)?;
            }
        }
        Ok(())
    }

    /// Adds weights to those of a node of as many units.
    fn pass(&mut self, to: NodeId, weights: &[f64], change: impl Fn(usize, f64) -> f64) -> Result<()> {
        let below = self.below(to)?;
        for (at, (below, weight)) in below.iter_mut().zip(weights).enumerate() {
            if *weight != 0.0 {
                *below += change(at, *weight);
            }
        }
        Ok(())
    }

    fn convolution(&mut self, id: NodeId, to: NodeId, conv: &Conv2d, weights: &[f64]) -> Result<()> {
        self.single = false;
        let [channels, height, width] = self.value(to)?.shape;
        let [outputs, out_height, out_width] = self.value(id)?.shape;
        let model = self.model;
        let kernels: Vec<f32> = model.weights().get(&conv.weight)?.flatten_all()?.to_vec1()?;
        let groups = conv.params.groups.max(1);
        let (inside, outside) = (channels / groups, outputs / groups);
        let [rows, columns] = conv.kernel;
        let size = rows * columns;
        let places: Vec<(usize, usize, usize, f64)> = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight != 0.0)
            .map(|(at, weight)| (at / (out_height * out_width), at / out_width % out_height, at % out_width, *weight))
            .collect();
        let [[top, _], [left, _]] = conv.params.padding;
        let ([down, across], [row_step, column_step]) = (conv.params.stride, conv.params.dilation);
        let below = self.below(to)?;
        below.par_chunks_mut(height * width).enumerate().for_each(|(channel, plane)| {
            for (output, y, x, weight) in places.iter().filter(|(output, ..)| output / outside == channel / inside) {
                let kernel = &kernels[(output * inside + channel % inside) * size..][..size];
                for (row, kernel) in kernel.chunks_exact(columns).enumerate() {
                    let Some(y) = (y * down + row * row_step).checked_sub(top).filter(|y| *y < height) else {
                        continue;
                    };
                    for (column, kernel) in kernel.iter().enumerate() {
                        let x = (x * across + column * column_step).checked_sub(left).filter(|x| *x < width);
                        if let Some(x) = x {
                            plane[y * width + x] += weight * f64::from(*kernel);
                        }
                    }
                }
            }
        });
        if let Some(bias) = &conv.bias {
            let bias: Vec<f32> = model.weights().get(bias)?.to_vec1()?;
            let sum = places.iter().map(|(output, .., weight)| weight * f64::from(bias[*output])).sum();
            self.constant(id, format!("bias of {}", self.name(id)), sum);
        }
        Ok(())
    }

    fn linear(&mut self, id: NodeId, to: NodeId, linear: &Linear, weights: &[f64]) -> Result<()> {
        self.single = false;
        let model = self.model;
        let matrix: Vec<f32> = model.weights().get(&linear.weight)?.flatten_all()?.to_vec1()?;
        let below = self.below(to)?;
        for (row, weight) in matrix.chunks_exact(linear.in_features.max(1)).zip(weights) {
            if *weight != 0.0 {
                below.iter_mut().zip(row).for_each(|(below, number)| *below += weight * f64::from(*number));
            }
        }
        if let Some(bias) = &linear.bias {
            let bias: Vec<f32> = model.weights().get(bias)?.to_vec1()?;
            let sum = bias.iter().zip(weights).map(|(bias, weight)| weight * f64::from(*bias)).sum();
            self.constant(id, format!("bias of {}", self.name(id)), sum);
        }
        Ok(())
    }

    /// What part of its input a function lets through, counted from its value at 0.
    fn shares(&self, id: NodeId, from: NodeId, at_zero: f64) -> Result<Vec<f64>> {
        let (inputs, outputs) = (&self.value(from)?.values, &self.value(id)?.values);
        let share = |(z, value): (&f32, &f32)| match f64::from(*z) {
            0.0 => 0.0,
            z => (f64::from(*value) - at_zero) / z,
        };
        Ok(inputs.iter().zip(outputs).map(share).collect())
    }

    fn activation(&mut self, id: NodeId, to: NodeId, function: Activation, weights: &[f64]) -> Result<()> {
        let (node, inputs) = (self.model.graph().node(id), &self.value(to)?.values);
        let kind = node.op.to_string();
        let name = self.name(id);
        if self.single {
            let Some(at) = weights.iter().position(|weight| *weight != 0.0) else { return Ok(()) };
            let (z, value) = (f64::from(inputs[at]), f64::from(self.value(id)?.values[at]));
            let weight = weights[at];
            let held = weight * (value - z);
            self.note(|| match value {
                value if value == z => format!("The {kind} {name} lets it through as it is."),
                0.0 => format!("The {kind} {name} holds it back: it reads {z:.4}."),
                value => format!("The {kind} {name} makes {value:.4} of {z:.4}."),
            });
            self.pass(to, weights, |_, weight| weight)?;
            self.constant(id, format!("what {name} changes"), held);
            return Ok(());
        }
        let at_zero = f64::from(function.value(0.0));
        let shares = self.shares(id, to, at_zero)?;
        self.pass(to, weights, |at, weight| weight * shares[at])?;
        // where a function of 0 is not 0, and where it reads just 0
        let outputs = &self.value(id)?.values;
        let inputs = &self.value(to)?.values;
        let rest = |at: usize| match inputs[at] {
            0.0 => f64::from(outputs[at]),
            _ => at_zero,
        };
        let rest = weights.iter().enumerate().map(|(at, weight)| weight * rest(at)).sum();
        self.constant(id, format!("{kind} {name} of 0"), rest);
        Ok(())
    }

    fn max_pool(&mut self, id: NodeId, to: NodeId, params: &Pool2dParams, weights: &[f64]) -> Result<()> {
        let [_, height, width] = self.value(to)?.shape;
        let [_, out_height, out_width] = self.value(id)?.shape;
        let inputs = &self.value(to)?.values;
        let mut winners = Vec::new();
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            let channel = at / (out_height * out_width);
            let along = |axis: usize, place: usize, size: usize| {
                let (start, before) = (place * params.stride[axis], params.padding[axis][0]);
                start.saturating_sub(before)..(start + params.kernel[axis]).saturating_sub(before).min(size)
            };
            let rows = along(0, at / out_width % out_height, height);
            let columns = along(1, at % out_width, width);
            let places = rows.flat_map(|y| columns.clone().map(move |x| (channel * height + y) * width + x));
            // the first of equals, as it is with gradients
            let best = places.reduce(|best, place| if inputs[place] > inputs[best] { place } else { best });
            winners.extend(best.map(|best| (best, *weight)));
        }
        let name = self.name(id);
        if let [(winner, _)] = winners[..] {
            let [rows, columns] = params.kernel;
            let (y, x) = (winner / width % height, winner % width);
            self.note(|| format!("Of the {rows}×{columns} places that the max pool {name} sees, y={y}, x={x} won."));
        }
        let below = self.below(to)?;
        winners.into_iter().for_each(|(place, weight)| below[place] += weight);
        Ok(())
    }

    fn average(
        &mut self,
        id: NodeId,
        to: NodeId,
        Windows(rows): &Windows,
        Windows(columns): &Windows,
        weights: &[f64],
    ) -> Result<()> {
        let [_, height, width] = self.value(to)?.shape;
        let (across, plane) = (columns.len(), rows.len() * columns.len());
        let name = self.name(id);
        self.note(|| format!("It is the mean of {} places ({name}).", rows[0].0.len() * columns[0].0.len()));
        self.single = false;
        let below = self.below(to)?;
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            let ((rows, tall), (columns, wide)) = (&rows[at % plane / across], &columns[at % across]);
            let share = weight / (tall * wide).max(1) as f64;
            for y in rows.clone() {
                let row = &mut below[(at / plane * height + y) * width..][..width];
                row[columns.clone()].iter_mut().for_each(|below| *below += share);
            }
        }
        Ok(())
    }

    fn product(&mut self, to: NodeId, inputs: &[NodeId], weights: &[f64]) -> Result<()> {
        let gate = inputs.iter().copied().find(|input| *input != to).unwrap_or(to);
        let factors = self.value(gate)?;
        let [_, height, width] = self.value(to)?.shape;
        let wide = factors.values.len() == weights.len();
        let factors: Vec<f64> = factors.values.iter().map(|factor| f64::from(*factor)).collect();
        let factor = |at: usize| if wide { factors[at] } else { factors[at / (height * width)] };
        if let Some(at) = weights.iter().position(|weight| *weight != 0.0) {
            let name = self.name(gate);
            self.note(|| format!("It is multiplied by {:.4}, from {name}.", factor(at)));
        }
        self.pass(to, weights, |at, weight| weight * factor(at))
    }

    /// The parts that a layer's units make.
    fn collect(&self, id: NodeId, weights: &[f64], parts: &mut Vec<Part>) -> Result<()> {
        let Value { shape: [channels, height, width], values } = self.value(id)?;
        let (height, width) = (*height, *width);
        let used = || weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0).map(|(at, _)| at);
        let span = |places: &mut dyn Iterator<Item = usize>| {
            places.fold(None, |span: Option<(usize, usize)>, at| {
                Some(span.map_or((at, at), |(low, high)| (low.min(at), high.max(at))))
            })
        };
        let rows = span(&mut used().map(|at| at / width % height));
        let columns = span(&mut used().map(|at| at % width));
        let (Some((top, bottom)), Some((left, right))) = (rows, columns) else { return Ok(()) };
        for channel in 0..*channels {
            let rows = (top..=bottom).map(|y| (channel * height + y) * width);
            let kernel: Vec<f64> = rows.clone().flat_map(|row| weights[row + left..=row + right].to_vec()).collect();
            if kernel.iter().all(|weight| *weight == 0.0) {
                continue;
            }
            let patch: Vec<f32> = rows.flat_map(|row| values[row + left..=row + right].to_vec()).collect();
            let value = patch.iter().zip(&kernel).map(|(value, weight)| f64::from(*value) * weight).sum();
            let size = [bottom - top + 1, right - left + 1];
            parts.push(Part { unit: Unit { layer: id, channel, y: top, x: left }, size, patch, kernel, value });
        }
        Ok(())
    }
}
