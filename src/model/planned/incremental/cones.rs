//! How far a change of some pixels spreads, and which changes are computed together.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::forward::last_use;
use super::super::plan::Plan;
use super::super::step::{Place, Step, Work};
use super::reach::{Reach, reaches};
use crate::error::Result;
use crate::model::{Area, Graph, Op};

/// Changes are computed together if each costs at least so much of the largest of them, along either side.
const ALIKE: f64 = 0.88;

/// What an operation that only moves numbers costs for each, in multiplications.
const MOVED: f64 = 8.0;

/// How changes spread over the buffers of a plan.
#[derive(Debug)]
pub(super) struct Cones {
    /// How each step reaches into each of its inputs, along rows and columns.
    pub(super) reaches: Vec<Vec<[Reach; 2]>>,
    /// What each step costs for a whole image.
    costs: Vec<f64>,
}

/// Changes that are computed together: each buffer has a rectangle of one size for all of them.
#[derive(Debug)]
pub(super) struct Batch {
    /// Which changes.
    pub(super) indices: Vec<usize>,
    /// Height and width, by buffer.
    pub(super) sides: Vec<[usize; 2]>,
    /// Where the rectangles begin, by buffer and change.
    pub(super) starts: Vec<Vec<[usize; 2]>>,
}

/// What changes of each buffer along one axis.
type Cone = Vec<Range<usize>>;

/// What a list of changes does along one axis.
struct Axis {
    /// By change, which of `cones` is its.
    of: Vec<usize>,
    cones: Vec<Cone>,
    /// By cone, a number that those share which are of much the same size.
    bands: Vec<usize>,
}

impl Cones {
    pub(super) fn new(graph: &Graph, plan: &Plan) -> Result<Self> {
        let reaches = plan.steps.iter().map(|step| reaches(graph, plan, step)).collect::<Result<_>>()?;
        let costs = plan.steps.iter().map(|step| cost(graph, plan, step)).collect();
        Ok(Self { reaches, costs })
    }

    /// What some changes cost compared with as many whole images, and the batches they are cut into. Only a single change
    /// may take more than `most` floats.
    pub(super) fn batches(&self, plan: &Plan, areas: &[Area], most: usize) -> (f64, Vec<Batch>) {
        let [rows, columns] = [0, 1].map(|axis| self.axis(plan, axis, areas));
        let mut together: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
        for (index, (row, column)) in rows.of.iter().zip(&columns.of).enumerate() {
            together.entry([rows.bands[*row], columns.bands[*column]]).or_default().push(index);
        }
        let cones = |index: usize| [&rows.cones[rows.of[index]], &columns.cones[columns.of[index]]];
        let (mut batches, mut cost) = (Vec::new(), 0.0);
        for indices in together.values() {
            let sides = sides(plan, indices.iter().map(|index| cones(*index)));
            cost += self.cost(plan, &sides) * indices.len() as f64;
            let count = (most / live(plan, &sides).max(1)).max(1);
            // no batch is left with a single change
            let count = indices.len().div_ceil(indices.len().div_ceil(count));
            for indices in indices.chunks(count) {
                let starts = plan.buffers.iter().enumerate().map(|(buffer, full)| {
                    let full = [full.height, full.width];
                    let first = |index: &usize| {
                        let cones = cones(*index);
                        [0, 1].map(|axis| cones[axis][buffer].start.min(full[axis] - sides[buffer][axis]))
                    };
                    indices.iter().map(first).collect()
                });
                let starts = starts.collect();
                batches.push(Batch { indices: indices.to_vec(), sides: sides.clone(), starts });
            }
        }
        (cost / (self.costs.iter().sum::<f64>() * areas.len() as f64).max(f64::MIN_POSITIVE), batches)
    }

    /// What all steps cost for rectangles of some sizes.
    fn cost(&self, plan: &Plan, sides: &[[usize; 2]]) -> f64 {
        let part = |step: &Step| {
            let (full, [rows, columns]) = (plan.buffers[step.output.buffer], sides[step.output.buffer]);
            (rows * columns) as f64 / (full.height * full.width).max(1) as f64
        };
        plan.steps.iter().zip(&self.costs).map(|(step, cost)| cost * part(step)).sum()
    }

