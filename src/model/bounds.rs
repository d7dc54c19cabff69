//! Limits for graphs that come from files: beyond these no network lies, and within them no size overflows.

use super::{Graph, Op};
use crate::error::{Error, Kind, Result};
use crate::tensor::Pool2dParams;

/// The largest kernel, stride, padding or dilation.
const LARGEST_STEP: usize = 1 << 12;
/// The largest number of channels or features.
const LARGEST_WIDTH: usize = 1 << 24;
/// The largest value of a node for one image, in numbers: 1 GiB.
const LARGEST_VALUE: usize = 1 << 28;
/// The largest number of nodes.
const MOST_NODES: usize = 1 << 16;

/// Refuses an operation whose sizes cannot be right.
pub(super) fn check_op(op: &Op) -> Result<()> {
    let fault = |what: String| Err(Error::new(Kind::File, what));
    let steps = |name: &str, least: usize, sizes: &[usize]| match sizes
        .iter()
        .find(|size| !(least..=LARGEST_STEP).contains(size))
    {
        Some(size) => fault(format!("its {name} is {size}; it must be {least} to {LARGEST_STEP}")),
        None => Ok(()),
    };
    let widths = |sizes: &[usize]| match sizes.iter().find(|size| !(1..=LARGEST_WIDTH).contains(size)) {
        Some(size) => fault(format!("it has {size} channels; there must be 1 to {LARGEST_WIDTH}")),
        None => Ok(()),
    };
    let window = |params: &Pool2dParams| {
        steps("kernel", 1, &params.kernel)?;
        steps("stride", 1, &params.stride)?;
        steps("padding", 0, params.padding.as_flattened())?;
        let half = |axis: usize| params.padding[axis].iter().all(|padding| *padding <= params.kernel[axis] / 2);
        if half(0) && half(1) { Ok(()) } else { fault("its padding is more than half its window".into()) }
    };
    match op {
        Op::Input { channels } => widths(&[*channels]),
        Op::Conv2d(conv) => {
            let (input, output, groups) = (conv.in_channels, conv.out_channels, conv.params.groups);
            let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
            if !divides(input) || !divides(output) {
                return fault(format!("its {groups} groups do not divide {input} input and {output} output channels"));
            }
            widths(&[input, output])?;
            steps("kernel", 1, &conv.kernel)?;
            steps("stride", 1, &conv.params.stride)?;
            steps("dilation", 1, &conv.params.dilation)?;
            steps("padding", 0, conv.params.padding.as_flattened())
        }
        Op::Linear(linear) => widths(&[linear.in_features, linear.out_features]),
        Op::BatchNorm(norm) => widths(&[norm.channels]),
        Op::Scale(scale) => widths(&[scale.channels]),
        Op::ScaleChannels(factors) => {
            widths(&[factors.len()])?;
            if factors.iter().all(|factor| factor.is_finite()) {
                Ok(())
            } else {
                fault("a factor is not finite".into())
            }
        }
        Op::Patch(patch) => {
            widths(&[patch.of])?;
            widths(&patch.shape)?;
            let mut sorted = patch.channels.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let sound = sorted.len() == patch.channels.len()
                && sorted.last().is_some_and(|last| *last < patch.of)
                && matches!(patch.shape[..], [count] | [count, _, _] if count == patch.channels.len());
            if sound { Ok(()) } else { fault("its constants are not one for each of the channels it replaces".into()) }
        }
        Op::LocalResponseNorm(norm) => steps("window", 1, &[norm.size]),
        Op::MaxPool2d(params) | Op::AvgPool2d { params, .. } => window(params),
        Op::AdaptiveAvgPool2d(size) => steps("size", 1, size),
        Op::ZeroPad(sides) => steps("padding", 0, sides.as_flattened()),
        Op::ChannelShuffle { groups } => steps("number of groups", 1, &[*groups]),
        Op::Narrow { start, length } => widths(&[*length, start.saturating_add(1)]),
        Op::Unflatten(shape) => widths(shape),
        _ => Ok(()),
    }
}

/// Refuses a value that no memory is meant for.
pub(super) fn check_shape(shape: &[usize]) -> Result<()> {
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    match count {
        Some(0) => Err(Error::new(Kind::File, format!("its result {shape:?} is empty"))),
        Some(count) if count <= LARGEST_VALUE => Ok(()),
        _ => Err(Error::new(Kind::File, format!("its result {shape:?} is beyond every use"))),
    }
}

/// Checks all operations of a graph and their results for an image `[channels, height, width]`.
pub(super) fn check_graph(graph: &Graph, image: [usize; 3]) -> Result<()> {
    if graph.nodes().len() > MOST_NODES {
        return Err(Error::new(Kind::File, format!("{} nodes are more than any network has", graph.nodes().len())));
    }
    check_shape(&image)?;
    let mut shapes: Vec<Vec<usize>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let shape = check_op(&node.op).and_then(|()| {
            let mut inputs: Vec<&[usize]> = node.inputs.iter().map(|id| shapes[id.index()].as_slice()).collect();
            if inputs.is_empty() {
                inputs.push(&image);
            }
            let shape = node.op.output_shape(&inputs)?;
            check_shape(&shape)?;
            Ok(shape)
        });
        shapes.push(shape.map_err(|error| error.context(format!("layer `{}`", node.name)))?);
    }
    Ok(())
}
