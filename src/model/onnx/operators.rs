//! What each operator of ONNX becomes.

use candle_core::Tensor;

use super::attributes::Attributes;
use super::constant::{Constant, axis_of, order, range, reshaped, squeezed, unsqueezed};
use super::convert::{Converter, same_count, title};
use super::fuse::{SILU, is_pytorchs_hard_sigmoid};
use super::proto::NodeProto;
use super::value::{Grouped, Layout, Map, Value};
use crate::error::{Error, Kind, Result};
use crate::model::{BatchNorm, Conv2d, Linear, Op, Scale};
use crate::tensor::{Activation, Conv2dParams, LocalResponseNorm, Pool2dParams};

/// The operators that are read, as an error lists them.
const SUPPORTED: &str = "Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, Conv, Div, Dropout, Flatten, \
    Gather, Gelu, Gemm, GlobalAveragePool, GlobalMaxPool, HardSigmoid, HardSwish, Identity, LeakyRelu, LRN, MatMul, \
    MaxPool, Mul, Pad, PRelu, ReduceMax, ReduceMean, Relu, Reshape, Shape, Sigmoid, Slice, Softmax, Split, Squeeze, Sub, Sum, Tanh, \
    Transpose, Unsqueeze; and arithmetic on constants";

/// The most channels that a Gather picks one by one.
const MOST_PICKED: usize = 64;

type Inputs<'i> = &'i [Option<Value>];

/// The error of an operator that is not read.
pub(super) fn unsupported(node: &NodeProto<'_>) -> Error {
    let domain = if super::proto::is_standard(node.domain) { String::new() } else { format!(" of {}", node.domain) };
    let error = Error::new(Kind::File, format!("the operator {}{domain} is not supported", node.op));
    match node.op {
        "Resize" | "Upsample" => error.with_hint("networks that resize within themselves cannot be read yet"),
        _ => error.with_hint(format!("supported are {SUPPORTED}")),
    }
}

fn fault(message: impl Into<String>) -> Error {
    Error::new(Kind::File, message)
}

impl<'a> Converter<'a> {
    /// The values of a node's outputs.
    pub(super) fn operator(
        &mut self,
        node: &NodeProto<'a>,
        attributes: &Attributes<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Vec<Value>> {
        let float = |name: &str, default: f32| attributes.float(name, default);
        let map = match node.op {
            "Identity" | "Dropout" | "Cast" => return Ok(vec![self.unchanged(node, attributes, inputs)?]),
            "Conv" => self.conv(node, attributes, inputs)?,
            "Gemm" => self.gemm(node, attributes, inputs)?,
            "MatMul" => self.matmul(node, inputs)?,
            "BatchNormalization" => self.batch_norm(node, attributes, inputs)?,
            "LRN" => self.local_response_norm(node, attributes, inputs)?,
            "Relu" => self.activation(node, inputs, Activation::Relu)?,
            "Sigmoid" => self.activation(node, inputs, Activation::Sigmoid)?,
            "Tanh" => self.activation(node, inputs, Activation::Tanh)?,
            "HardSwish" => self.activation(node, inputs, Activation::HardSwish)?,
            "LeakyRelu" => self.activation(node, inputs, Activation::LeakyRelu(float("alpha", 0.01)))?,
            SILU => self.activation(node, inputs, Activation::Silu)?,
            "Gelu" if attributes.text("approximate", "none") == "none" => {
                self.activation(node, inputs, Activation::Gelu)?
            }
            "PRelu" => self.prelu(node, inputs)?,
            "HardSigmoid" => self.hard_sigmoid(node, attributes, inputs)?,
            "Clip" => self.clip(node, attributes, inputs)?,
            "Softmax" | "LogSoftmax" => self.softmax(node, attributes, inputs)?,
            "MaxPool" | "AveragePool" => self.pool(node, attributes, inputs)?,
            "GlobalAveragePool" => {
                let x = self.image(self.map(node, inputs, 0)?.clone(), node)?;
                Map::channels_first(self.add(node, Op::GLOBAL_AVG_POOL, &[x])?)
            }
            "GlobalMaxPool" => {
                let x = self.image(self.map(node, inputs, 0)?.clone(), node)?;
                Map::channels_first(self.add(node, self.global_max_pool(x), &[x])?)
            }
            "ReduceMean" | "ReduceMax" => self.reduce(node, attributes, inputs)?,
            "Pad" => self.pad(node, attributes, inputs)?,
            "Concat" => self.concat(node, attributes, inputs)?,
            "Add" | "Sum" | "Sub" | "Mul" | "Div" => self.arithmetic(node, inputs)?,
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                return Ok(vec![self.reshape(node, attributes, inputs)?]);
            }
            "Transpose" => return Ok(vec![self.transpose(node, attributes, inputs)?]),
            "Gather" => self.gather(node, attributes, inputs)?,
            "Slice" => self.slice(node, attributes, inputs)?,
            "Split" => return self.split(node, attributes, inputs),
            _ => return Err(unsupported(node)),
        };
        Ok(vec![Value::Map(map)])
    }

