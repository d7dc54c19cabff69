//! Running a plan.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::kernels::{Convolution, Sums, combined};
use super::plan::Plan;
use super::step::{Place, Step, StepRule, Work};
use super::{Group, Inner, fresh, lost, target};
use crate::error::{Error, Kind, Result};
use crate::model::executor::apply;
use crate::model::{NodeId, Op, Run, budget};
use crate::tensor::{Activation, Pool2dParams, pooling_windows, with_values};
use percept_kernels::pool::Windows;
use percept_kernels::{Epilogue, Maps, Target, View, Window, elementwise, linear, pool};

/// What a step reads, and the maps that it makes.
pub(super) struct Reading<'a> {
    /// The values of each input, with the maps they are rows of.
    pub(super) inputs: Vec<(View<'a>, Maps)>,
    /// What is added to the result.
    pub(super) residual: Option<View<'a>>,
    pub(super) output: Maps,
    /// Whether what lies around an image, zeros as a rule, is part of the inputs already.
    pub(super) padded: bool,
}

/// What a reference operation has recorded: its inputs on a tape of their own, and its value.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) inputs: Vec<Var>,
    pub(super) value: Tensor,
}

/// The window of a max-pooling over maps.
pub(super) fn pool_window(params: &Pool2dParams, input: Maps, output: Maps) -> Window {
    let before = [params.padding[0][0], params.padding[1][0]];
    Window { input, output, kernel: params.kernel, stride: params.stride, before, dilation: [1, 1] }
}

/// The windows of an average pooling, along rows and columns.
pub(super) fn average_windows(op: &Op, input: Maps, output: Maps) -> Result<(Windows, Windows)> {
    match op {
        Op::AvgPool2d { params, count_include_pad } => Ok((
            pooling_windows(params, 0, input.height, output.height, *count_include_pad),
            pooling_windows(params, 1, input.width, output.width, *count_include_pad),
        )),
        Op::AdaptiveAvgPool2d([height, width]) => {
            Ok((Windows::adaptive(input.height, *height), Windows::adaptive(input.width, *width)))
        }
        other => Err(Error::new(Kind::Internal, format!("{other} is no average pooling"))),
    }
}

impl Inner {
    /// Runs all steps for `batch` images, given the values of each start for them, `[batch, C, H, W]`. Buffers are given
    /// back after their [`last_use`].
    pub(super) fn forward(
        &self,
        plan: &Arc<Plan>,
        values: &[&[f32]],
        batch: usize,
        tracked: bool,
        last_use: &[Option<usize>],
        run: &Run<'_>,
    ) -> Result<Group> {
        let buffers = plan.buffers.iter().map(|_| None).collect();
        let recorded = plan.steps.iter().map(|_| None).collect();
        let mut group = Group { plan: plan.clone(), batch, buffers, recorded };
        for ((place, _), values) in plan.starts.iter().zip(values) {
            let maps = plan.buffers[place.buffer].maps(batch);
            let mut loan = fresh(&self.arena, &plan.buffers[place.buffer], batch);
            elementwise::from_planes(&maps, values, place.channels, false, target(&mut loan, plan, *place, batch));
            group.buffers[place.buffer] = Some(loan);
        }

        for (i, step) in plan.steps.iter().enumerate() {
            run.interrupt.check()?;
            let buffer = step.output.buffer;
            let mut loan = match group.buffers[buffer].take() {
                Some(loan) => loan,
                None => fresh(&self.arena, &plan.buffers[buffer], batch),
            };
            let out = target(&mut loan, plan, step.output, batch);
            let maps = |place: &Place| group.buffer(*place).maps(batch);
            let reading = Reading {
                inputs: step.inputs.iter().map(|place| (group.view(*place), maps(place))).collect(),
                residual: step.residual.map(|place| group.view(place)),
                output: maps(&step.output),
                padded: false,
            };
            let recorded = self.step(step, &reading, out, tracked, run).map_err(|error| self.at(step, error))?;
            group.recorded[i] = recorded;
            group.buffers[buffer] = Some(loan);
            group.release(|buffer| last_use[buffer] == Some(i));
        }
        run.interrupt.check()?;
        Ok(group)
    }

