//! Values seen with other axes.

use super::{Inputs, Operator, fault};
use crate::error::Result;
use crate::model::Op;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::{axis_of, order, reshaped, squeezed, unsqueezed};
use crate::model::onnx::converter::{Converter, same_count};
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Grouped, Layout, Map, Value};

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Flatten", |converter, node, attributes, inputs| {
        converter.reshape(node, attributes, inputs).map(|value| vec![value])
    }),
    ("Reshape", |converter, node, attributes, inputs| {
        converter.reshape(node, attributes, inputs).map(|value| vec![value])
    }),
    ("Squeeze", |converter, node, attributes, inputs| {
        converter.reshape(node, attributes, inputs).map(|value| vec![value])
    }),
    ("Transpose", |converter, node, attributes, inputs| {
        converter.transpose(node, attributes, inputs).map(|value| vec![value])
    }),
    ("Unsqueeze", |converter, node, attributes, inputs| {
        converter.reshape(node, attributes, inputs).map(|value| vec![value])
    }),
];

impl<'a> Converter<'a> {
    fn reshape(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Value> {
        let before = match inputs.first().and_then(Option::as_ref) {
            Some(Value::Grouped(grouped)) => std::iter::once(self.batch).chain(grouped.dims.iter().copied()).collect(),
            _ => self.with_batch(self.map(node, inputs, 0)?),
        };
        let batch = self.batch;
        // without axes all ones go, but never the batch
        let ones = || (1..before.len()).filter(|at| before[*at] == 1).map(|at| at as i64).collect();
        let after = match node.op {
            "Flatten" => {
                let axis = attributes.int("axis", 1);
                if axis != 1 && axis_of(axis, before.len())? != 1 {
                    return Err(fault(format!("it flattens from axis {axis} of {before:?}")));
                }
                vec![batch, before.iter().skip(1).product()]
            }
            "Reshape" => {
                let target = self.list(inputs, 1, attributes, "shape")?.ok_or_else(|| fault("its shape is missing"))?;
                reshaped(&before, &target, attributes.int("allowzero", 0) != 0)?
            }
            "Squeeze" => squeezed(&before, Some(&self.list(inputs, 1, attributes, "axes")?.unwrap_or_else(ones)))?,
            _ => unsqueezed(&before, &self.list(inputs, 1, attributes, "axes")?.unwrap_or_default())?,
        };
        match after.split_first() {
            // one number for each image may lose its axis
            Some((first, dims)) if *first == batch => self.view(node, inputs, dims),
            _ => Err(fault(format!("it mixes the images of a batch: {before:?} to {after:?}"))),
        }
    }

    /// A value with other axes after its batch.
    fn view(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>, dims: &[usize]) -> Result<Value> {
        if let Some(Value::Grouped(grouped)) = inputs.first().and_then(Option::as_ref) {
            if self.drafts[grouped.id].shape != dims {
                return Err(fault(format!("it reshapes {:?} to {dims:?}", grouped.dims)));
            }
            // of a tensor [a, b, …] with swapped axes the channels were in b groups
            let id = match (grouped.swapped, grouped.dims.get(1)) {
                (true, Some(groups)) => self.add(node, Op::ChannelShuffle { groups: *groups }, &[grouped.id])?,
                _ => grouped.id,
            };
            return Ok(Value::Map(Map::channels_first(id)));
        }
        let map = self.map(node, inputs, 0)?.clone();
        let (before, shape) = (self.dims(&map), self.shape(&map).to_vec());
        if before == dims {
            return Ok(Value::Map(map));
        }
        if !same_count(&before, dims) || map.flattened.is_some() {
            return Err(fault(format!("it reshapes {before:?} to {dims:?}")));
        }
        let more_than_one = |dims: &[usize]| dims.iter().copied().filter(|size| *size > 1).collect::<Vec<_>>();
        match (shape.as_slice(), dims) {
            // one row of numbers
            ([_, _, _], [_]) => {
                let order = map.order(&shape);
                let id = self.add(node, Op::Flatten, &[map.id])?;
                let flattened = (!order.is_sorted()).then_some((shape, order));
                return Ok(Value::Map(Map { flattened, ..Map::flat(id) }));
            }
            // ones come and go
            _ if more_than_one(&before) == more_than_one(dims) => {
                let mut left = map.order(&shape).into_iter();
                let axes = dims.iter().map(|size| if *size > 1 { left.next() } else { None }).collect();
                return Ok(Value::Map(Map { axes, ..map }));
            }
            ([_], [channels, height, width]) => {
                let id = self.add(node, Op::Unflatten([*channels, *height, *width]), &[map.id])?;
                return Ok(Value::Map(Map::channels_first(id)));
            }
            ([channels, ..], [groups, in_group, ..])
                if groups.checked_mul(*in_group) == Some(*channels) && map.is(Layout::First, &shape) =>
            {
                return Ok(Value::Grouped(Grouped { id: map.id, dims: dims.to_vec(), swapped: false }));
            }
            _ => {}
        }
        Err(fault(format!("it reshapes {before:?} to {dims:?}"))
            .with_hint("supported are rows of features, ones that come and go, and groups of channels"))
    }

    fn transpose(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Value> {
        let perm = attributes.ints("perm");
        let misfit = |perm: &[usize]| fault(format!("it orders the axes as {perm:?}"));
        if let Some(Value::Grouped(grouped)) = inputs.first().and_then(Option::as_ref) {
            let rank = grouped.dims.len() + 1;
            let order = order(perm, rank)?;
            let swap: Vec<usize> = (0..rank).map(|at| [0, 2, 1].get(at).copied().unwrap_or(at)).collect();
            if order != swap || grouped.swapped {
                return Err(misfit(&order));
            }
            let mut dims = grouped.dims.clone();
            dims.swap(0, 1);
            return Ok(Value::Grouped(Grouped { id: grouped.id, dims, swapped: true }));
        }
        let map = self.map(node, inputs, 0)?.clone();
        let order = order(perm, map.axes.len() + 1)?;
        if order.first() != Some(&0) {
            return Err(misfit(&order));
        }
        let axes = order.iter().skip(1).map(|from| map.axes[from - 1]).collect();
        Ok(Value::Map(Map { axes, ..map }))
    }
}