    fn unchanged(&self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Value> {
        if node.op == "Cast" && !matches!(attributes.int("to", 1), 1 | 10 | 11 | 16) {
            return Err(fault("the network's values are cast to whole numbers"));
        }
        inputs.first().cloned().flatten().ok_or_else(|| fault("its input is missing"))
    }

    // what a node reads

    fn map<'i>(&self, node: &NodeProto<'a>, inputs: Inputs<'i>, at: usize) -> Result<&'i Map> {
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
    fn weight<'i>(&self, node: &NodeProto<'a>, inputs: Inputs<'i>, at: usize) -> Result<Option<(&'a str, &'i Tensor)>> {
        let Some(value) = inputs.get(at).and_then(Option::as_ref) else { return Ok(None) };
        let name = node.inputs[at];
        match value {
            Value::Constant(Constant::Floats(tensor)) => Ok(Some((name, tensor))),
            _ => Err(fault(format!("its input `{name}` is not a constant of floats"))),
        }
    }

    fn needed_weight<'i>(&self, node: &NodeProto<'a>, inputs: Inputs<'i>, at: usize) -> Result<(&'a str, &'i Tensor)> {
        self.weight(node, inputs, at)?.ok_or_else(|| fault(format!("its input {} is missing", at + 1)))
    }

    /// A list of whole numbers, as an input or, in older files, as an attribute.
    fn list(&self, inputs: Inputs<'_>, at: usize, attributes: &Attributes<'_>, name: &str) -> Result<Option<Vec<i64>>> {
        match inputs.get(at).and_then(Option::as_ref) {
            Some(Value::Constant(constant)) => {
                let list = constant.to_ints();
                list.map(Some).ok_or_else(|| fault(format!("its `{name}` are not whole numbers")))
            }
            Some(_) => Err(fault(format!("its `{name}` are computed from the image"))),
            None => Ok(attributes.ints(name)),
        }
    }

    fn shape(&self, map: &Map) -> &[usize] {
        &self.drafts[map.id].shape
    }

    fn dims(&self, map: &Map) -> Vec<usize> {
        map.dims(self.shape(map))
    }

