//! A run of one image whose values are read, and whose gradients are written, where they were computed.

use candle_core::Tensor;
use percept_kernels::{Target, View};

use super::Pullback;
use crate::error::{Error, Kind, Result};
use crate::tensor::{channels_last, with_values};

/// The value of a tap `[C, h, w]`: rows of channels, one for each place.
#[derive(Clone, Copy, Debug)]
pub struct Retained<'a> {
    /// The rows.
    pub view: View<'a>,
    /// Channels in a row.
    pub channels: usize,
    /// Places along the height.
    pub height: usize,
    /// Places along the width.
    pub width: usize,
}

/// Writes the gradient of a tap, given which of the run's taps it is and its value, into a target of its shape, or adds it to
/// what is there.
pub type WriteGradient<'a> = dyn Fn(usize, Retained<'_>, Target<'_>, bool) -> Result<()> + Sync + 'a;

/// An executor's own buffers of a run.
pub(in crate::model) trait Buffers {
    /// The value of a tap.
    fn tap(&self, tap: usize) -> Result<Retained<'_>>;
    /// The gradient at the first node that the run has gradients at.
    fn gradient(&self, write: &WriteGradient<'_>) -> Result<Tensor>;
}

/// A run of one image whose values are read, and whose gradients are written, where they were computed: what
/// [`Pullback`] does without copies of what all layers hold.
pub struct RetainedRun(Box<dyn Buffers>);

impl RetainedRun {
    pub(in crate::model) fn new(buffers: impl Buffers + 'static) -> Self {
        Self(Box::new(buffers))
    }

    /// The value of one of the run's taps.
    ///
    /// # Errors
    /// There is no such tap, or it is no map `[C, h, w]`.
    pub fn tap(&self, tap: usize) -> Result<Retained<'_>> {
        self.0.tap(tap)
    }

    /// The gradient at the first node that the run has gradients at, given those of the taps, which `write` is asked for.
    ///
    /// # Errors
    /// A tap is no map, what `write` refuses, or the run was interrupted.
    pub fn gradient(&self, write: &WriteGradient<'_>) -> Result<Tensor> {
        self.0.gradient(write)
    }
}

impl std::fmt::Debug for RetainedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetainedRun").finish_non_exhaustive()
    }
}

/// Buffers of an executor that has none to show: copies of its tensors.
pub(in crate::model) struct Copied {
    taps: Vec<(Vec<f32>, [usize; 3])>,
    pullback: Pullback,
}

impl Copied {
    /// Those of a run of one image.
    pub(in crate::model) fn new(taps: &[Tensor], pullback: Pullback) -> Result<Self> {
        let tap = |tap: &Tensor| {
            let &[1, channels, height, width] = tap.dims() else {
                let message = format!("a tap of shape {:?} is no map of one image", tap.dims());
                return Err(Error::new(Kind::Internal, message));
            };
            let rows = tap.detach().permute((0, 2, 3, 1))?.contiguous()?;
            Ok((with_values(&rows, <[f32]>::to_vec)?, [channels, height, width]))
        };
        Ok(Self { taps: taps.iter().map(tap).collect::<Result<_>>()?, pullback })
    }
}

impl Buffers for Copied {
    fn tap(&self, tap: usize) -> Result<Retained<'_>> {
        let (data, [channels, height, width]) = self.taps.get(tap).ok_or_else(no_such_tap)?;
        let view = View { data, stride: *channels, offset: 0 };
        Ok(Retained { view, channels: *channels, height: *height, width: *width })
    }

    fn gradient(&self, write: &WriteGradient<'_>) -> Result<Tensor> {
        let above = self.taps.iter().enumerate().map(|(at, (values, [channels, height, width]))| {
            let mut out = vec![0f32; values.len()];
            write(at, self.tap(at)?, Target { data: &mut out, stride: *channels, offset: 0 }, false)?;
            channels_last(out, [1, *channels, *height, *width])?.contiguous().map_err(Error::from)
        });
        self.pullback.gradient(&above.collect::<Result<Vec<Tensor>>>()?)
    }
}

pub(in crate::model) fn no_such_tap() -> Error {
    Error::new(Kind::Internal, "a run has fewer taps")
}
