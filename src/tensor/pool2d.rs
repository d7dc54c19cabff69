//! The windows of pooling.

use super::window::pool_positions;
use crate::error::{Error, Kind};

/// A pooling window, as in PyTorch's `MaxPool2d` and `AvgPool2d`; of each pair the first is along the height, the
/// second along the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pool2dParams {
    /// Sides of the window, in pixels.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next.
    pub stride: [usize; 2],
    /// Pixels around the image, [top, bottom] and [left, right]; at most half the kernel.
    pub padding: [[usize; 2]; 2],
    /// Whether a last window may hang over the end, as long as it starts inside the image or its left padding.
    pub ceil_mode: bool,
}

impl Pool2dParams {
    /// A square window without ceil mode, with the same padding at all sides.
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: [[padding; 2]; 2], ceil_mode: false }
    }

    /// Height and width of the result for an input of `height` × `width`; none if no window fits.
    pub fn output_size(&self, height: usize, width: usize) -> Option<(usize, usize)> {
        let count = |axis: usize, size: usize| {
            let (kernel, padding) = (self.kernel[axis], self.padding[axis]);
            // more padding than half a window would leave windows without a single pixel
            let empty = size == 0 || padding.iter().any(|padding| *padding > kernel / 2);
            (!empty).then(|| pool_positions(size, kernel, self.stride[axis], padding, self.ceil_mode)).flatten()
        };
        Some((count(0, height)?, count(1, width)?))
    }

    /// The error of an image in which no window fits.
    pub(super) fn too_small(&self, height: usize, width: usize) -> Error {
        let Self { kernel: [kernel_height, kernel_width], stride, padding, .. } = self;
        Error::new(
            Kind::Tensor,
            format!(
                "an image of {width}×{height} has no place for a pooling window of {kernel_width}×{kernel_height} \
                 (stride {stride:?}, padding {padding:?})"
            ),
        )
    }

    #[cfg(test)]
    pub(super) fn random(rng: &mut rand_chacha::ChaCha8Rng) -> Self {
        use super::testing::pick;
        let kernel = [pick(rng, 1..=4), pick(rng, 1..=4)];
        Self {
            kernel,
            stride: [pick(rng, 1..=4), pick(rng, 1..=4)],
            padding: kernel.map(|kernel| [pick(rng, 0..=kernel / 2), pick(rng, 0..=kernel / 2)]),
            ceil_mode: pick(rng, 0..=1) == 1,
        }
    }
}
