//! What puts several values together: concatenation and arithmetic.

use candle_core::Tensor;

use super::{Inputs, Operator, fault, one};
use crate::error::Result;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::axis_of;
use crate::model::onnx::converter::{Converter, title};
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Layout, Map, Value};
use crate::model::{Conv2d, Linear, Op, Scale};

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Add", |converter, node, _, inputs| one(converter.arithmetic(node, inputs))),
    ("Concat", |converter, node, attributes, inputs| one(converter.concat(node, attributes, inputs))),
    ("Div", |converter, node, _, inputs| one(converter.arithmetic(node, inputs))),
    ("Mul", |converter, node, _, inputs| one(converter.arithmetic(node, inputs))),
    ("Sub", |converter, node, _, inputs| one(converter.arithmetic(node, inputs))),
    ("Sum", |converter, node, _, inputs| one(converter.arithmetic(node, inputs))),
];

impl<'a> Converter<'a> {
    fn concat(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let maps = (0..inputs.len()).map(|at| self.map(node, inputs, at).cloned()).collect::<Result<Vec<Map>>>()?;
        let rank = maps.first().map_or(0, |map| map.axes.len()) + 1;
        let axis = axis_of(attributes.int("axis", 1), rank)?;
        let channels = |layout: Layout| layout.order().iter().position(|axis| *axis == 0) == axis.checked_sub(1);
        for layout in [Layout::First, Layout::Last].into_iter().filter(|layout| channels(*layout)) {
            let mut ids = Vec::new();
            for map in &maps {
                ids.extend(self.in_layout(map, layout, node)?);
            }
            if ids.len() == maps.len() {
                return Ok(Map::of(self.add(node, Op::Concat, &ids)?, &layout.order()));
            }
        }
        Err(fault("it joins other axes than the channels"))
    }

    fn arithmetic(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>) -> Result<Map> {
        match (node.op, inputs) {
            ("Sum", [Some(Value::Map(only))]) => Ok(only.clone()),
            ("Add" | "Sub" | "Mul" | "Div", [Some(Value::Map(_)), Some(Value::Constant(_))]) => {
                self.by_constant(node, inputs, 0, 1)
            }
            ("Add" | "Mul" | "Sub", [Some(Value::Constant(_)), Some(Value::Map(_))]) => {
                self.by_constant(node, inputs, 1, 0)
            }
            ("Add" | "Sum" | "Mul", _) => {
                let op = if node.op == "Mul" { Op::Mul } else { Op::Add };
                let maps =
                    (0..inputs.len()).map(|at| self.map(node, inputs, at).cloned()).collect::<Result<Vec<Map>>>()?;
                self.together(node, op, &maps)
            }
            _ => Err(fault("both its inputs depend on the image").with_hint("sums and products of them are supported")),
        }
    }

    /// The sum or product of values whose axes are in the same order.
    fn together(&mut self, node: &NodeProto<'a>, op: Op, maps: &[Map]) -> Result<Map> {
        for layout in [Layout::First, Layout::Last] {
            let mut ids = Vec::new();
            for map in maps {
                ids.extend(self.in_layout(map, layout, node)?);
            }
            if ids.len() == maps.len() {
                return Ok(Map::of(self.add(node, op, &ids)?, &layout.order()));
            }
        }
        match maps {
            [first, rest @ ..] if rest.iter().all(|map| map.axes == first.axes && map.flattened == first.flattened) => {
                let ids: Vec<usize> = maps.iter().map(|map| map.id).collect();
                let id = self.add(node, op, &ids)?;
                Ok(first.with_id(id))
            }
            _ => Err(fault("its inputs have their axes in different orders")),
        }
    }

    /// A sum, difference, product or quotient with one number per channel.
    fn by_constant(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>, at: usize, constant_at: usize) -> Result<Map> {
        let map = self.map(node, inputs, at)?.clone();
        let (name, tensor) = self.needed_weight(node, inputs, constant_at)?;
        let (name, tensor) = (name.to_owned(), tensor.clone());
        let neutral = if matches!(node.op, "Add" | "Sub") { 0.0 } else { 1.0 };
        let reversed = node.op == "Sub" && constant_at == 0;
        if tensor.elem_count() == 1 && tensor.flatten_all()?.get(0)?.to_scalar::<f32>()? == neutral && !reversed {
            return Ok(map);
        }
        let channels = self.channels_of(&map, &tensor)?;
        let as_vector = |tensor: &Tensor| -> Result<Tensor> {
            let flat = tensor.flatten_all()?;
            Ok(if flat.elem_count() == channels { flat } else { flat.broadcast_as(channels)?.contiguous()? })
        };
        let change = match (tensor.elem_count() == channels, tensor.rank()) {
            (true, 1) => String::new(),
            (true, _) => "flat".to_owned(),
            (false, _) => format!("to{channels}"),
        };
        // a sum behind a layer without a bias is its bias
        let only_reader = node
            .inputs
            .get(at)
            .is_some_and(|name| self.readers.get(name) == Some(&1) && self.drafts[map.id].value == **name);
        let no_bias = matches!(
            &self.drafts[map.id].op,
            Op::Conv2d(Conv2d { bias: None, .. }) | Op::Linear(Linear { bias: None, .. })
        );
        if node.op == "Add" && only_reader && no_bias {
            let bias = self.keep(&name, &change, || as_vector(&tensor))?;
            self.set_bias(map.id, bias);
            self.drafts[map.id].value = node.outputs.first().copied().unwrap_or_default().to_owned();
            return Ok(map);
        }
        let mut scale = None;
        let mut shift = None;
        match (node.op, reversed) {
            ("Add", _) => shift = Some(self.keep(&name, &change, || as_vector(&tensor))?),
            ("Mul", _) => scale = Some(self.keep(&name, &change, || as_vector(&tensor))?),
            ("Sub", false) => {
                shift = Some(self.keep(&name, &format!("{change}negative"), || Ok(as_vector(&tensor)?.neg()?))?)
            }
            ("Sub", true) => {
                shift = Some(self.keep(&name, &change, || as_vector(&tensor))?);
                let minus = format!("{}.minus", title(node));
                scale = Some(self.keep(&minus, &format!("to{channels}"), || {
                    Ok(Tensor::full(-1f32, channels, &candle_core::Device::Cpu)?)
                })?);
            }
            _ => scale = Some(self.keep(&name, &format!("{change}inverse"), || Ok(as_vector(&tensor)?.recip()?))?),
        }
        let id = self.add(node, Op::Scale(Scale { channels, scale, shift }), &[map.id])?;
        Ok(map.with_id(id))
    }

    /// How many channels a value has, if the constant has one number for each, or a single one.
    fn channels_of(&self, map: &Map, constant: &Tensor) -> Result<usize> {
        let shape = self.shape(map);
        let channels = shape.first().copied().unwrap_or(0);
        let dims = self.with_batch(map);
        let misfit = || {
            fault(format!("its constant {:?} is not one number per channel of {dims:?}", constant.dims()))
                .with_hint("only constants of one number, or of one per channel, are supported")
        };
        // shapes are compared from their ends; ones fit everything
        let offset = dims.len().checked_sub(constant.rank());
        for (at, size) in constant.dims().iter().enumerate().filter(|(_, size)| **size != 1) {
            let axis = offset.and_then(|offset| (at + offset).checked_sub(1)).ok_or_else(misfit)?;
            if map.axes.get(axis) != Some(&Some(0)) || *size != channels || map.flattened.is_some() {
                return Err(misfit());
            }
        }
        if offset.is_none() || constant.elem_count() == 0 { Err(misfit()) } else { Ok(channels) }
    }
}
