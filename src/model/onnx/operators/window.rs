//! What looks through windows or at the whole image: pooling and padding.

use super::inputs::{pair, size};
use super::{Inputs, Operator, fault, one};
use crate::error::{Error, Result};
use crate::model::Op;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::axis_of;
use crate::model::onnx::converter::Converter;
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Map, Value};
use crate::tensor::Pool2dParams;

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("AveragePool", |converter, node, attributes, inputs| one(converter.pool(node, attributes, inputs))),
    ("GlobalAveragePool", |converter, node, _, inputs| one(converter.global_pool(node, inputs))),
    ("GlobalMaxPool", |converter, node, _, inputs| one(converter.global_pool(node, inputs))),
    ("MaxPool", |converter, node, attributes, inputs| one(converter.pool(node, attributes, inputs))),
    ("Pad", |converter, node, attributes, inputs| one(converter.pad(node, attributes, inputs))),
    ("ReduceMax", |converter, node, attributes, inputs| one(converter.reduce(node, attributes, inputs))),
    ("ReduceMean", |converter, node, attributes, inputs| one(converter.reduce(node, attributes, inputs))),
];

impl<'a> Converter<'a> {
    fn pool(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let x = self.image(map.clone(), node)?;
        let kernel = attributes.ints("kernel_shape").unwrap_or_default();
        let kernel = pair(&kernel, "kernel_shape")?;
        let image = [self.drafts[x].shape[1], self.drafts[x].shape[2]];
        let window = Window::read(attributes, kernel, image)?;
        if window.dilation != [1, 1] {
            return Err(fault("its windows are dilated"));
        }
        let ceil_mode = attributes.int("ceil_mode", 0) != 0;
        let params = Pool2dParams { kernel, stride: window.stride, padding: window.padding, ceil_mode };
        if kernel == [1, 1] && params.stride == [1, 1] && params.padding == [[0; 2]; 2] {
            return Ok(map);
        }
        let count_include_pad = attributes.int("count_include_pad", 0) != 0;
        let op = if node.op == "MaxPool" { Op::MaxPool2d(params) } else { Op::AvgPool2d { params, count_include_pad } };
        Ok(Map::channels_first(self.add(node, op, &[x])?))
    }

    fn global_pool(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>) -> Result<Map> {
        let x = self.image(self.map(node, inputs, 0)?.clone(), node)?;
        let op = if node.op == "GlobalMaxPool" { self.global_max_pool(x) } else { Op::GLOBAL_AVG_POOL };
        Ok(Map::channels_first(self.add(node, op, &[x])?))
    }

    /// The largest value of each channel, whose window is the whole image.
    fn global_max_pool(&self, x: usize) -> Op {
        let size = |axis: usize| self.drafts[x].shape.get(axis).copied().unwrap_or(1);
        Op::MaxPool2d(Pool2dParams { kernel: [size(1), size(2)], ..Pool2dParams::new(1, 1, 0) })
    }

    fn reduce(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let rank = map.axes.len() + 1;
        let axes = self.list(inputs, 1, attributes, "axes")?.unwrap_or_default();
        let axes = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<usize>>>()?;
        // the node's axes that are left over
        let left: Vec<usize> = map
            .axes
            .iter()
            .enumerate()
            .filter(|(at, _)| !axes.contains(&(at + 1)))
            .filter_map(|(_, axis)| *axis)
            .collect();
        let shape = self.shape(&map).to_vec();
        let whole = shape.len() == 3
            && !axes.is_empty()
            && !axes.contains(&0)
            && left.iter().all(|axis| *axis == 0 || shape[*axis] == 1);
        if !whole || !left.contains(&0) {
            return Err(fault(format!("it reduces the axes {axes:?} of {:?}", self.with_batch(&map)))
                .with_hint("only the mean and the maximum over height and width are supported"));
        }
        let op = if node.op == "ReduceMax" { self.global_max_pool(map.id) } else { Op::GLOBAL_AVG_POOL };
        let pooled = self.add(node, op, &[map.id])?;
        if attributes.int("keepdims", 1) != 0 {
            return Ok(map.with_id(pooled));
        }
        Ok(Map::flat(self.add(node, Op::Flatten, &[pooled])?))
    }

