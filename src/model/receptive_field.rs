//! Which part of the image a unit can see.

use super::{Conv2d, Graph, Op};
use crate::error::Result;

/// The square of input pixels that one unit of a node depends on, the same along both sides.
///
/// Unit `i` of a row sees the `size` pixels from `start + i · jump` on, as far as they lie in the image
/// (Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Side of the square in input pixels.
    pub size: usize,
    /// Input pixels from one unit to the next.
    pub jump: usize,
    /// Where the first unit's square begins; negative in the padding.
    pub start: i64,
}

impl ReceptiveField {
    /// A window over units with this field: size grows by (kernel − 1) · jump.
    fn window(self, kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            // files may hold chains of strides that no number is large enough for
            size: self.size.saturating_add(kernel.saturating_sub(1).saturating_mul(self.jump)),
            jump: self.jump.saturating_mul(stride),
            start: self.start.saturating_sub_unsigned(padding.saturating_mul(self.jump) as u64),
        }
    }

    /// The field that covers both, for operations that join branches.
    fn union(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        let end = |field: Self| field.start.saturating_add_unsigned(field.size as u64);
        let size = end(self).max(end(other)).saturating_sub(start);
        Self { size: size as usize, jump: self.jump.max(other.jump), start }
    }

    /// The middle of unit `i`'s square, in input pixels: start + i · jump + (size − 1) / 2.
    pub fn centre(self, i: usize) -> f64 {
        self.start as f64 + (i * self.jump) as f64 + (self.size as f64 - 1.0) / 2.0
    }
}

impl Graph {
    /// The receptive field of every node for an image `[channels, height, width]`, whose size only matters
    /// where an operation looks at the whole image. Where height and width differ, the square covers both.
    pub fn receptive_fields(&self, image: [usize; 3]) -> Result<Vec<ReceptiveField>> {
        let shapes = self.shapes(image, self.output())?;
        let [rows, columns] = [0, 1].map(|axis| self.fields_along(axis, &shapes));
        Ok(rows.into_iter().zip(columns).map(|(row, column)| row.union(column)).collect())
    }

    /// The fields along the height (0) or the width (1), given the shapes of all nodes.
    fn fields_along(&self, axis: usize, shapes: &[Vec<usize>]) -> Vec<ReceptiveField> {
        let mut fields: Vec<ReceptiveField> = Vec::with_capacity(shapes.len());
        for node in self.nodes() {
            let inputs = node.inputs.iter().map(|id| fields[id.index()]);
            let input = inputs.reduce(ReceptiveField::union).unwrap_or(ReceptiveField { size: 1, jump: 1, start: 0 });
            let side = || node.inputs.first().and_then(|id| shapes[id.index()].get(1 + axis)).copied().unwrap_or(1);
            fields.push(match &node.op {
                Op::Conv2d(Conv2d { kernel, params, .. }) => {
                    let reach = params.dilation[axis] * kernel[axis].saturating_sub(1) + 1;
                    input.window(reach, params.stride[axis], params.padding[axis][0])
                }
                Op::MaxPool2d(params) | Op::AvgPool2d { params, .. } => {
                    input.window(params.kernel[axis], params.stride[axis], params.padding[axis][0])
                }
                Op::ZeroPad(padding) => input.window(1, 1, padding[axis][0]),
                Op::AdaptiveAvgPool2d(size) => {
                    let count = size[axis].max(1);
                    input.window(side().div_ceil(count), (side() / count).max(1), 0)
                }
                Op::Flatten => input.window(side(), 1, 0),
                _ => input,
            });
        }
        fields
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Builder, zoo};
    use crate::tensor::{Conv2dParams, Pool2dParams};

    /// A chain of (is pooling, kernel, stride, padding) and the fields of its layers.
    fn fields(layers: &[(bool, usize, usize, usize)], image: usize) -> Vec<ReceptiveField> {
        let (mut builder, mut x) = Builder::new(1);
        for (i, (pool, kernel, stride, padding)) in layers.iter().copied().enumerate() {
            let op = if pool {
                Op::MaxPool2d(Pool2dParams::new(kernel, stride, padding))
            } else {
                Op::Conv2d(Conv2d {
                    in_channels: 1,
                    out_channels: 1,
                    kernel: [kernel; 2],
                    params: Conv2dParams::new(stride, padding),
                    weight: format!("{i}"),
                    bias: None,
                })
            };
            x = builder.add(&format!("layer {i}"), &[], op, &[x]);
        }
        let graph = builder.finish().unwrap();
        graph.receptive_fields([1, image, image]).unwrap().split_off(1)
    }

