//! What the networks are written in: a layer a line, with the names its parameters have in PyTorch.

use crate::model::{BatchNorm, Builder, Conv2d, Linear, NodeId, Op};
use crate::tensor::{Activation, Conv2dParams, Pool2dParams};

/// A convolution's sizes; see [`conv`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Conv {
    channels: [usize; 2],
    kernel: [usize; 2],
    params: Conv2dParams,
}

/// A convolution from and to so many channels, with a square kernel, stride 1 and no padding.
pub(super) const fn conv(channels: [usize; 2], kernel: usize) -> Conv {
    Conv { channels, kernel: [kernel; 2], params: Conv2dParams::new(1, 0) }
}

impl Conv {
    /// A kernel of `[height, width]`.
    pub const fn kernel(self, kernel: [usize; 2]) -> Self {
        Self { kernel, ..self }
    }

    /// The same stride along both sides.
    pub const fn stride(self, stride: usize) -> Self {
        Self { params: Conv2dParams { stride: [stride; 2], ..self.params }, ..self }
    }

    /// The same padding at all sides.
    pub const fn padding(self, padding: usize) -> Self {
        self.padded([[padding; 2]; 2])
    }

    /// Half a kernel of padding, which keeps the size at stride 1.
    pub const fn same(self) -> Self {
        let [height, width] = self.kernel;
        self.padded([[height / 2; 2], [width / 2; 2]])
    }

    /// Padding as [top, bottom] and [left, right].
    pub const fn padded(self, padding: [[usize; 2]; 2]) -> Self {
        Self { params: Conv2dParams { padding, ..self.params }, ..self }
    }

    /// One kernel for each channel, which sees no other.
    pub const fn depthwise(self) -> Self {
        Self { params: Conv2dParams { groups: self.channels[0], ..self.params }, ..self }
    }
}

impl Builder {
    /// A convolution with a bias.
    pub(super) fn conv(&mut self, name: &str, aliases: &[&str], conv: Conv, input: NodeId) -> NodeId {
        self.convolution(name, aliases, conv, true, input)
    }

    /// A convolution without a bias.
    pub(super) fn conv_without_bias(&mut self, name: &str, aliases: &[&str], conv: Conv, input: NodeId) -> NodeId {
        self.convolution(name, aliases, conv, false, input)
    }

    fn convolution(&mut self, name: &str, aliases: &[&str], conv: Conv, bias: bool, input: NodeId) -> NodeId {
        let op = Op::Conv2d(Conv2d {
            in_channels: conv.channels[0],
            out_channels: conv.channels[1],
            kernel: conv.kernel,
            params: conv.params,
            weight: format!("{name}.weight"),
            bias: bias.then(|| format!("{name}.bias")),
        });
        self.add(name, aliases, op, &[input])
    }

    /// A batch normalisation of so many channels.
    pub(super) fn batch_norm(
        &mut self,
        name: &str,
        aliases: &[&str],
        channels: usize,
        eps: f64,
        input: NodeId,
    ) -> NodeId {
        let op = Op::BatchNorm(BatchNorm {
            channels,
            weight: format!("{name}.weight"),
            bias: format!("{name}.bias"),
            mean: format!("{name}.running_mean"),
            var: format!("{name}.running_var"),
            eps,
        });
        self.add(name, aliases, op, &[input])
    }

    /// A convolution without a bias and its batch normalisation, whose names are given in this order.
    pub(super) fn conv_bn(&mut self, [name, norm]: [&str; 2], conv: Conv, eps: f64, input: NodeId) -> NodeId {
        let x = self.conv_without_bias(name, &[], conv, input);
        self.batch_norm(norm, &[], conv.channels[1], eps, x)
    }

    /// torchvision's `BasicConv2d`: convolution, batch normalisation and ReLU, which has the module's name too.
    pub(super) fn basic_conv(
        &mut self,
        name: &str,
        conv_aliases: &[&str],
        relu_aliases: &[&str],
        conv: Conv,
        input: NodeId,
    ) -> NodeId {
        let x = self.conv_without_bias(&format!("{name}.conv"), conv_aliases, conv, input);
        let x = self.batch_norm(&format!("{name}.bn"), &[], conv.channels[1], 1e-3, x);
        self.relu(&format!("{name}.relu"), &[relu_aliases, &[name]].concat(), x)
    }

    /// max(x, 0).
    pub(super) fn relu(&mut self, name: &str, aliases: &[&str], input: NodeId) -> NodeId {
        self.add(name, aliases, Op::RELU, &[input])
    }

    /// min(max(x, 0), 6).
    pub(super) fn relu6(&mut self, name: &str, aliases: &[&str], input: NodeId) -> NodeId {
        self.add(name, aliases, Op::Activation(Activation::RELU6), &[input])
    }

    /// The largest value of each window.
    pub(super) fn max_pool(&mut self, name: &str, aliases: &[&str], window: Pool2dParams, input: NodeId) -> NodeId {
        self.add(name, aliases, Op::MaxPool2d(window), &[input])
    }

    /// The mean of each channel over the whole image.
    pub(super) fn global_pool(&mut self, name: &str, aliases: &[&str], input: NodeId) -> NodeId {
        self.add(name, aliases, Op::GLOBAL_AVG_POOL, &[input])
    }

    /// One row of numbers per image.
    pub(super) fn flatten(&mut self, aliases: &[&str], input: NodeId) -> NodeId {
        self.add("flatten", aliases, Op::Flatten, &[input])
    }

    /// What training alone does.
    pub(super) fn dropout(&mut self, name: &str, aliases: &[&str], input: NodeId) -> NodeId {
        self.add(name, aliases, Op::Dropout, &[input])
    }

    /// A linear layer with a bias.
    pub(super) fn linear(&mut self, name: &str, aliases: &[&str], features: [usize; 2], input: NodeId) -> NodeId {
        let op = Op::Linear(Linear {
            in_features: features[0],
            out_features: features[1],
            weight: format!("{name}.weight"),
            bias: Some(format!("{name}.bias")),
        });
        self.add(name, aliases, op, &[input])
    }
}

/// A max-pool whose last window may hang over the end, as in Caffe.
pub(super) const fn ceil(window: Pool2dParams) -> Pool2dParams {
    Pool2dParams { ceil_mode: true, ..window }
}
