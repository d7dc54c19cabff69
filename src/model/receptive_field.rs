//! Which part of the image a unit can see.

use super::{Graph, NodeId, Op};
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
            size: self.size + kernel.saturating_sub(1) * self.jump,
            jump: self.jump * stride,
            start: self.start - (padding * self.jump) as i64,
        }
    }

    /// The field that covers both, for operations that join branches.
    fn union(self, other: Self) -> Self {
        let start = self.start.min(other.start);
        let end = |field: Self| field.start + field.size as i64;
        let size = end(self).max(end(other)) - start;
        Self { size: size as usize, jump: self.jump.max(other.jump), start }
    }

    /// The middle of unit `i`'s square, in input pixels: start + i · jump + (size − 1) / 2.
    pub fn centre(self, i: usize) -> f64 {
        self.start as f64 + (i * self.jump) as f64 + (self.size as f64 - 1.0) / 2.0
    }
}

impl Graph {
    /// The receptive field of every node for an image `[channels, height, width]`, whose size only matters
    /// where an operation looks at the whole image.
    pub fn receptive_fields(&self, image: [usize; 3]) -> Result<Vec<ReceptiveField>> {
        let shapes = self.shapes(image, self.output())?;
        let mut fields: Vec<ReceptiveField> = Vec::with_capacity(shapes.len());
        for node in self.nodes() {
            let inputs = node.inputs.iter().map(|id| fields[id.index()]);
            let input = inputs.reduce(ReceptiveField::union).unwrap_or(ReceptiveField { size: 1, jump: 1, start: 0 });
            let side = |id: &NodeId| shapes[id.index()].iter().skip(1).copied().max().unwrap_or(1);
            fields.push(match &node.op {
                Op::Conv2d(conv) => {
                    let [height, width] = conv.kernel;
                    let reach = conv.params.dilation * height.max(width).saturating_sub(1) + 1;
                    input.window(reach, conv.params.stride, conv.params.padding)
                }
                Op::MaxPool2d(pool) => input.window(pool.kernel, pool.stride, pool.padding),
                Op::GlobalAvgPool | Op::Flatten => input.window(node.inputs.iter().map(side).max().unwrap_or(1), 1, 0),
                Op::Input { .. } | Op::Relu | Op::Concat | Op::Dropout => input,
            });
        }
        Ok(fields)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Builder, Conv2d};
    use crate::tensor::{Conv2dParams, MaxPool2dParams};

    /// A chain of (is pooling, kernel, stride, padding) and the fields of its layers.
    fn fields(layers: &[(bool, usize, usize, usize)], image: usize) -> Vec<ReceptiveField> {
        let (mut builder, mut x) = Builder::new(1);
        for (i, (pool, kernel, stride, padding)) in layers.iter().copied().enumerate() {
            let op = if pool {
                Op::MaxPool2d(MaxPool2dParams { kernel, stride, padding, ceil_mode: false })
            } else {
                Op::Conv2d(Conv2d {
                    in_channels: 1,
                    out_channels: 1,
                    kernel: [kernel; 2],
                    params: Conv2dParams { stride, padding, ..Conv2dParams::default() },
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

    #[test]
    fn the_first_unit_is_centred_where_its_window_is() {
        let field = fields(&[(false, 3, 2, 1)], 9)[0];
        assert_eq!(field, ReceptiveField { size: 3, jump: 2, start: -1 });
        assert!((field.centre(0) - 0.0).abs() < 1e-9 && (field.centre(2) - 4.0).abs() < 1e-9);
    }
}
