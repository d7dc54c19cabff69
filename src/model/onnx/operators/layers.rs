//! Layers with weights, and normalisations.

use candle_core::Tensor;

use super::inputs::size;
use super::window::Window;
use super::{Inputs, Operator, fault, one};
use crate::error::Result;
use crate::model::onnx::attributes::Attributes;
use crate::model::onnx::converter::Converter;
use crate::model::onnx::proto::NodeProto;
use crate::model::onnx::value::{Layout, Map};
use crate::model::{BatchNorm, Conv2d, Linear, Op};
use crate::tensor::{Conv2dParams, LocalResponseNorm};

/// The operators of this file.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("BatchNormalization", |converter, node, attributes, inputs| one(converter.batch_norm(node, attributes, inputs))),
    ("Conv", |converter, node, attributes, inputs| one(converter.conv(node, attributes, inputs))),
    ("Gemm", |converter, node, attributes, inputs| one(converter.gemm(node, attributes, inputs))),
    ("LRN", |converter, node, attributes, inputs| one(converter.local_response_norm(node, attributes, inputs))),
    ("MatMul", |converter, node, _, inputs| one(converter.matmul(node, inputs))),
];

impl<'a> Converter<'a> {
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

    pub(super) fn set_bias(&mut self, id: usize, name: String) {
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
