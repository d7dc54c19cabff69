//! The backward pass of a plan.

use candle_core::{Device, Tensor};

use super::forward::{average_windows, pool_window};
use super::kernels::{Convolution, combined};
use super::plan::Plan;
use super::step::{Gating, Place, Step, StepRule, Work};
use super::{Arena, Group, Inner, Loan, OutputGradients, fresh, lost, target, view};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::rules::Prepared;
use crate::model::{BackwardRule, Op, Operation, budget};
use crate::tensor::{Activation, ReluRule, channels_last, rows_of, with_values};
use percept_kernels::{Epilogue, Gate, Maps, Target, View, elementwise, linear, pool};

/// The gradients of the buffers as far as they are known.
struct Gradients<'a> {
    plan: &'a Plan,
    arena: &'a Arena,
    /// Images; one once they are summed.
    batch: usize,
    summed: bool,
    buffers: Vec<Option<Loan>>,
    /// Channels of each buffer that something has been added to.
    known: Vec<Vec<bool>>,
}

impl Gradients<'_> {
    /// Takes a buffer out to add to a place of it, and says whether there is something to add to.
    fn take(&mut self, place: Place) -> (Loan, bool) {
        let buffer = self.plan.buffers[place.buffer];
        let taken = self.buffers[place.buffer].take();
        let mut loan = taken.unwrap_or_else(|| fresh(self.arena, &buffer, self.batch));
        let known = &mut self.known[place.buffer][place.offset..][..place.channels];
        let some = known.iter().any(|known| *known);
        if some && !known.iter().all(|known| *known) {
            for row in loan[..buffer.maps(self.batch).rows() * buffer.channels].chunks_exact_mut(buffer.channels) {
                let values = row[place.offset..].iter_mut().zip(&*known);
                values.filter(|(_, known)| !**known).for_each(|(v, _)| *v = 0.0);
            }
        }
        known.fill(true);
        (loan, some)
    }

    fn put(&mut self, place: Place, loan: Loan) {
        self.buffers[place.buffer] = Some(loan);
    }

    /// Whether anything has been added to a place.
    fn is_known(&self, place: Place) -> bool {
        self.known[place.buffer][place.offset..][..place.channels].iter().any(|known| *known)
    }

    fn view(&self, place: Place) -> View<'_> {
        view(&self.buffers, self.plan, place)
    }

    /// Sums the gradients of the images at a place, each times its weight; those elsewhere are of no concern any more.
    fn sum_images(&mut self, place: Place, weights: &[f32]) {
        let stride = self.plan.buffers[place.buffer].channels;
        let rows = self.plan.buffers[place.buffer].maps(1).rows();
        let Some(data) = self.buffers[place.buffer].as_deref_mut() else { return };
        let (first, others) = data.split_at_mut(rows * stride);
        let Some((weight, weights)) = weights.split_first() else { return };
        let at = |row: &mut [f32]| row[place.offset..][..place.channels].iter_mut().for_each(|value| *value *= weight);
        first.chunks_exact_mut(stride).for_each(at);
        for (image, weight) in others.chunks_exact(rows * stride).zip(weights) {
            for (sum, row) in first.chunks_exact_mut(stride).zip(image.chunks_exact(stride)) {
                let sum = sum[place.offset..][..place.channels].iter_mut();
                sum.zip(&row[place.offset..]).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        // the row of zeros behind the last one
        others[..stride][place.offset..][..place.channels].fill(0.0);
        (self.batch, self.summed) = (1, true);
    }

    /// Calls `add` with a place to write, and whether it must add to what is there.
    fn add(&mut self, place: Place, add: impl FnOnce(&Self, Target<'_>, bool) -> Result<()>) -> Result<()> {
        let (mut loan, accumulate) = self.take(place);
        let out = target(&mut loan, self.plan, place, self.batch);
        let result = add(self, out, accumulate);
        self.put(place, loan);
        result
    }
}

impl Inner {
    /// The gradients that are captured, for the images of a group, into as many `results`; none for those that are not
    /// asked for.
    pub(super) fn backward(
        &self,
        group: &Group,
        above: &OutputGradients<'_>,
        interrupt: &Interrupt,
        mut results: Vec<Option<&mut [f32]>>,
    ) -> Result<()> {
        let (plan, batch) = (&*group.plan, group.batch);
        let known = plan.buffers.iter().map(|buffer| vec![false; buffer.channels]).collect();
        let buffers = plan.buffers.iter().map(|_| None).collect();
        let mut gradients = Gradients { plan, arena: &self.arena, batch, summed: false, buffers, known };
        for (i, (place, _)) in plan.taps.iter().enumerate() {
            gradients.add(*place, |_, out, accumulate| above.write(i, group, out, accumulate))?;
        }
        let mut makers = vec![0usize; plan.buffers.len()];
        plan.steps.iter().for_each(|step| makers[step.output.buffer] += 1);
        let asked = plan.captures.iter().zip(&results).filter(|(_, result)| result.is_some());
        let last = asked.clone().map(|(capture, _)| capture.after).min().unwrap_or(plan.steps.len());
        let places: Vec<Place> = asked.map(|(capture, _)| capture.value.0).collect();
        for i in (last..=plan.steps.len()).rev() {
            for (capture, result) in plan.captures.iter().zip(&mut results).filter(|(capture, _)| capture.after == i) {
                let place = capture.value.0;
                if let Some(result) = result.take().filter(|_| gradients.is_known(place)) {
                    // what was not reached counts as zero
                    gradients.add(place, |_, _, _| Ok(()))?;
                    if let Some(weights) = above.weights.filter(|_| !gradients.summed) {
                        gradients.sum_images(place, weights);
                    }
                    let maps = plan.buffers[place.buffer].maps(gradients.batch);
                    elementwise::to_planes(&maps, gradients.view(place), place.channels, result);
                }
            }
            if i == last {
                break;
            }
            interrupt.check()?;
            let step = &plan.steps[i - 1];
            if step.passed && gradients.is_known(step.output) {
                // through the last step, if it is linear, their sum passes instead of each image
                let only = step.inputs == places && !gradients.is_known(step.inputs[0]);
                let weights = above.weights.filter(|_| i - 1 == last && step.sums() && only);
                self.step_back(i - 1, step, group, &mut gradients, weights, interrupt)
                    .map_err(|error| self.at(step, error))?;
            }
            makers[step.output.buffer] -= 1;
            if makers[step.output.buffer] == 0 {
                gradients.buffers[step.output.buffer] = None;
            }
        }
        interrupt.check()
    }

    fn step_back(
        &self,
        index: usize,
        step: &Step,
        group: &Group,
        gradients: &mut Gradients<'_>,
        weights: Option<&[f32]>,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let stop = || interrupt.is_raised();
        let channels = step.output.channels;
        match &step.rule {
            StepRule::Derivative => {}
            StepRule::Pass => {
                gradients.add(step.output, |_, _, _| Ok(()))?;
                let first = *step.inputs.first().ok_or_else(lost)?;
                return gradients.add(first, |gradients, out, accumulate| {
                    let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                    elementwise::scale(Some(gradients.view(step.output)), None, channels, out, &epilogue, &stop);
                    Ok(())
                });
            }
            StepRule::Custom { rule, inputs, output } => {
                return self.custom(&**rule, inputs, output, step, group, gradients, &stop);
            }
        }
        if let Some(function) = step.activation
            && !step.gated
        {
            self.gate(function, step, group, gradients, &stop)?;
        }
        // what was not reached counts as zero
        gradients.add(step.output, |_, _, _| Ok(()))?;
        if let Some(weights) = weights {
            gradients.sum_images(step.output, weights);
        }
        let batch = gradients.batch;
        let maps = |place: Place| group.buffer(place).maps(batch);
        let output = maps(step.output);
        if let Some(residual) = step.residual {
            gradients.add(residual, |gradients, out, accumulate| {
                let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                elementwise::scale(Some(gradients.view(step.output)), None, channels, out, &epilogue, &stop);
                Ok(())
            })?;
        }
        let first = *step.inputs.first().ok_or_else(lost)?;
        let input = maps(first);
        let gate = step.gates.map(|gating| gate(group.view(first), gating));
        let epilogue = |accumulate| Epilogue { accumulate, gate, ..Epilogue::default() };
        match &step.work {
            Work::Convolution { node, scales } => {
                let mut conv = Convolution::new(&self.graph, &self.weights, *node, scales, input, output)?;
                gradients.add(first, |gradients, out, accumulate| {
                    let (gradient, budget) = (gradients.view(step.output), budget::memory() / 2);
                    conv.backward(&self.kernels, &self.weights, budget, gradient, out, &epilogue(accumulate), &stop)
                })
            }
            Work::Linear(node) => {
                let Op::Linear(fc) = &self.graph.node(*node).op else { return Err(lost()) };
                gradients.add(first, |gradients, out, accumulate| {
                    with_values(self.weights.get(&fc.weight)?, |data| {
                        let weight = linear::Weight { data, inputs: fc.in_features, outputs: fc.out_features };
                        linear::backward(gradients.view(step.output), batch, weight, out, &epilogue(accumulate));
                    })
                })
            }
            Work::Scale(nodes) => {
                let scale = combined(&self.graph, &self.weights, nodes)?;
                gradients.add(first, |gradients, out, accumulate| {
                    let scale = scale.as_ref().map(|(scale, _)| scale.as_slice());
                    elementwise::scale(
                        Some(gradients.view(step.output)),
                        scale,
                        channels,
                        out,
                        &epilogue(accumulate),
                        &stop,
                    );
                    Ok(())
                })
            }
            Work::Sum => step.inputs.iter().try_for_each(|place| {
                gradients.add(*place, |gradients, out, accumulate| {
                    elementwise::scale(
                        Some(gradients.view(step.output)),
                        None,
                        channels,
                        out,
                        &epilogue(accumulate),
                        &stop,
                    );
                    Ok(())
                })
            }),
            Work::Product => {
                let [a, b] = step.inputs[..] else { return Err(lost()) };
                let (a, b) = if maps(a) == output { (a, b) } else { (b, a) };
                let per_image = maps(b) != output;
                gradients.add(a, |gradients, out, accumulate| {
                    let gradient = gradients.view(step.output);
                    elementwise::multiply(
                        &output,
                        gradient,
                        group.view(b),
                        per_image,
                        channels,
                        accumulate,
                        out,
                        &stop,
                    );
                    Ok(())
                })?;
                gradients.add(b, |gradients, out, accumulate| {
                    let gradient = gradients.view(step.output);
                    if per_image {
                        elementwise::multiply_and_sum(&output, gradient, group.view(a), channels, accumulate, out);
                    } else {
                        elementwise::multiply(
                            &output,
                            gradient,
                            group.view(a),
                            false,
                            channels,
                            accumulate,
                            out,
                            &stop,
                        );
                    }
                    Ok(())
                })
            }
            Work::MaxPool(node) => {
                let Op::MaxPool2d(params) = &self.graph.node(*node).op else { return Err(lost()) };
                let window = pool_window(params, input, output);
                gradients.add(first, |gradients, out, accumulate| {
                    let (x, y, gradient) = (group.view(first), group.view(step.output), gradients.view(step.output));
                    pool::max_backward(&window, x, y, gradient, channels, out, &epilogue(accumulate), &stop);
                    Ok(())
                })
            }
            Work::AveragePool(node) => {
                let (rows, columns) = average_windows(&self.graph.node(*node).op, input, output)?;
                gradients.add(first, |gradients, out, accumulate| {
                    let gradient = gradients.view(step.output);
                    let epilogue = epilogue(accumulate);
                    pool::average_backward(input, output, &rows, &columns, gradient, channels, out, &epilogue, &stop);
                    Ok(())
                })
            }
            Work::Flatten => gradients.add(first, |gradients, out, accumulate| {
                let gradient = gradients.view(step.output);
                let plane = input.height * input.width;
                let one = Maps { batch: 1, ..input };
                for (image, data) in out.data.chunks_exact_mut(plane * out.stride).enumerate() {
                    let out = Target { data, ..out };
                    elementwise::from_planes(&one, gradient.row(image, channels), first.channels, accumulate, out);
                }
                Ok(())
            }),
            Work::Other { .. } => {
                let Some(recorded) = &group.recorded[index] else { return Err(lost()) };
                let mut planes = vec![0f32; output.rows() * channels];
                elementwise::to_planes(&output, gradients.view(step.output), channels, &mut planes);
                let above = Tensor::from_vec(planes, recorded.value.shape(), &Device::Cpu)?;
                let slopes = (&recorded.value * above)?.sum_all()?.backward()?;
                for (place, var) in step.inputs.iter().zip(&recorded.inputs) {
                    let Some(slope) = slopes.get(var) else { continue };
                    gradients.add(*place, |_, out, accumulate| {
                        with_values(slope, |values| {
                            elementwise::from_planes(&maps(*place), values, place.channels, accumulate, out);
                        })
                    })?;
                }
                Ok(())
            }
        }
    }

    /// A step back by a rule that is code of its own.
    #[expect(clippy::too_many_arguments, reason = "a step, its rule, and where it finds and puts values")]
    fn custom(
        &self,
        rule: &dyn BackwardRule,
        shapes: &[Vec<usize>],
        shape: &[usize],
        step: &Step,
        group: &Group,
        gradients: &mut Gradients<'_>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        let tensor = |view: View<'_>, place: Place, shape: &[usize]| -> Result<Tensor> {
            let maps = group.buffer(place).maps(group.batch);
            if let (true, [channels, height, width]) = (rule.takes_any_order(), shape) {
                return channels_last(
                    view.copied(maps.rows(), place.channels),
                    [group.batch, *channels, *height, *width],
                );
            }
            let mut planes = vec![0f32; maps.rows() * place.channels];
            elementwise::to_planes(&maps, view, place.channels, &mut planes);
            Ok(Tensor::from_vec(planes, [&[group.batch], shape].concat(), &Device::Cpu)?)
        };
        gradients.add(step.output, |_, _, _| Ok(()))?;
        let places = step.inputs.iter().zip(shapes);
        let inputs = places.map(|(place, shape)| tensor(group.view(*place), *place, shape));
        let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
        let output = tensor(group.view(step.output), step.output, shape)?;
        let above = tensor(gradients.view(step.output), step.output, shape)?;
        let node = self.graph.node(step.node);
        let (op, prepared) = (&node.op, Prepared(Some((&*self.kernels, &node.name))));
        let below = rule
            .backward(&Operation { op, inputs: &inputs, output: &output, weights: &self.weights, prepared }, &above)?;
        let fits = below.len() == inputs.len() && below.iter().zip(&inputs).all(|(g, x)| g.shape() == x.shape());
        if !fits {
            let found: Vec<&[usize]> = below.iter().map(Tensor::dims).collect();
            let message = format!("the rule {} returned gradients of shapes {found:?}", rule.name());
            return Err(Error::new(Kind::Internal, message));
        }
        for (place, below) in step.inputs.iter().zip(&below) {
            let maps = group.buffer(*place).maps(group.batch);
            gradients.add(*place, |_, out, accumulate| {
                if let Some(rows) = rows_of(below) {
                    let epilogue = Epilogue { accumulate, ..Epilogue::default() };
                    return with_values(&rows, |data| {
                        let rows = View { data, stride: place.channels, offset: 0 };
                        elementwise::scale(Some(rows), None, place.channels, out, &epilogue, stop);
                    });
                }
                with_values(below, |values| {
                    elementwise::from_planes(&maps, values, place.channels, accumulate, out);
                })
            })?;
        }
        Ok(())
    }

    /// Multiplies the gradient of a step's value by the derivative of its activation, or what a rule puts in its place.
    fn gate(
        &self,
        function: Activation,
        step: &Step,
        group: &Group,
        gradients: &mut Gradients<'_>,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        let channels = step.output.channels;
        let values = group.view(step.output);
        gradients.add(step.output, |_, out, _| {
            let Some(gating) = step.gating else {
                let derivative = |g: f32, y: f32| g * function.derivative_at_value(y);
                elementwise::update(Some(values), channels, out, derivative, stop);
                return Ok(());
            };
            if gating.rule == ReluRule::Redirected {
                let plane = group.buffer(step.output).height * group.buffer(step.output).width;
                redirect(out, values, plane, channels, gating.below);
                return Ok(());
            }
            let epilogue = Epilogue { accumulate: true, gate: Some(gate(values, gating)), ..Epilogue::default() };
            elementwise::scale(None, None, channels, out, &epilogue, stop);
            Ok(())
        })
    }
}

/// What a rectifier with these values lets through, other than redirected.
fn gate(values: View<'_>, Gating { below, rule }: Gating) -> Gate<'_> {
    Gate { values, below, by_value: rule != ReluRule::Deconvnet, positive: rule != ReluRule::Plain }
}

/// The plain gradient of each image, or where it is nothing at all what moves units back into their range.
fn redirect(out: Target<'_>, values: View<'_>, plane: usize, channels: usize, below: f32) {
    for (image, data) in out.data.chunks_exact_mut(plane * out.stride).enumerate() {
        let rows = |i: usize| values.row(image * plane + i, channels);
        let open = |y: f32| y > 0.0 && y < below;
        let blocked = data
            .chunks_exact(out.stride)
            .enumerate()
            .all(|(i, row)| row[out.offset..][..channels].iter().zip(rows(i)).all(|(g, y)| *g == 0.0 || !open(*y)));
        for (i, row) in data.chunks_exact_mut(out.stride).enumerate() {
            for (g, y) in row[out.offset..][..channels].iter_mut().zip(rows(i)) {
                let back = if *y <= 0.0 { *g > 0.0 } else { *g < 0.0 };
                if !(open(*y) || blocked && back) {
                    *g = 0.0;
                }
            }
        }
    }
}
