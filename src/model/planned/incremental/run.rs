//! Running the steps of a plan over rectangles.

use std::ops::Range;
use std::sync::Arc;

use super::super::arena::Loan;
use super::super::forward::{Reading, average_windows, last_use};
use super::super::plan::Plan;
use super::super::step::{Buffer, Place, Step, Work};
use super::super::{Group, fresh, lost, target};
use super::Patches;
use super::cones::Batch;
use super::gather::{Changed, Region};
use crate::error::Result;
use crate::model::{Op, Rules, Run};
use percept_kernels::pool::Windows;
use percept_kernels::{Epilogue, Maps, Target, View, elementwise, pool};

/// What a step reads of one value: rectangles as they are, or put together.
struct Source {
    place: Place,
    maps: Maps,
    /// Where each rectangle begins.
    starts: Vec<[isize; 2]>,
    gathered: Option<Loan>,
}

impl Source {
    fn view<'a>(&'a self, group: &'a Group) -> View<'a> {
        match &self.gathered {
            Some(loan) => View { data: loan, stride: self.place.channels, offset: 0 },
            None => group.view(self.place),
        }
    }
}

impl Patches<'_> {
    /// The values of all taps for a batch of changes, given the pixels of each.
    pub(super) fn compute(&self, batch: &Batch, pixels: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        let count = batch.indices.len();
        let buffers = self.plan.buffers.iter().zip(&batch.sides);
        let buffers = buffers.map(|(full, [height, width])| Buffer { height: *height, width: *width, ..*full });
        let plan = Arc::new(Plan { buffers: buffers.collect(), ..self.plan.clone() });
        let last_use = last_use(&plan, false);
        let buffers = plan.buffers.iter().map(|_| None).collect();
        let mut group = Group { plan: plan.clone(), batch: count, buffers, recorded: Vec::new() };
        self.start(batch, pixels, &mut group)?;

        let rules = Rules::default();
        let run = Run { exact: self.exact, ..Run::new(&self.taps, &rules, &self.interrupt) };
        for (number, step) in plan.steps.iter().enumerate() {
            self.interrupt.check()?;
            let buffer = step.output.buffer;
            let mut loan = match group.buffers[buffer].take() {
                Some(loan) => loan,
                None => fresh(&self.inner.arena, &plan.buffers[buffer], count),
            };
            let out = target(&mut loan, &plan, step.output, count);
            self.step(number, batch, &group, out, &run).map_err(|error| self.inner.at(step, error))?;
            group.buffers[buffer] = Some(loan);
            group.release(|buffer| last_use[buffer] == Some(number));
        }
        self.interrupt.check()?;
        let taps = plan.taps.iter().map(|(place, _)| {
            let full = self.full(place.buffer);
            let region = Region { sides: full, starts: vec![[0, 0]; count] };
            let source = self.source(*place, region, 0.0, batch, &group);
            let mut values = vec![0f32; source.maps.rows() * place.channels];
            elementwise::to_planes(&source.maps, source.view(&group), place.channels, &mut values);
            values
        });
        Ok(taps.collect())
    }

    /// Writes the rectangles of the input.
    fn start(&self, batch: &Batch, pixels: &[Vec<f32>], group: &mut Group) -> Result<()> {
        let (place, _) = self.plan.starts.first().ok_or_else(lost)?;
        let mut loan = fresh(&self.inner.arena, &group.plan.buffers[place.buffer], group.batch);
        let ([height, width], starts) = (batch.sides[place.buffer], &batch.starts[place.buffer]);
        let region = |[top, left]: &[usize; 2]| [*top as isize, *left as isize];
        let region = Region { sides: [height, width], starts: starts.iter().map(region).collect() };
        Changed { values: None, ..self.changed(*place, batch, group) }.gather(&region, place.channels, 0.0, &mut loan);
        let plane = height * width * place.channels;
        let changes = batch.indices.iter().zip(starts).zip(pixels);
        for (rows, ((index, [top, left]), pixels)) in loan.chunks_exact_mut(plane).zip(changes) {
            let area = self.areas[*index];
            let place_of = |y: usize, x: usize| ((area.top - top + y) * width + area.left - left + x) * place.channels;
            for (channel, values) in pixels.chunks_exact(area.height * area.width).enumerate() {
                for (at, value) in values.iter().enumerate() {
                    rows[place_of(at / area.width, at % area.width) + channel] = *value;
                }
            }
        }
        group.buffers[place.buffer] = Some(loan);
        Ok(())
    }

    fn full(&self, buffer: usize) -> [usize; 2] {
        let Buffer { height, width, .. } = self.plan.buffers[buffer];
        [height, width]
    }

    fn changed<'a>(&'a self, place: Place, batch: &'a Batch, group: &'a Group) -> Changed<'a> {
        Changed {
            clean: self.clean.view(place),
            full: self.full(place.buffer),
            values: group.buffers[place.buffer].as_ref().map(|_| group.view(place)),
            sides: batch.sides[place.buffer],
            starts: &batch.starts[place.buffer],
        }
    }

    /// Some regions of a value: its rectangles themselves, if these are the regions.
    fn source(&self, place: Place, region: Region, around: f32, batch: &Batch, group: &Group) -> Source {
        let changed = self.changed(place, batch, group);
        let maps = Maps { batch: group.batch, height: region.sides[0], width: region.sides[1] };
        let gathered = (!region.is_of(&changed)).then(|| {
            let mut loan = self.inner.arena.take((maps.rows() + 1) * place.channels);
            changed.gather(&region, place.channels, around, &mut loan);
            loan[maps.rows() * place.channels..].fill(0.0);
            loan
        });
        Source { place, maps, starts: region.starts, gathered }
    }

    fn step(&self, number: usize, batch: &Batch, group: &Group, out: Target<'_>, run: &Run<'_>) -> Result<()> {
        let step = &group.plan.steps[number];
        let [height, width] = batch.sides[step.output.buffer];
        let output = Maps { batch: group.batch, height, width };
        let whole = |place: &Place| batch.sides[place.buffer] == self.full(place.buffer);
        let places = || step.inputs.iter().chain(&step.residual);
        if places().chain([&step.output]).all(whole) {
            // as it always is, with the padding of the step itself
            let maps = |place: &Place| group.buffer(*place).maps(group.batch);
            let inputs = step.inputs.iter().map(|place| (group.view(*place), maps(place))).collect();
            let residual = step.residual.map(|place| group.view(place));
            let reading = Reading { inputs, residual, output, padded: false };
            return self.inner.step(step, &reading, out, false, run).map(drop);
        }
        let around = if matches!(step.work, Work::MaxPool(_)) { f32::NEG_INFINITY } else { 0.0 };
        let sources: Vec<Source> = step
            .inputs
            .iter()
            .zip(&self.cones.reaches[number])
            .map(|(place, reach)| {
                let region = self.region(step, batch, |axis, out| reach[axis].read(out, self.full(place.buffer)[axis]));
                self.source(*place, region, around, batch, group)
            })
            .collect();
        let residual = step.residual.map(|place| {
            let region = self.region(step, batch, |_, out| out.start as isize..out.end as isize);
            self.source(place, region, 0.0, batch, group)
        });
        let inputs = sources.iter().map(|source| (source.view(group), source.maps)).collect();
        let residual = residual.as_ref().map(|source| source.view(group));
        let reading = Reading { inputs, residual, output, padded: true };
        match (&step.work, sources.first()) {
            (Work::AveragePool(node), Some(source)) => {
                self.average(&self.inner.graph.node(*node).op, step, batch, source, &reading, out)
            }
            (Work::Other { node, .. }, Some(source)) if matches!(self.inner.graph.node(*node).op, Op::ZeroPad(_)) => {
                // what lies around the image is gathered already
                let stop = || run.interrupt.is_raised();
                let (x, channels) = (source.view(group), step.output.channels);
                elementwise::scale(Some(x), None, channels, out, &Epilogue::default(), &stop);
                Ok(())
            }
            _ => self.inner.step(step, &reading, out, false, run).map(drop),
        }
    }

    /// What a step reads, given what it reads for some places of its result along an axis.
    fn region(&self, step: &Step, batch: &Batch, read: impl Fn(usize, &Range<usize>) -> Range<isize>) -> Region {
        let (sides, starts) = (batch.sides[step.output.buffer], &batch.starts[step.output.buffer]);
        let of = |start: &[usize; 2]| [0, 1].map(|axis| read(axis, &(start[axis]..start[axis] + sides[axis])));
        let parts: Vec<[Range<isize>; 2]> = starts.iter().map(of).collect();
        // windows of adaptive pooling are of different lengths
        let side = |axis: usize| parts.iter().map(|part| part[axis].len()).max().unwrap_or(0).max(1);
        let starts = parts.iter().map(|part| [part[0].start, part[1].start]).collect();
        Region { sides: [side(0), side(1)], starts }
    }

    /// An average pooling, whose windows differ from place to place.
    fn average(
        &self,
        op: &Op,
        step: &Step,
        batch: &Batch,
        source: &Source,
        reading: &Reading<'_>,
        out: Target<'_>,
    ) -> Result<()> {
        let full = |place: &Place| self.plan.buffers[place.buffer].maps(1);
        let (rows, columns) = average_windows(op, full(&source.place), full(&step.output))?;
        let (x, input) = *reading.inputs.first().ok_or_else(lost)?;
        let (input, output) = (Maps { batch: 1, ..input }, Maps { batch: 1, ..reading.output });
        let (starts, Target { data, stride, offset }) = (&batch.starts[step.output.buffer], out);
        let images = data.chunks_exact_mut(output.rows() * stride).zip(starts.iter().zip(&source.starts));
        for (image, (data, (at, from))) in images.enumerate() {
            let moved = |all: &Windows, axis: usize, count: usize| {
                let here = |(range, divisor): &(Range<usize>, usize)| {
                    let shift = |at: usize| (at as isize - from[axis]).max(0) as usize;
                    (shift(range.start)..shift(range.end), *divisor)
                };
                Windows(all.0[at[axis]..at[axis] + count].iter().map(here).collect())
            };
            let (rows, columns) = (moved(&rows, 0, output.height), moved(&columns, 1, output.width));
            let x = View { data: &x.data[image * input.rows() * x.stride..], ..x };
            let out = Target { data, stride, offset };
            pool::average(input, output, &rows, &columns, x, step.output.channels, out);
        }
        Ok(())
    }
}