    fn pad(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let rank = map.axes.len() + 1;
        let pads = match self.list(inputs, 1, attributes, "pads")? {
            Some(pads) => pads,
            None => attributes.ints("paddings").unwrap_or_default(),
        };
        let axes = match self.list(inputs, 3, attributes, "axes")? {
            Some(axes) => axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<usize>>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(fault(format!("it has {} pads for {} axes", pads.len(), axes.len())));
        }
        if pads.iter().all(|pad| *pad == 0) {
            return Ok(map);
        }
        let mode = attributes.text("mode", "constant");
        let value = match inputs.get(2).and_then(Option::as_ref) {
            Some(Value::Constant(constant)) => constant.scalar().unwrap_or(f32::NAN),
            Some(_) => f32::NAN,
            None => attributes.float("value", 0.0),
        };
        if mode != "constant" || value != 0.0 {
            return Err(
                fault(format!("its mode is {mode}, its value {value}")).with_hint("padding with zeros is supported")
            );
        }
        let mut sides = [[0; 2]; 2];
        for (at, axis) in axes.iter().enumerate() {
            let both = [size(pads[at], "padding")?, size(pads[at + axes.len()], "padding")?];
            match axis.checked_sub(1).and_then(|axis| map.axes[axis]) {
                Some(axis @ (1 | 2)) => sides[axis - 1] = both,
                _ if both == [0, 0] => {}
                _ => return Err(fault("it pads other axes than height and width")),
            }
        }
        let id = self.add(node, Op::ZeroPad(sides), &[map.id])?;
        Ok(map.with_id(id))
    }
}

/// How a window moves.
pub(super) struct Window {
    pub stride: [usize; 2],
    pub padding: [[usize; 2]; 2],
    pub dilation: [usize; 2],
}

impl Window {
    /// From the attributes; `SAME` padding is worked out for an image of this size.
    pub(super) fn read(attributes: &Attributes<'_>, kernel: [usize; 2], image: [usize; 2]) -> Result<Self> {
        let both = |name: &str| attributes.ints(name).map_or(Ok([1, 1]), |list| pair(&list, name));
        let (stride, dilation) = (both("strides")?, both("dilations")?);
        if stride.contains(&0) || dilation.contains(&0) || kernel.contains(&0) {
            return Err(fault("its kernel, stride and dilation must be at least 1"));
        }
        let pads = attributes.ints("pads").unwrap_or_else(|| vec![0; 4]);
        let [top, left, bottom, right] = pads[..] else {
            return Err(fault(format!("it has {} pads", pads.len()))
                .with_hint("only windows over height and width are supported"));
        };
        let given = |before, after| Ok::<_, Error>([size(before, "padding")?, size(after, "padding")?]);
        let same = |axis: usize, upper: bool| {
            let places = image[axis].div_ceil(stride[axis]);
            let reach = dilation[axis].saturating_mul(kernel[axis] - 1).saturating_add(1);
            let needed = ((places.saturating_sub(1)) * stride[axis]).saturating_add(reach).saturating_sub(image[axis]);
            let (less, more) = (needed / 2, needed - needed / 2);
            if upper { [less, more] } else { [more, less] }
        };
        let padding = match attributes.text("auto_pad", "NOTSET").as_str() {
            "SAME_UPPER" => [same(0, true), same(1, true)],
            "SAME_LOWER" => [same(0, false), same(1, false)],
            "VALID" => [[0; 2]; 2],
            _ => [given(top, bottom)?, given(left, right)?],
        };
        Ok(Self { stride, padding, dilation })
    }
}
