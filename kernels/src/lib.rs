//! Kernels over maps whose channels lie side by side, `[N, H, W, C]`.
//!
//! In this order a pixel is a row of a matrix: a 1×1 convolution is a plain matrix product, every other one a
//! product whose rows are gathered from several pixels, joining maps is writing beside each other, and everything
//! else runs along contiguous channels. Instruction sets are chosen when the program runs, by `pulp`.
//!
//! What every convolution ends with (bias, addition, limits, a rectifier's gate) is its [`Epilogue`]: it is applied
//! while the sums are still in registers.
//!
//! Kernels take numbers that fit together; whoever plans a network sees to that. Where they don't, the kernels
//! panic rather than compute nonsense, and never read or write outside their slices.

pub mod depthwise;
pub mod direct;
pub mod elementwise;
pub mod gram;
pub mod linear;
pub mod pool;
mod product;
pub mod winograd;

use std::ops::Range;

pub use product::{Epilogue, Gate};

/// How many images of which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Images.
    pub batch: usize,
    /// Pixels along the height of each.
    pub height: usize,
    /// Pixels along the width of each.
    pub width: usize,
}

impl Maps {
    /// Pixels of all images, each of which is a row of channels.
    pub fn rows(&self) -> usize {
        self.batch * self.height * self.width
    }
}

/// Some channels of maps: rows of pixels that may be parts of wider rows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The rows, and after them one more row of zeros.
    pub data: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// First channel.
    pub offset: usize,
}

impl<'a> View<'a> {
    /// `count` channels of a row.
    #[inline(always)]
    pub fn row(&self, row: usize, count: usize) -> &'a [f32] {
        &self.data[row * self.stride + self.offset..][..count]
    }

    /// `count` channels of the first `rows` rows, one row after the other.
    pub fn copied(&self, rows: usize, count: usize) -> Vec<f32> {
        if self.stride == count {
            return self.data[..rows * count].to_vec();
        }
        let mut values = Vec::with_capacity(rows * count);
        (0..rows).for_each(|row| values.extend_from_slice(self.row(row, count)));
        values
    }
}

/// Where a kernel writes: some channels of the rows of a buffer.
#[derive(Debug)]
pub struct Target<'a> {
    /// The rows, without the row of zeros.
    pub data: &'a mut [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// First channel.
    pub offset: usize,
}

/// The sizes of a convolution or pooling. Of each pair the first is along the height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it reads.
    pub input: Maps,
    /// What it makes.
    pub output: Maps,
    /// Taps of the kernel.
    pub kernel: [usize; 2],
    /// Pixels from one place of the kernel to the next.
    pub stride: [usize; 2],
    /// Zeros above and left of the image.
    pub before: [usize; 2],
    /// Pixels from one tap to the next.
    pub dilation: [usize; 2],
}

impl Window {
    /// Taps of the kernel, row by row.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The input pixel under a tap of the kernel at an output pixel, along one axis; none in the padding.
    #[inline(always)]
    pub fn source(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let size = if axis == 0 { self.input.height } else { self.input.width };
        (place * self.stride[axis] + tap * self.dilation[axis]).checked_sub(self.before[axis]).filter(|at| *at < size)
    }

    /// The input columns under the kernel at an output column, if all of its taps lie in the image side by side.
    #[inline(always)]
    pub fn under(&self, column: usize) -> Option<Range<usize>> {
        let start = (column * self.stride[1]).checked_sub(self.before[1]).filter(|_| self.dilation[1] == 1)?;
        let end = start + self.kernel[1];
        (end <= self.input.width).then_some(start..end)
    }

    /// The output pixel whose kernel lies with a tap over an input pixel, along one axis; none if there is none.
    #[inline(always)]
    pub fn reader(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let size = if axis == 0 { self.output.height } else { self.output.width };
        let moved = (place + self.before[axis]).checked_sub(tap * self.dilation[axis])?;
        (moved % self.stride[axis] == 0).then_some(moved / self.stride[axis]).filter(|at| *at < size)
    }
}

/// Asked between the parts of a kernel's work; when it says true, the rest is left undone.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// Rows of one part of parallel work: one part for each thread if there are few, otherwise parts of at most `most`.
pub(crate) fn rows_per_part(rows: usize, most: usize) -> usize {
    let share = rows.div_ceil(rayon::current_num_threads()).max(1);
    if share <= most { share } else { share.div_ceil(share.div_ceil(most)).next_multiple_of(product::ROWS) }
}
