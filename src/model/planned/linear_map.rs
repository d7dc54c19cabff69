//! Convolutions and linear layers with other weights, for rules that look at parts of them.

use std::ops::Deref;

use candle_core::{Device, Tensor};

use super::kernels::{Convolution, Kernels};
use super::on_worker;
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::{Conv2d, Op, Operation, budget};
use crate::tensor::{channels_last, conv2d, linear, rows_of, with_values};
use percept_kernels::{Epilogue, Maps, Target, View, elementwise};

/// Kernels of the network, or some for this once.
enum Ready<'a> {
    Shared(&'a Kernels),
    Own(Kernels),
}

impl Deref for Ready<'_> {
    type Target = Kernels;

    fn deref(&self) -> &Kernels {
        match self {
            Self::Shared(kernels) => kernels,
            Self::Own(kernels) => kernels,
        }
    }
}

impl Operation<'_> {
    /// What a convolution or a linear layer makes of `x` with another weight of its shape, and this bias.
    ///
    /// # Errors
    /// It is another operation, or the shapes do not fit.
    pub fn through(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (x, weight) = (x.detach(), weight.detach());
        match self.op {
            Op::Conv2d(conv) if x.device().is_cpu() => on_worker(|| self.convolve(conv, &x, &weight, bias)),
            Op::Conv2d(conv) => conv2d(&x, &weight, bias, &conv.params, &Interrupt::never()),
            Op::Linear(_) => linear(&x, &weight, bias),
            _ => Err(self.has_no_weight()),
        }
    }

    /// The way back through a convolution or a linear layer with another weight of its shape: what its transpose makes of
    /// `above`, which has the shape of its value, for its input.
    ///
    /// # Errors
    /// It is another operation, or the shapes do not fit.
    pub fn back(&self, above: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let x = self.inputs.first().ok_or_else(|| self.has_no_weight())?;
        match self.op {
            Op::Conv2d(conv) if x.device().is_cpu() => on_worker(|| self.transposed(conv, x, above, weight)),
            Op::Conv2d(conv) => {
                let x = candle_core::Var::from_tensor(&x.zeros_like()?)?;
                let y = conv2d(&x, &weight.detach(), None, &conv.params, &Interrupt::never())?;
                let gradient = (y * above)?.sum_all()?.backward()?.remove(&x);
                gradient.ok_or_else(|| Error::new(Kind::Internal, "a convolution without a gradient"))
            }
            Op::Linear(_) => Ok(above.matmul(weight)?),
            _ => Err(self.has_no_weight()),
        }
    }

    fn has_no_weight(&self) -> Error {
        Error::new(Kind::Internal, format!("{} is neither a convolution nor a linear layer", self.op))
    }

    /// The convolution with a weight, exact, and where its kernels are kept and up to how many bytes: with those of the network
    /// if the weight is its own.
    fn convolution<'a>(
        &'a self,
        conv: &'a Conv2d,
        weight: &Tensor,
        input: Maps,
        output: Maps,
    ) -> Result<(Convolution<'a>, Ready<'a>, usize)> {
        if let Some((kept, name)) = self.prepared.0
            && let Some(kernels) = kept.downcast_ref::<Kernels>()
            && self.weights.get(&conv.weight)?.id() == weight.id()
        {
            let convolution = Convolution::own(conv, name, input, output);
            return Ok((convolution, Ready::Shared(kernels), budget::memory() / 2));
        }
        let weight = weight.flatten_all()?.to_vec1()?;
        Ok((Convolution::with(conv, weight, input, output), Ready::Own(Kernels::default()), 0))
    }

    fn convolve(&self, conv: &Conv2d, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (input, output) = maps(conv, x)?;
        let bias: Option<Vec<f32>> = bias.map(|bias| bias.to_vec1()).transpose()?;
        let epilogue = Epilogue { bias: bias.as_deref(), ..Epilogue::default() };
        let mut values = vec![0f32; output.rows() * conv.out_channels];
        let (mut convolution, kernels, budget) = self.convolution(conv, weight, input, output)?;
        let rows = rows(x, input, conv.in_channels)?;
        let (view, out) = (view(&rows, conv.in_channels), target(&mut values, conv.out_channels));
        convolution.forward(&kernels, self.weights, budget, view, out, &epilogue, &|| false)?;
        tensor(values, output, conv.out_channels, x)
    }

    fn transposed(&self, conv: &Conv2d, x: &Tensor, above: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (input, output) = maps(conv, x)?;
        let mut values = vec![0f32; input.rows() * conv.in_channels];
        let (mut convolution, kernels, budget) = self.convolution(conv, weight, input, output)?;
        let rows = rows(above, output, conv.out_channels)?;
        let (view, out) = (view(&rows, conv.out_channels), target(&mut values, conv.in_channels));
        convolution.backward(&kernels, self.weights, budget, view, out, &Epilogue::default(), &|| false)?;
        tensor(values, input, conv.in_channels, above)
    }
}

/// The maps that a convolution reads and makes.
fn maps(conv: &Conv2d, x: &Tensor) -> Result<(Maps, Maps)> {
    let (batch, _, height, width) = x.dims4()?;
    let size = conv.params.output_size(conv.kernel, height, width);
    let size = size.ok_or_else(|| Error::new(Kind::Internal, "a convolution of an image that is too small"))?;
    Ok((Maps { batch, height, width }, Maps { batch, height: size.0, width: size.1 }))
}

/// The values of `[N, C, H, W]` with channels side by side, and a row of zeros.
fn rows(x: &Tensor, maps: Maps, channels: usize) -> Result<Vec<f32>> {
    let count = maps.rows() * channels;
    if x.elem_count() != count {
        return Err(Error::new(Kind::Internal, format!("a value of shape {:?} does not fit a convolution", x.dims())));
    }
    if let Some(rows) = rows_of(x) {
        return with_values(&rows, |values| {
            let mut rows = Vec::with_capacity(count + channels);
            rows.extend_from_slice(values);
            rows.resize(count + channels, 0.0);
            rows
        });
    }
    let mut rows = vec![0f32; count + channels];
    with_values(x, |values| {
        elementwise::from_planes(&maps, values, channels, false, target(&mut rows[..count], channels));
    })?;
    Ok(rows)
}

/// Values with channels side by side as a tensor that lies in memory as `like` does.
fn tensor(values: Vec<f32>, maps: Maps, channels: usize, like: &Tensor) -> Result<Tensor> {
    if rows_of(like).is_some() {
        return channels_last(values, [maps.batch, channels, maps.height, maps.width]);
    }
    let mut planes = vec![0f32; values.len()];
    elementwise::to_planes(&maps, view(&values, channels), channels, &mut planes);
    Ok(Tensor::from_vec(planes, (maps.batch, channels, maps.height, maps.width), &Device::Cpu)?)
}

fn view(data: &[f32], channels: usize) -> View<'_> {
    View { data, stride: channels, offset: 0 }
}

fn target(data: &mut [f32], channels: usize) -> Target<'_> {
    Target { data, stride: channels, offset: 0 }
}
