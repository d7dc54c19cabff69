//! How a convolution's kernel moves.

use super::window::positions;

/// How the kernel moves over the image; of each pair the first is along the height, the second along the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Conv2dParams {
    /// Pixels from one place of the kernel to the next.
    pub stride: [usize; 2],
    /// Pixels of zero around the image: [top, bottom] and [left, right].
    pub padding: [[usize; 2]; 2],
    /// Pixels from one tap of the kernel to the next.
    pub dilation: [usize; 2],
    /// Input and output channels are split into this many groups that don't see each other.
    pub groups: usize,
}

impl Default for Conv2dParams {
    fn default() -> Self {
        Self::new(1, 0)
    }
}

impl Conv2dParams {
    /// The same stride along both sides and the same padding at all four.
    pub const fn new(stride: usize, padding: usize) -> Self {
        Self { stride: [stride; 2], padding: [[padding; 2]; 2], dilation: [1; 2], groups: 1 }
    }

    /// Height and width of the result for a kernel `[height, width]` over an image of `height` × `width`; none
    /// if the kernel doesn't fit.
    pub fn output_size(&self, kernel: [usize; 2], height: usize, width: usize) -> Option<(usize, usize)> {
        let count = |axis: usize, size| {
            positions(size, kernel[axis], self.stride[axis], self.padding[axis], self.dilation[axis])
        };
        Some((count(0, height)?, count(1, width)?))
    }
}
