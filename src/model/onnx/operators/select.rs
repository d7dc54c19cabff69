//! Some of the channels.

use super::inputs::size;
use super::{Inputs, Operator, fault, one};
use crate::error::Result;
use crate::model::Op;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::{axis_of, range};
use crate::model::onnx::converter::Converter;
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Map, Value};

/// The most channels that a Gather picks one by one.
const MOST_PICKED: usize = 64;

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Gather", |converter, node, attributes, inputs| one(converter.gather(node, attributes, inputs))),
    ("Slice", |converter, node, attributes, inputs| one(converter.slice(node, attributes, inputs))),
    ("Split", |converter, node, attributes, inputs| converter.split(node, attributes, inputs)),
];

impl<'a> Converter<'a> {
    fn gather(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let axis = self.channel_axis(&map, attributes.int("axis", 0))?;
        let channels = self.shape(&map)[0];
        let Some(Value::Constant(indices)) = inputs.get(1).and_then(Option::as_ref) else {
            return Err(fault("its indices are computed from the image"));
        };
        let single = indices.dims().is_empty();
        let indices = indices.to_ints().unwrap_or_default();
        if indices.is_empty() || indices.len() > MOST_PICKED {
            return Err(fault(format!("it picks {} channels", indices.len())));
        }
        let mut picked = Vec::new();
        for index in indices {
            let start = axis_of(index, channels)?;
            picked.push(self.add(node, Op::Narrow { start, length: 1 }, &[map.id])?);
        }
        let id = if let [one] = picked[..] { one } else { self.add(node, Op::Concat, &picked)? };
        let mut map = map.with_id(id);
        if single {
            map.axes.remove(axis);
        }
        Ok(map)
    }

    fn slice(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let missing = || fault("its starts or ends are missing");
        let starts = self.list(inputs, 1, attributes, "starts")?.ok_or_else(missing)?;
        let ends = self.list(inputs, 2, attributes, "ends")?.ok_or_else(missing)?;
        let axes = match self.list(inputs, 3, attributes, "axes")? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = self.list(inputs, 4, attributes, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        let dims = self.with_batch(&map);
        let mut channels = None;
        for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = axis_of(*axis, dims.len())?;
            let range = range(*start, *end, dims[at]);
            if *step == 1 && range == (0..dims[at]) {
                continue;
            }
            self.channel_axis(&map, *axis)?;
            if *step != 1 || channels.replace(range).is_some() {
                return Err(fault("it takes every so many channels"));
            }
        }
        let Some(range) = channels else { return Ok(map) };
        if range.is_empty() {
            return Err(fault("it leaves no channel"));
        }
        let id = self.add(node, Op::Narrow { start: range.start, length: range.len() }, &[map.id])?;
        Ok(map.with_id(id))
    }

    fn split(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Vec<Value>> {
        let map = self.map(node, inputs, 0)?.clone();
        self.channel_axis(&map, attributes.int("axis", 0))?;
        let channels = self.shape(&map)[0];
        let parts = node.outputs.len();
        let lengths = match self.list(inputs, 1, attributes, "split")? {
            Some(lengths) => lengths.iter().map(|length| size(*length, "part")).collect::<Result<Vec<usize>>>()?,
            None => {
                // equal parts, the last of which may be smaller
                let length = channels.div_ceil(parts.max(1));
                (0..parts).map(|at| length.min(channels.saturating_sub(at * length))).collect()
            }
        };
        if lengths.len() != parts
            || lengths.contains(&0)
            || lengths.iter().try_fold(0usize, |sum, length| sum.checked_add(*length)) != Some(channels)
        {
            return Err(fault(format!("its {parts} parts {lengths:?} are not its {channels} channels")));
        }
        let mut start = 0;
        let mut values = Vec::new();
        for length in lengths {
            let id = self.add(node, Op::Narrow { start, length }, &[map.id])?;
            values.push(Value::Map(map.with_id(id)));
            start += length;
        }
        Ok(values)
    }

    /// The place after the batch of an axis that must be the channels of an image.
    fn channel_axis(&self, map: &Map, axis: i64) -> Result<usize> {
        let at = axis_of(axis, map.axes.len() + 1)?;
        match at.checked_sub(1) {
            Some(at) if map.axes[at] == Some(0) && self.shape(map).len() == 3 => Ok(at),
            _ => Err(fault(format!("it takes parts of axis {axis}")).with_hint("only channels can be taken apart")),
        }
    }
}