    /// Names the layer in an error, but leaves an interrupt as it is.
    pub(super) fn at(&self, step: &Step, error: Error) -> Error {
        if error.kind() == Kind::Interrupted { error } else { error.context(&self.graph.node(step.node).name) }
    }

    /// One step over whole maps, or over parts of them that hold all it reads.
    pub(super) fn step(
        &self,
        step: &Step,
        reading: &Reading<'_>,
        out: Target<'_>,
        tracked: bool,
        run: &Run<'_>,
    ) -> Result<Option<Recorded>> {
        let stop = || run.interrupt.is_raised();
        let (output, channels) = (reading.output, step.output.channels);
        let Target { data, stride, offset } = out;
        // every kernel gets the same target
        macro_rules! out {
            () => {
                Target { data: &mut *data, stride, offset }
            };
        }
        let first = *step.inputs.first().ok_or_else(lost)?;
        let (x, input) = *reading.inputs.first().ok_or_else(lost)?;
        let bare = |window: Window| if reading.padded { Window { before: [0, 0], ..window } } else { window };
        let clip = match step.activation {
            Some(Activation::Relu) => Some((0.0, f32::INFINITY)),
            Some(Activation::Clip(low, high)) => Some((low, high)),
            _ => None,
        };
        let epilogue = Epilogue { residual: reading.residual, clip, ..Epilogue::default() };
        match &step.work {
            Work::Convolution { node, scales } => {
                let mut conv = Convolution::new(&self.graph, &self.weights, *node, scales, input, output)?;
                conv.window = bare(conv.window);
                let bias = conv.bias.take();
                let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
                conv.sums = match step.rule {
                    // a rule may divide by what is computed here
                    StepRule::Custom { .. } if step.passed => Sums::Defined,
                    _ if run.exact && !tracked => Sums::Defined,
                    _ if run.exact && step.passed => Sums::Careful,
                    _ => Sums::Fast,
                };
                let budget = if self.fleeting == Some(*node) { 0 } else { budget::memory() / 2 };
                conv.forward(&self.kernels, &self.weights, budget, x, out!(), &epilogue, &stop)?;
            }
            Work::Linear(node) => {
                let Op::Linear(fc) = &self.graph.node(*node).op else { return Err(lost()) };
                let bias: Option<Vec<f32>> =
                    fc.bias.as_ref().map(|name| Ok::<_, Error>(self.weights.get(name)?.to_vec1()?)).transpose()?;
                let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
                with_values(self.weights.get(&fc.weight)?, |data| {
                    let weight = linear::Weight { data, inputs: fc.in_features, outputs: fc.out_features };
                    linear::linear(x, output.batch, weight, out!(), &epilogue);
                })?;
            }
            Work::Scale(nodes) => {
                let scale = combined(&self.graph, &self.weights, nodes)?;
                let (scale, shift) = scale.as_ref().map(|(scale, shift)| (scale.as_slice(), shift.as_slice())).unzip();
                elementwise::scale(Some(x), scale, channels, out!(), &Epilogue { bias: shift, ..epilogue }, &stop);
            }
            Work::Sum => {
                let plain = Epilogue::default();
                elementwise::scale(Some(x), None, channels, out!(), &plain, &stop);
                for (i, (other, _)) in reading.inputs.iter().enumerate().skip(1) {
                    let last = i + 1 == step.inputs.len();
                    let epilogue = Epilogue { accumulate: true, ..if last { epilogue } else { plain } };
                    elementwise::scale(Some(*other), None, channels, out!(), &epilogue, &stop);
                }
            }
            Work::Product => {
                let [a, b] = reading.inputs[..] else { return Err(lost()) };
                let ((a, _), (b, gate)) = if a.1 == output { (a, b) } else { (b, a) };
                elementwise::multiply(&output, a, b, gate != output, channels, false, out!(), &stop);
            }
            Work::MaxPool(node) => {
                let Op::MaxPool2d(params) = &self.graph.node(*node).op else { return Err(lost()) };
                pool::max(&bare(pool_window(params, input, output)), x, channels, out!(), &stop);
            }
            Work::AveragePool(node) => {
                let (rows, columns) = average_windows(&self.graph.node(*node).op, input, output)?;
                pool::average(input, output, &rows, &columns, x, channels, out!());
            }
            Work::Flatten => {
                let plane = input.height * input.width;
                for image in 0..output.batch {
                    let one = Maps { batch: 1, ..input };
                    let row = &mut data[image * stride + offset..][..channels];
                    let x = View { data: &x.data[image * plane * x.stride..], ..x };
                    elementwise::to_planes(&one, x, first.channels, row);
                }
            }
            Work::Other { node, shapes } => {
                let (recorded, value) = self.other(*node, shapes, step, reading, tracked, run)?;
                with_values(&value, |values| {
                    elementwise::from_planes(&output, values, channels, false, out!());
                })?;
                return Ok(recorded);
            }
        }
        if let (Some(function), None) = (step.activation, clip) {
            elementwise::update(None, channels, out!(), |v, _| function.value(v), &stop);
        }
        Ok(None)
    }

