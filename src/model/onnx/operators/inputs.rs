//! What an operator reads: values of the network, weights, lists of whole numbers.

use candle_core::Tensor;

use super::{Inputs, fault};
use crate::error::Result;
use crate::model::Op;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::constant::Constant;
use crate::model::onnx::converter::Converter;
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Layout, Map, Value};

impl<'a> Converter<'a> {
    pub(super) fn map<'i>(&self, node: &NodeProto<'a>, inputs: Inputs<'i>, at: usize) -> Result<&'i Map> {
        let name = || node.inputs.get(at).copied().unwrap_or_default();
        match inputs.get(at).and_then(Option::as_ref) {
            Some(Value::Map(map)) => Ok(map),
            Some(Value::Constant(_)) => {
                Err(fault(format!("its input `{}` is a constant where it should be computed", name())))
            }
            Some(Value::Grouped(_)) => Err(fault(format!("its input `{}` has too many axes", name()))),
            None => Err(fault(format!("its input {} is missing", at + 1))),
        }
    }

    /// A constant with its name in the file; none if it is not given.
    pub(super) fn weight<'i>(
        &self,
        node: &NodeProto<'a>,
        inputs: Inputs<'i>,
        at: usize,
    ) -> Result<Option<(&'a str, &'i Tensor)>> {
        let Some(value) = inputs.get(at).and_then(Option::as_ref) else { return Ok(None) };
        let name = node.inputs[at];
        match value {
            Value::Constant(Constant::Floats(tensor)) => Ok(Some((name, tensor))),
            _ => Err(fault(format!("its input `{name}` is not a constant of floats"))),
        }
    }

    pub(super) fn needed_weight<'i>(
        &self,
        node: &NodeProto<'a>,
        inputs: Inputs<'i>,
        at: usize,
    ) -> Result<(&'a str, &'i Tensor)> {
        self.weight(node, inputs, at)?.ok_or_else(|| fault(format!("its input {} is missing", at + 1)))
    }

    /// A list of whole numbers, as an input or, in older files, as an attribute.
    pub(super) fn list(
        &self,
        inputs: Inputs<'_>,
        at: usize,
        attributes: &Attributes<'_>,
        name: &str,
    ) -> Result<Option<Vec<i64>>> {
        match inputs.get(at).and_then(Option::as_ref) {
            Some(Value::Constant(constant)) => {
                let list = constant.to_ints();
                list.map(Some).ok_or_else(|| fault(format!("its `{name}` are not whole numbers")))
            }
            Some(_) => Err(fault(format!("its `{name}` are computed from the image"))),
            None => Ok(attributes.ints(name)),
        }
    }

    pub(super) fn shape(&self, map: &Map) -> &[usize] {
        &self.drafts[map.id].shape
    }

    pub(super) fn dims(&self, map: &Map) -> Vec<usize> {
        map.dims(self.shape(map))
    }

    /// The node of a value whose axes are in `layout`; a row of features can stand for the channels of one pixel.
    pub(super) fn in_layout(&mut self, map: &Map, layout: Layout, node: &NodeProto<'a>) -> Result<Option<usize>> {
        if map.is(layout, self.shape(map)) {
            return Ok(Some(map.id));
        }
        let shape = self.shape(map).to_vec();
        let channels = layout.order().iter().position(|axis| *axis == 0);
        let one_pixel = |features: usize| {
            map.flattened.is_none() && {
                let mut dims = [1; 3];
                channels.into_iter().for_each(|at| dims[at] = features);
                map.dims(&shape) == dims
            }
        };
        match shape[..] {
            [features] if one_pixel(features) => {
                let draft = &self.drafts[map.id];
                if let (Op::Flatten, [before]) = (&draft.op, draft.inputs.as_slice())
                    && self.drafts[*before].shape == [features, 1, 1]
                {
                    return Ok(Some(*before));
                }
                self.add(node, Op::Unflatten([features, 1, 1]), &[map.id]).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The node of an image with its channels first.
    pub(super) fn image(&mut self, map: Map, node: &NodeProto<'a>) -> Result<usize> {
        let dims = self.dims(&map);
        self.in_layout(&map, Layout::First, node)?.ok_or_else(|| {
            fault(format!("its input is {dims:?}, not [channels, height, width] with the channels before the pixels"))
        })
    }

    /// The node of a row of features, the last axis of which the file and the node order alike.
    pub(super) fn row(&self, map: &Map) -> Result<usize> {
        match (self.shape(map), map.axes.as_slice()) {
            ([_], [Some(0)]) => Ok(map.id),
            _ => Err(fault(format!("its input is {:?}, not a row of features", self.dims(map)))),
        }
    }
}

pub(super) fn size(value: i64, what: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| fault(format!("its {what} is {value}, but cannot be negative")))
}

pub(super) fn pair(list: &[i64], what: &str) -> Result<[usize; 2]> {
    match list {
        [height, width] => Ok([size(*height, what)?, size(*width, what)?]),
        _ => {
            Err(fault(format!("its {what} is {list:?}")).with_hint("only windows over height and width are supported"))
        }
    }
}