    fn axis(&self, plan: &Plan, axis: usize, areas: &[Area]) -> Axis {
        let mut distinct: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut cones = Vec::new();
        let of = areas.iter().map(|area| {
            let side = area.side(axis);
            *distinct.entry((side.start, side.end)).or_insert_with(|| {
                cones.push(self.cone(plan, axis, side));
                cones.len() - 1
            })
        });
        let of = of.collect();
        // along one side, a step costs as much of the whole as the rectangle has of the side
        let weight = |cone: &Cone| -> f64 {
            let part = |step: &Step| {
                let full = plan.buffers[step.output.buffer];
                let full = if axis == 0 { full.height } else { full.width };
                cone[step.output.buffer].len() as f64 / full.max(1) as f64
            };
            plan.steps.iter().zip(&self.costs).map(|(step, cost)| cost * part(step)).sum()
        };
        let mut order: Vec<(f64, usize)> = cones.iter().map(weight).zip(0..).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut bands = vec![0; cones.len()];
        let (mut band, mut largest) = (0, f64::INFINITY);
        for (weight, cone) in order {
            if weight < ALIKE * largest {
                (band, largest) = (band + 1, weight);
            }
            bands[cone] = band;
        }
        Axis { of, cones, bands }
    }

    /// What may change of each buffer if pixels change along an axis.
    fn cone(&self, plan: &Plan, axis: usize, pixels: Range<usize>) -> Cone {
        let mut written: Vec<(Place, Range<usize>)> =
            plan.starts.iter().map(|(place, _)| (*place, pixels.clone())).collect();
        for (step, reaches) in plan.steps.iter().zip(&self.reaches) {
            let full = plan.buffers[step.output.buffer];
            let count = if axis == 0 { full.height } else { full.width };
            let of = |place: &Place| {
                let parts = written.iter().filter(|(part, _)| part.overlaps(*place));
                parts.fold(0..0, |hull, (_, part)| joined(&hull, part))
            };
            let inputs = step.inputs.iter().zip(reaches);
            let changed = inputs.map(|(place, reach)| reach[axis].changed(&of(place), count));
            let changed = changed.chain(step.residual.iter().map(of));
            let changed = changed.fold(0..0, |hull, part| joined(&hull, &part));
            written.push((step.output, changed));
        }
        let mut cone = vec![0..0; plan.buffers.len()];
        written.iter().for_each(|(place, part)| cone[place.buffer] = joined(&cone[place.buffer], part));
        cone
    }
}

/// The smallest range that holds both.
fn joined(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// Height and width, by buffer, that hold each of some changes; at least one pixel.
fn sides<'a>(plan: &Plan, changes: impl Iterator<Item = [&'a Cone; 2]>) -> Vec<[usize; 2]> {
    let mut sides = vec![[1, 1]; plan.buffers.len()];
    for cones in changes {
        for (buffer, sides) in sides.iter_mut().enumerate() {
            *sides = [0, 1].map(|axis| sides[axis].max(cones[axis][buffer].len()));
        }
    }
    sides
}

/// The most floats that are in use at once for one change.
fn live(plan: &Plan, sides: &[[usize; 2]]) -> usize {
    let last_use = last_use(plan, false);
    let floats = |buffer: usize| plan.buffers[buffer].channels * sides[buffer][0] * sides[buffer][1];
    let mut alive = vec![false; plan.buffers.len()];
    plan.starts.iter().for_each(|(place, _)| alive[place.buffer] = true);
    let mut most = 0;
    for (number, step) in plan.steps.iter().enumerate() {
        alive[step.output.buffer] = true;
        most = most.max((0..alive.len()).filter(|buffer| alive[*buffer]).map(floats).sum());
        (0..alive.len()).filter(|buffer| last_use[*buffer] == Some(number)).for_each(|buffer| alive[buffer] = false);
    }
    // of a tap the whole map is put together
    let taps = plan.taps.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
    most + 2 * taps
}

/// What a step costs for a whole image, in multiplications.
fn cost(graph: &Graph, plan: &Plan, step: &Step) -> f64 {
    let full = plan.buffers[step.output.buffer];
    let each = match &step.work {
        Work::Convolution { node, .. } | Work::Linear(node) => match &graph.node(*node).op {
            Op::Conv2d(conv) => (conv.in_channels / conv.params.groups.max(1) * conv.kernel[0] * conv.kernel[1]) as f64,
            Op::Linear(linear) => linear.in_features as f64,
            _ => 0.0,
        },
        _ => 0.0,
    };
    (full.height * full.width * step.output.channels) as f64 * (each + MOVED)
}
