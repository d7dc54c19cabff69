//! Functions of every number, and the softmax.

use candle_core::Tensor;

use super::{Inputs, Operator, fault, one};
use crate::error::Result;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::axis_of;
use crate::model::onnx::converter::{Converter, title};
use crate::model::onnx::fuse::{SILU, is_pytorchs_hard_sigmoid};
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Map, Value};
use crate::model::{Op, Scale};
use crate::tensor::Activation;

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("Clip", |converter, node, attributes, inputs| one(converter.clip(node, attributes, inputs))),
    ("Gelu", |converter, node, attributes, inputs| one(converter.gelu(node, attributes, inputs))),
    ("HardSigmoid", |converter, node, attributes, inputs| one(converter.hard_sigmoid(node, attributes, inputs))),
    ("HardSwish", |converter, node, _, inputs| one(converter.activation(node, inputs, Activation::HardSwish))),
    ("LeakyRelu", |converter, node, attributes, inputs| {
        one(converter.activation(node, inputs, Activation::LeakyRelu(attributes.float("alpha", 0.01))))
    }),
    ("LogSoftmax", |converter, node, attributes, inputs| one(converter.softmax(node, attributes, inputs))),
    ("PRelu", |converter, node, _, inputs| one(converter.prelu(node, inputs))),
    ("Relu", |converter, node, _, inputs| one(converter.activation(node, inputs, Activation::Relu))),
    ("Sigmoid", |converter, node, _, inputs| one(converter.activation(node, inputs, Activation::Sigmoid))),
    (SILU, |converter, node, _, inputs| one(converter.activation(node, inputs, Activation::Silu))),
    ("Softmax", |converter, node, attributes, inputs| one(converter.softmax(node, attributes, inputs))),
    ("Tanh", |converter, node, _, inputs| one(converter.activation(node, inputs, Activation::Tanh))),
];

impl<'a> Converter<'a> {
    fn activation(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>, function: Activation) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let id = self.add(node, Op::Activation(function), &[map.id])?;
        Ok(map.with_id(id))
    }

    fn gelu(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        match attributes.text("approximate", "none").as_str() {
            "none" => self.activation(node, inputs, Activation::Gelu),
            other => Err(fault(format!("its approximation is `{other}`")).with_hint("the exact one is supported")),
        }
    }

    fn prelu(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>) -> Result<Map> {
        let (name, slopes) = self.needed_weight(node, inputs, 1)?;
        let slopes = slopes.flatten_all()?.to_vec1::<f32>()?;
        match slopes.first() {
            Some(slope) if slopes.iter().all(|other| other == slope) => {
                self.activation(node, inputs, Activation::LeakyRelu(*slope))
            }
            _ => Err(fault(format!("its slopes `{name}` differ from channel to channel"))
                .with_hint("one slope for all channels is supported")),
        }
    }

    fn hard_sigmoid(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        if is_pytorchs_hard_sigmoid(node) {
            return self.activation(node, inputs, Activation::HardSigmoid);
        }
        let map = self.map(node, inputs, 0)?.clone();
        let channels = self.shape(&map).first().copied().unwrap_or(0);
        let mut constant = |name: &str, default: f32| {
            let value = attributes.float(name, default);
            let key = format!("{}.{name}", title(node));
            self.keep(&key, &format!("to{channels}"), || Ok(Tensor::full(value, channels, &candle_core::Device::Cpu)?))
        };
        let (scale, shift) = (Some(constant("alpha", 0.2)?), Some(constant("beta", 0.5)?));
        let line = self.add(node, Op::Scale(Scale { channels, scale, shift }), &[map.id])?;
        let id = self.add(node, Op::Activation(Activation::Clip(0.0, 1.0)), &[line])?;
        Ok(map.with_id(id))
    }

    fn clip(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let limit = |at: usize, name: &str| match inputs.get(at).and_then(Option::as_ref) {
            Some(Value::Constant(constant)) => {
                constant.scalar().map(Some).ok_or_else(|| fault(format!("its {name} is not one number")))
            }
            Some(_) => Err(fault(format!("its {name} is computed from the image"))),
            None => Ok(attributes.float_or_none(name)),
        };
        let (low, high) = (limit(1, "min")?, limit(2, "max")?);
        let finite = |limit: Option<f32>| limit.filter(|limit| limit.abs() < f32::MAX);
        let function = match (finite(low), finite(high)) {
            (None, None) => return Ok(self.map(node, inputs, 0)?.clone()),
            (Some(0.0), None) => Activation::Relu,
            (low, high) => Activation::Clip(low.unwrap_or(f32::MIN), high.unwrap_or(f32::MAX)),
        };
        match function {
            Activation::Clip(low, high) if low > high => Err(fault(format!("its min {low} is above its max {high}"))),
            function => self.activation(node, inputs, function),
        }
    }

    fn softmax(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        if node.op == "LogSoftmax" {
            // its softmax is that of its input, so at the end it can be left out as a softmax is
            if node.outputs.first().is_some_and(|output| self.readers.contains_key(output)) {
                return Err(fault("it stands within the network").with_hint("at the end of a network it is supported"));
            }
            self.ends_in_log_softmax = true;
        }
        let map = self.map(node, inputs, 0)?.clone();
        let dims = self.dims(&map);
        let old = self.opset < 13;
        let axis = axis_of(attributes.int("axis", if old { 1 } else { -1 }), dims.len() + 1)?;
        let over_channels = axis > 0 && map.axes.get(axis - 1) == Some(&Some(0));
        // before version 13 it went over all axes from this one on
        let over_more = old && dims.iter().skip(axis).any(|size| *size > 1);
        if !over_channels || over_more || map.flattened.is_some() {
            return Err(fault("it goes over other axes than the channels"));
        }
        let id = self.add(node, Op::Softmax, &[map.id])?;
        Ok(map.with_id(id))
    }
}