    /// The node of a value whose axes are in `layout`; a row of features can stand for the channels of one pixel.
    fn in_layout(&mut self, map: &Map, layout: Layout, node: &NodeProto<'a>) -> Result<Option<usize>> {
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
    fn image(&mut self, map: Map, node: &NodeProto<'a>) -> Result<usize> {
        let dims = self.dims(&map);
        self.in_layout(&map, Layout::First, node)?.ok_or_else(|| {
            fault(format!("its input is {dims:?}, not [channels, height, width] with the channels before the pixels"))
        })
    }

    /// The node of a row of features, the last axis of which the file and the node order alike.
    fn row(&self, map: &Map) -> Result<usize> {
        match (self.shape(map), map.axes.as_slice()) {
            ([_], [Some(0)]) => Ok(map.id),
            _ => Err(fault(format!("its input is {:?}, not a row of features", self.dims(map)))),
        }
    }

    // layers with weights

    fn conv(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        let x = self.image(self.map(node, inputs, 0)?.clone(), node)?;
        let (weight, tensor) = self.needed_weight(node, inputs, 1)?;
        let [out_channels, in_group, height, width] = *tensor.dims() else {
            return Err(fault(format!("its weight `{weight}` is {:?}", tensor.dims()))
                .with_hint("only 2-D convolutions are supported"));
        };
        let kernel = [height, width];
        if attributes.ints("kernel_shape").is_some_and(|shape| shape != [height as i64, width as i64]) {
            return Err(fault(format!("its kernel_shape is not that of its weight, {kernel:?}")));
        }
        let image = [self.drafts[x].shape[1], self.drafts[x].shape[2]];
        let window = Window::read(attributes, kernel, image)?;
        let groups = size(attributes.int("group", 1), "group")?;
        let in_channels = in_group.checked_mul(groups).ok_or_else(|| fault("its groups are too many"))?;
        let params = Conv2dParams { stride: window.stride, padding: window.padding, dilation: window.dilation, groups };
        let bias = match self.weight(node, inputs, 2)? {
            Some((name, bias)) => Some(self.vector(name, bias, out_channels)?),
            None => None,
        };
        let weight = self.keep(weight, "", || Ok(tensor.clone()))?;
        let op = Op::Conv2d(Conv2d { in_channels, out_channels, kernel, params, weight, bias });
        Ok(Map::channels_first(self.add(node, op, &[x])?))
    }

    /// Keeps a parameter with one number per channel.
    fn vector(&mut self, name: &str, tensor: &Tensor, channels: usize) -> Result<String> {
        if tensor.elem_count() != channels {
            return Err(fault(format!("`{name}` has {} numbers for {channels} channels", tensor.elem_count())));
        }
        let change = if tensor.rank() == 1 { "" } else { "flat" };
        self.keep(name, change, || Ok(tensor.flatten_all()?))
    }

    fn gemm(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        if attributes.int("transA", 0) != 0 {
            return Err(fault("it transposes the batch (transA)"));
        }
        let map = self.map(node, inputs, 0)?;
        let (name, tensor) = self.needed_weight(node, inputs, 1)?;
        let alpha = attributes.float("alpha", 1.0);
        let (id, out) = self.linear(node, map, name, tensor, attributes.int("transB", 0) != 0, alpha)?;
        if let Some((name, bias)) = self.weight(node, inputs, 2)? {
            let beta = attributes.float("beta", 1.0);
            let change = match (bias.elem_count() == out, beta == 1.0) {
                (true, true) if bias.rank() == 1 => String::new(),
                (_, true) => format!("to{out}"),
                (_, false) => format!("to{out}x{beta}"),
            };
            let bias = self.keep(name, &change, || {
                let row =
                    if bias.elem_count() == 1 { bias.flatten_all()?.broadcast_as(out)? } else { bias.reshape(out)? };
                Ok(if beta == 1.0 { row.contiguous()? } else { (row * f64::from(beta))? })
            })?;
            self.set_bias(id, bias);
        }
        Ok(Map::flat(id))
    }

    fn matmul(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let (name, tensor) = self.needed_weight(node, inputs, 1)?;
        // channels last, it is a convolution with one tap
        if map.axes.len() == 3 {
            let dims = self.dims(&map);
            let x = self.in_layout(&map, Layout::Last, node)?;
            let x = x.ok_or_else(|| fault(format!("its input is {dims:?}, which is no row of features")))?;
            let [in_channels, out_channels] = *tensor.dims() else {
                return Err(fault(format!("its weight `{name}` is {:?}, not a matrix", tensor.dims())));
            };
            let weight = self.keep(name, "as_kernel", || {
                Ok(tensor.t()?.contiguous()?.reshape((out_channels, in_channels, 1, 1))?)
            })?;
            let params = Conv2dParams::default();
            let op = Op::Conv2d(Conv2d { in_channels, out_channels, kernel: [1, 1], params, weight, bias: None });
            return Ok(Map::channels_last(self.add(node, op, &[x])?));
        }
        Ok(Map::flat(self.linear(node, &map, name, tensor, false, 1.0)?.0))
    }

    /// A linear layer without a bias; returns its node and the number of its results.
    fn linear(
        &mut self,
        node: &NodeProto<'a>,
        map: &Map,
        name: &str,
        tensor: &Tensor,
        outputs_first: bool,
        alpha: f32,
    ) -> Result<(usize, usize)> {
        let x = self.row(map)?;
        let [first, second] = *tensor.dims() else {
            return Err(fault(format!("its weight `{name}` is {:?}, not a matrix", tensor.dims())));
        };
        let (out_features, in_features) = if outputs_first { (first, second) } else { (second, first) };
        let found = self.drafts[x].shape.first().copied().unwrap_or(0);
        if found != in_features {
            return Err(fault(format!("its weight `{name}` takes {in_features} features, its input has {found}"))
                .with_hint("`size=` says for which size of image the network is"));
        }
        let mut change = if outputs_first { String::new() } else { "transposed".to_owned() };
        if alpha != 1.0 {
            change += &format!("x{alpha}");
        }
        if let Some((shape, order)) = &map.flattened {
            change += &format!("from{shape:?}{order:?}");
        }
        let weight = self.keep(name, &change, || {
            let matrix = if outputs_first { tensor.clone() } else { tensor.t()?.contiguous()? };
            let matrix = if alpha == 1.0 { matrix } else { (matrix * f64::from(alpha))? };
            match &map.flattened {
                Some((shape, order)) => reorder_columns(&matrix, shape, order),
                None => Ok(matrix),
            }
        })?;
        let op = Op::Linear(Linear { in_features, out_features, weight, bias: None });
        Ok((self.add(node, op, &[x])?, out_features))
    }

    fn set_bias(&mut self, id: usize, name: String) {
        if let Op::Conv2d(Conv2d { bias, .. }) | Op::Linear(Linear { bias, .. }) = &mut self.drafts[id].op {
            *bias = Some(name);
        }
    }

    fn batch_norm(&mut self, node: &NodeProto<'a>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Map> {
        if attributes.int("training_mode", 0) != 0 {
            return Err(fault("it is in training mode").with_hint("export the network after `eval()`"));
        }
        let (map, channels) = self.by_channel(node, inputs)?;
        let mut names = Vec::new();
        for at in 1..5 {
            let (name, tensor) = self.needed_weight(node, inputs, at)?;
            names.push(self.vector(name, tensor, channels)?);
        }
        let names: [String; 4] = names.try_into().map_err(|_| fault("it lacks a parameter"))?;
        let [weight, bias, mean, var] = names;
        let eps = f64::from(attributes.float("epsilon", 1e-5));
        let op = Op::BatchNorm(BatchNorm { channels, weight, bias, mean, var, eps });
        let id = self.add(node, op, &[map.id])?;
        Ok(map.with_id(id))
    }

    /// A value whose second axis is the node's channels, and how many they are.
    fn by_channel(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>) -> Result<(Map, usize)> {
        let map = self.map(node, inputs, 0)?.clone();
        let map = match map.axes.len() {
            3 => Map::channels_first(self.image(map, node)?),
            _ if map.flattened.is_none() => Map::flat(self.row(&map)?),
            _ => return Err(fault("its input was flattened channels last")),
        };
        let channels = self.shape(&map).first().copied().unwrap_or(0);
        Ok((map, channels))
    }

    fn local_response_norm(
        &mut self,
        node: &NodeProto<'a>,
        attributes: &Attributes<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Map> {
        let x = self.image(self.map(node, inputs, 0)?.clone(), node)?;
        let size = size(attributes.int("size", 0), "size")?;
        // where the window is even, ONNX takes one channel more behind, PyTorch before
        if size % 2 == 0 {
            return Err(fault(format!("its window of {size} channels is even; only odd ones are supported")));
        }
        let float = |name: &str, default: f32| f64::from(attributes.float(name, default));
        let norm =
            LocalResponseNorm { size, alpha: float("alpha", 1e-4), beta: float("beta", 0.75), k: float("bias", 1.0) };
        Ok(Map::channels_first(self.add(node, Op::LocalResponseNorm(norm), &[x])?))
    }

    // functions of every number

    fn activation(&mut self, node: &NodeProto<'a>, inputs: Inputs<'_>, function: Activation) -> Result<Map> {
        let map = self.map(node, inputs, 0)?.clone();
        let id = self.add(node, Op::Activation(function), &[map.id])?;
        Ok(map.with_id(id))
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

    // windows

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

    // several inputs

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

    // shapes

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

    // some of the channels

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

/// How a window moves.
struct Window {
    stride: [usize; 2],
    padding: [[usize; 2]; 2],
    dilation: [usize; 2],
}

impl Window {
    /// From the attributes; `SAME` padding is worked out for an image of this size.
    fn read(attributes: &Attributes<'_>, kernel: [usize; 2], image: [usize; 2]) -> Result<Self> {
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

/// A matrix over the features of an image that the file flattens in another order of axes, for our own order.
fn reorder_columns(matrix: &Tensor, shape: &[usize], order: &[usize]) -> Result<Tensor> {
    let rows = matrix.dim(0)?;
    let sizes = order.iter().map(|axis| shape[*axis]);
    let apart = matrix.reshape(std::iter::once(rows).chain(sizes).collect::<Vec<usize>>())?;
    // where each of our axes is among the file's
    let mut back: Vec<(usize, usize)> = order.iter().enumerate().map(|(at, axis)| (*axis, at + 1)).collect();
    back.sort_unstable();
    let places: Vec<usize> = std::iter::once(0).chain(back.into_iter().map(|(_, at)| at)).collect();
    Ok(apart.permute(places)?.contiguous()?.reshape(matrix.shape())?)
}

fn size(value: i64, what: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| fault(format!("its {what} is {value}, but cannot be negative")))
}

fn pair(list: &[i64], what: &str) -> Result<[usize; 2]> {
    match list {
        [height, width] => Ok([size(*height, what)?, size(*width, what)?]),
        _ => {
            Err(fault(format!("its {what} is {list:?}")).with_hint("only windows over height and width are supported"))
        }
    }
}