    /// A reference operation, on a tape of its own if its gradient will be wanted.
    fn other(
        &self,
        node: NodeId,
        shapes: &[Vec<usize>],
        step: &Step,
        reading: &Reading<'_>,
        tracked: bool,
        run: &Run<'_>,
    ) -> Result<(Option<Recorded>, Tensor)> {
        let tensors = reading.inputs.iter().zip(&step.inputs).zip(shapes).map(|(((x, maps), place), shape)| {
            let mut planes = vec![0f32; maps.rows() * place.channels];
            elementwise::to_planes(maps, *x, place.channels, &mut planes);
            // of a part of an image the sides are other ones
            let shape = match shape[..] {
                [channels, _, _] => vec![maps.batch, channels, maps.height, maps.width],
                _ => [&[maps.batch], shape.as_slice()].concat(),
            };
            Ok(Tensor::from_vec(planes, shape, &Device::Cpu)?)
        });
        let tensors = tensors.collect::<Result<Vec<Tensor>>>()?;
        let (op, rule) = (&self.graph.node(node).op, run.rules.of(node));
        if !tracked {
            return Ok((None, apply(op, &tensors, &self.weights, rule, run.interrupt)?));
        }
        let inputs = tensors.iter().map(|x| Ok(Var::from_tensor(x)?)).collect::<Result<Vec<Var>>>()?;
        let on_tape: Vec<Tensor> = inputs.iter().map(|var| var.as_tensor().clone()).collect();
        let value = apply(op, &on_tape, &self.weights, rule, run.interrupt)?;
        Ok((Some(Recorded { inputs, value: value.clone() }), value.detach()))
    }
}

/// After which step each buffer is read for the last time; none for those that must stay.
pub(super) fn last_use(plan: &Plan, tracked: bool) -> Vec<Option<usize>> {
    let mut last = vec![None; plan.buffers.len()];
    for (i, step) in plan.steps.iter().enumerate() {
        let read = step.inputs.iter().chain(&step.residual).chain([&step.output]);
        read.for_each(|place| last[place.buffer] = Some(i));
    }
    let tapped = plan.taps.iter().map(|(place, _)| place.buffer);
    tapped.for_each(|buffer| last[buffer] = None);
    let kept = plan.kept.iter().enumerate().filter(|(_, kept)| tracked && **kept);
    kept.for_each(|(buffer, _)| last[buffer] = None);
    last
}
