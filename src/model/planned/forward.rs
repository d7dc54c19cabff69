//! Running a plan.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::kernels::{Convolution, combined};
use super::plan::Plan;
use super::step::{Place, Step, StepRule, Work};
use super::{Group, Inner, fresh, lost, target};
use crate::error::{Error, Kind, Result};
use crate::model::executor::apply;
use crate::model::{NodeId, Op, Run, budget};
use crate::tensor::{Activation, Pool2dParams, pooling_windows, with_values};
use percept_kernels::pool::Windows;
use percept_kernels::{Epilogue, Maps, Target, View, Window, elementwise, linear, pool};

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
    /// Runs all steps for `batch` images, given the values of each start for them, `[batch, C, H, W]`.
    pub(super) fn forward(
        &self,
        plan: &Arc<Plan>,
        values: &[&[f32]],
        batch: usize,
        tracked: bool,
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

        let last_use = last_use(plan, tracked);
        for (i, step) in plan.steps.iter().enumerate() {
            run.interrupt.check()?;
            let buffer = step.output.buffer;
            let mut loan = match group.buffers[buffer].take() {
                Some(loan) => loan,
                None => fresh(&self.arena, &plan.buffers[buffer], batch),
            };
            let out = target(&mut loan, plan, step.output, batch);
            let recorded = self.step(step, &group, out, tracked, run).map_err(|error| self.at(step, error))?;
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

    fn step(
        &self,
        step: &Step,
        group: &Group,
        out: Target<'_>,
        tracked: bool,
        run: &Run<'_>,
    ) -> Result<Option<Recorded>> {
        let stop = || run.interrupt.is_raised();
        let maps = |place: Place| group.buffer(place).maps(group.batch);
        let (output, channels) = (maps(step.output), step.output.channels);
        let Target { data, stride, offset } = out;
        // every kernel gets the same target
        macro_rules! out {
            () => {
                Target { data: &mut *data, stride, offset }
            };
        }
        let first = *step.inputs.first().ok_or_else(lost)?;
        let (x, input) = (group.view(first), maps(first));
        let clip = match step.activation {
            Some(Activation::Relu) => Some((0.0, f32::INFINITY)),
            Some(Activation::Clip(low, high)) => Some((low, high)),
            _ => None,
        };
        let residual = step.residual.map(|place| group.view(place));
        let epilogue = Epilogue { residual, clip, ..Epilogue::default() };
        match &step.work {
            Work::Convolution { node, scales } => {
                let mut conv = Convolution::new(&self.graph, &self.weights, *node, scales, input, output)?;
                let bias = conv.bias.take();
                let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
                // a rule may divide by what is computed here
                conv.exact = run.exact || matches!(step.rule, StepRule::Custom { .. });
                conv.forward(&self.kernels, &self.weights, budget::memory() / 2, x, out!(), &epilogue, &stop)?;
            }
            Work::Linear(node) => {
                let Op::Linear(fc) = &self.graph.node(*node).op else { return Err(lost()) };
                let bias: Option<Vec<f32>> =
                    fc.bias.as_ref().map(|name| Ok::<_, Error>(self.weights.get(name)?.to_vec1()?)).transpose()?;
                let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
                with_values(self.weights.get(&fc.weight)?, |data| {
                    let weight = linear::Weight { data, inputs: fc.in_features, outputs: fc.out_features };
                    linear::linear(x, group.batch, weight, out!(), &epilogue);
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
                for (i, place) in step.inputs.iter().enumerate().skip(1) {
                    let last = i + 1 == step.inputs.len();
                    let epilogue = Epilogue { accumulate: true, ..if last { epilogue } else { plain } };
                    elementwise::scale(Some(group.view(*place)), None, channels, out!(), &epilogue, &stop);
                }
            }
            Work::Product => {
                let [a, b] = step.inputs[..] else { return Err(lost()) };
                let (a, b) = if maps(a) == output { (a, b) } else { (b, a) };
                let per_image = maps(b) != output;
                elementwise::multiply(&output, group.view(a), group.view(b), per_image, channels, false, out!(), &stop);
            }
            Work::MaxPool(node) => {
                let Op::MaxPool2d(params) = &self.graph.node(*node).op else { return Err(lost()) };
                pool::max(&pool_window(params, input, output), x, channels, out!(), &stop);
            }
            Work::AveragePool(node) => {
                let (rows, columns) = average_windows(&self.graph.node(*node).op, input, output)?;
                pool::average(input, output, &rows, &columns, x, channels, out!());
            }
            Work::Flatten => {
                let plane = input.height * input.width;
                for image in 0..group.batch {
                    let one = Maps { batch: 1, ..input };
                    let row = &mut data[image * stride + offset..][..channels];
                    let x = View { data: &x.data[image * plane * x.stride..], ..x };
                    elementwise::to_planes(&one, x, first.channels, row);
                }
            }
            Work::Other { node, shapes } => {
                let (recorded, value) = self.other(*node, shapes, step, group, tracked, run)?;
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
        group: &Group,
        tracked: bool,
        run: &Run<'_>,
    ) -> Result<(Option<Recorded>, Tensor)> {
        let tensors = step.inputs.iter().zip(shapes).map(|(place, shape)| {
            let maps = group.buffer(*place).maps(group.batch);
            let mut planes = vec![0f32; maps.rows() * place.channels];
            elementwise::to_planes(&maps, group.view(*place), place.channels, &mut planes);
            Ok(Tensor::from_vec(planes, [&[group.batch], shape.as_slice()].concat(), &Device::Cpu)?)
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
fn last_use(plan: &Plan, tracked: bool) -> Vec<Option<usize>> {
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
