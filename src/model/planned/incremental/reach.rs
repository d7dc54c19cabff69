//! Which pixels of its inputs each pixel of a step's result is made of, and the other way round.

use std::ops::Range;

use super::super::forward::average_windows;
use super::super::plan::Plan;
use super::super::step::{Step, Work};
use crate::error::Result;
use crate::model::{Graph, Op};

/// What the places of a result are made of, along one axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reach {
    /// The same place of the input.
    Same,
    /// A window that moves by `stride`; the first begins `before` pixels outside of the image.
    Window { extent: usize, stride: usize, before: usize },
    /// Each of a range of its own.
    Ranges(Vec<Range<usize>>),
    /// All of the input: such a result is always computed as a whole.
    All,
}

impl Reach {
    /// What must be known of an input of `size` pixels for some places of the result; it may begin or end outside.
    pub(super) fn read(&self, out: &Range<usize>, size: usize) -> Range<isize> {
        let range = |start: usize, end: usize| start as isize..end as isize;
        match self {
            Self::Same => range(out.start, out.end),
            Self::Window { extent, stride, before } => {
                let first = (out.start * stride) as isize - *before as isize;
                first..first + (out.len().saturating_sub(1) * stride + extent) as isize
            }
            Self::Ranges(ranges) => {
                let read = ranges.get(out.clone()).unwrap_or_default();
                let start = read.iter().map(|range| range.start).min().unwrap_or(0);
                range(start, read.iter().map(|range| range.end).max().unwrap_or(0).max(start))
            }
            Self::All => range(0, size),
        }
    }

    /// Which of `count` places of the result have to be computed if some pixels of the input change.
    pub(super) fn changed(&self, input: &Range<usize>, count: usize) -> Range<usize> {
        match self {
            Self::All => 0..count,
            _ if input.is_empty() => 0..0,
            Self::Same => input.clone(),
            Self::Window { extent, stride, before } => {
                // place i reads from i·stride − before on
                let start = (input.start + before + 1).saturating_sub(*extent).div_ceil(*stride);
                let end = (input.end + before).div_ceil(*stride).min(count);
                if start < end { start..end } else { 0..0 }
            }
            Self::Ranges(ranges) => {
                let hit = |range: &Range<usize>| range.start < input.end && input.start < range.end;
                let first = ranges.iter().position(hit);
                let last = ranges.iter().rposition(hit);
                first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
            }
        }
    }
}

/// How a step reaches into each of its inputs, along rows and columns.
pub(super) fn reaches(graph: &Graph, plan: &Plan, step: &Step) -> Result<Vec<[Reach; 2]>> {
    let maps = |buffer: usize| plan.buffers[buffer].maps(1);
    let output = maps(step.output.buffer);
    let window = |extent: [usize; 2], stride: [usize; 2], before: [usize; 2]| {
        [0, 1].map(|axis| Reach::Window { extent: extent[axis], stride: stride[axis], before: before[axis] })
    };
    let of = |buffer: usize| {
        let input = maps(buffer);
        let same_size = input == output;
        Ok(match &step.work {
            Work::Convolution { node, .. } => match &graph.node(*node).op {
                Op::Conv2d(conv) => {
                    let extent = [0, 1].map(|axis| (conv.kernel[axis] - 1) * conv.params.dilation[axis] + 1);
                    window(extent, conv.params.stride, conv.params.padding.map(|sides| sides[0]))
                }
                _ => [Reach::All, Reach::All],
            },
            Work::MaxPool(node) => match &graph.node(*node).op {
                Op::MaxPool2d(params) => window(params.kernel, params.stride, params.padding.map(|sides| sides[0])),
                _ => [Reach::All, Reach::All],
            },
            Work::AveragePool(node) => {
                let (rows, columns) = average_windows(&graph.node(*node).op, input, output)?;
                [rows, columns].map(|windows| Reach::Ranges(windows.0.into_iter().map(|(range, _)| range).collect()))
            }
            Work::Linear(_) | Work::Scale(_) | Work::Sum | Work::Product if same_size => [Reach::Same, Reach::Same],
            Work::Other { node, .. } => match &graph.node(*node).op {
                Op::ZeroPad(sides) => window([1, 1], [1, 1], sides.map(|sides| sides[0])),
                // what works on channels alone
                Op::Softmax
                | Op::LocalResponseNorm(_)
                | Op::Narrow { .. }
                | Op::ChannelShuffle { .. }
                | Op::Activation(_)
                    if same_size =>
                {
                    [Reach::Same, Reach::Same]
                }
                _ => [Reach::All, Reach::All],
            },
            _ => [Reach::All, Reach::All],
        })
    };
    step.inputs.iter().map(|place| of(place.buffer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways must say the same as looking at every place.
    fn check(reach: &Reach, size: usize, count: usize) {
        for start in 0..size {
            for end in start + 1..=size {
                let hit = |place: usize| {
                    let read = reach.read(&(place..place + 1), size);
                    read.start < end as isize && (start as isize) < read.end
                };
                let places: Vec<usize> = (0..count).filter(|place| hit(*place)).collect();
                let changed = reach.changed(&(start..end), count);
                assert!(places.iter().all(|place| changed.contains(place)), "{reach:?}, {start}..{end}: {changed:?}");
                let hull = places.first().map_or(0, |first| places.last().map_or(0, |last| last + 1 - first));
                assert_eq!(changed.len(), hull, "{reach:?}, {start}..{end}");
            }
        }
        for start in 0..count {
            for end in start + 1..=count {
                let all = reach.read(&(start..end), size);
                for place in start..end {
                    let one = reach.read(&(place..place + 1), size);
                    assert!(one.is_empty() || all.start <= one.start && one.end <= all.end, "{reach:?}");
                }
            }
        }
        assert_eq!(reach.changed(&(0..0), count).is_empty(), *reach != Reach::All);
    }

    #[test]
    fn what_is_read_and_what_changes_agree() {
        check(&Reach::Same, 7, 7);
        check(&Reach::All, 7, 3);
        for extent in 1..=5 {
            for stride in 1..=3 {
                for before in 0..extent {
                    check(&Reach::Window { extent, stride, before }, 9, (9 + 2 * before - extent) / stride + 1);
                }
            }
        }
        let adaptive = |size: usize, count: usize| {
            Reach::Ranges((0..count).map(|i| i * size / count..((i + 1) * size).div_ceil(count)).collect())
        };
        check(&adaptive(9, 4), 9, 4);
        check(&adaptive(5, 7), 5, 7);
        check(&adaptive(6, 1), 6, 1);
    }
}
