//! Kernels over maps whose channels lie side by side, `[N, H, W, C]`.
//!
//! In this order a pixel is a row of a matrix: a 1×1 convolution is a plain matrix product, every other one a
//! product whose rows are gathered from several pixels, joining maps is writing beside each other, and everything
//! else runs along contiguous channels. Instruction sets are chosen when the program runs, by `pulp`.
//!
//! Kernels take numbers that fit together; whoever plans a network sees to that. Where they don't, the kernels
//! panic rather than compute nonsense, and never read or write outside their slices.

pub(crate) mod depthwise;
pub(crate) mod direct;
pub(crate) mod elementwise;
pub(crate) mod linear;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod winograd;

pub(crate) use product::{Finish, Gate};

/// How many images of which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maps {
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Maps {
    /// Pixels of all images, each of which is a row of channels.
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.height * self.width
    }
}

/// Some channels of maps: rows of pixels that may be parts of wider rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The rows, and after them one more row of zeros.
    pub(crate) data: &'a [f32],
    /// Floats from one row to the next.
    pub(crate) stride: usize,
    /// First channel.
    pub(crate) offset: usize,
}

impl<'a> View<'a> {
    /// `count` channels of a row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize, count: usize) -> &'a [f32] {
        &self.data[row * self.stride + self.offset..][..count]
    }
}

/// Where a kernel writes: some channels of the rows of a buffer.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The rows, without the row of zeros.
    pub(crate) data: &'a mut [f32],
    /// Floats from one row to the next.
    pub(crate) stride: usize,
    /// First channel.
    pub(crate) offset: usize,
}

/// The sizes of a convolution or pooling. Of each pair the first is along the height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) input: Maps,
    pub(crate) output: Maps,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Zeros above and left of the image.
    pub(crate) before: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Window {
    /// Taps of the kernel, row by row.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The input pixel under a tap of the kernel at an output pixel, along one axis; none in the padding.
    #[inline(always)]
    pub(crate) fn source(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let size = if axis == 0 { self.input.height } else { self.input.width };
        (place * self.stride[axis] + tap * self.dilation[axis]).checked_sub(self.before[axis]).filter(|at| *at < size)
    }

    /// The output pixel whose kernel lies with a tap over an input pixel, along one axis; none if there is none.
    #[inline(always)]
    pub(crate) fn reader(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let size = if axis == 0 { self.output.height } else { self.output.width };
        let moved = (place + self.before[axis]).checked_sub(tap * self.dilation[axis])?;
        (moved % self.stride[axis] == 0).then_some(moved / self.stride[axis]).filter(|at| *at < size)
    }
}

/// Asked between the parts of a kernel's work; when it says true, the rest is left undone.
pub(crate) type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// Rows of one part of parallel work: one part for each thread if there are few, otherwise parts of at most `most`.
pub(crate) fn rows_per_part(rows: usize, most: usize) -> usize {
    let share = rows.div_ceil(rayon::current_num_threads()).max(1);
    if share <= most { share } else { share.div_ceil(share.div_ceil(most)).next_multiple_of(product::ROWS) }
}
