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