    #[test]
    fn alexnet_has_its_published_fields() {
        // TF-slim's AlexNet v2: conv1, pool1, conv2, pool2, conv3, conv4, conv5, pool5
        let layers = [
            (false, 11, 4, 0),
            (true, 3, 2, 0),
            (false, 5, 1, 2),
            (true, 3, 2, 0),
            (false, 3, 1, 1),
            (false, 3, 1, 1),
            (false, 3, 1, 1),
            (true, 3, 2, 0),
        ];
        let fields = fields(&layers, 224);
        let sizes: Vec<usize> = fields.iter().map(|field| field.size).collect();
        assert_eq!(sizes, [11, 19, 51, 67, 99, 131, 163, 195]);
        assert_eq!((fields[2].jump, fields[2].start), (8, -16));
    }

    #[test]
    fn vgg16_has_its_published_field() {
        let mut layers = Vec::new();
        for convolutions in [2, 2, 3, 3, 3] {
            layers.extend([(false, 3, 1, 1)].repeat(convolutions));
            layers.push((true, 2, 2, 0));
        }
        assert_eq!(fields(&layers, 224).last().unwrap().size, 212);
    }

    /// The field of a layer of the zoo at the size of its recipe.
    fn field(network: &str, layer: &str) -> usize {
        let entry = zoo::find(network).unwrap();
        let graph = entry.graph().unwrap();
        let fields = graph.receptive_fields([3, entry.recipe().height, entry.recipe().width]).unwrap();
        fields[graph.find(layer).unwrap().index()].size
    }

    #[test]
    fn the_zoo_has_the_published_fields() {
        // Araujo et al., table 1, of TF-slim's networks
        assert_eq!(field("alexnet", "pool5"), 195);
        assert_eq!(field("vgg16", "pool5"), 212);
        // rows and columns of 7×1 and 1×7 are counted once
        assert_eq!(field("inception_v3", "Mixed_7c"), 1311);
        // TF-slim strides at the end of a stage, torchvision at its beginning: its first 3×3 convolution of each stage
        // but one reaches half as far, 8 + 16 + 32 pixels less
        assert_eq!(field("resnet50", "conv5_x"), 483 - 56);
        assert_eq!(field("resnet101", "conv5_x"), 1027 - 56);
        assert_eq!(field("resnet152", "conv5_x"), 1507 - 56);
    }

    #[test]
    fn the_zoo_has_the_fields_of_its_windows() {
        // by hand: 1 + Σ (kernel − 1) · jump along the longest path
        assert_eq!(field("resnet18", "layer4"), 7 + 4 + 32 + (8 + 3 * 16) + (16 + 3 * 32) + (32 + 3 * 64));
        assert_eq!(field("densenet121", "denseblock4"), 7 + 4 + 6 * 8 + 4 + 12 * 16 + 8 + 24 * 32 + 16 + 16 * 64);
        let early = 3 + 4 + (4 + 8) + (8 + 2 * 16);
        assert_eq!(field("mobilenet_v2", "features.18"), early + (16 + 3 * 32 + 3 * 32) + (32 + 2 * 64 + 64));
        assert_eq!(field("googlenet", "inception_5b"), 7 + 4 + 8 + 8 + 2 * 16 + 16 + 5 * 32 + 16 + 2 * 64);
    }

    #[test]
    fn the_first_unit_is_centred_where_its_window_is() {
        let field = fields(&[(false, 3, 2, 1)], 9)[0];
        assert_eq!(field, ReceptiveField { size: 3, jump: 2, start: -1 });
        assert!((field.centre(0) - 0.0).abs() < 1e-9 && (field.centre(2) - 4.0).abs() < 1e-9);
    }
}
