//! Gradients of images too large for one run, in overlapping squares.

use candle_core::{Device, Tensor};

use crate::error::{Error, Kind, Result};
use crate::tensor::with_values;

/// What a square sees beyond its part, as a share of its side, and at least in pixels: what a unit sees beyond a square's
/// edge is missing there, so each square counts only inside its margins.
const MARGIN: usize = 16;
const LEAST_MARGIN: usize = 32;

/// Squares begin at multiples of so many pixels, so that strided layers have their places where they have them in the whole.
const ALIGNED: usize = 32;

/// The gradient for an image `[N, C, h, w]` by `gradient`, in squares of the side `tile` if it is larger than that.
///
/// Each square is looked at with a margin around it and its gradient is used without the margin, so each pixel's comes from
/// one square. What units see beyond the margin is missing; a random shift between steps (jitter) moves the squares' edges
/// about, and no seam is left where they are.
///
/// # Errors
/// `gradient` failed, or gave another shape than the square's.
pub fn tiled(image: &Tensor, tile: Option<usize>, gradient: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (images, channels, height, width) = image.dims4()?;
    let Some(tile) = tile.filter(|tile| height > *tile || width > *tile) else { return gradient(image) };
    let margin = (tile / MARGIN).max(LEAST_MARGIN);
    // an image that needs squares is large: there is one copy of its gradient
    let mut whole = vec![0f32; image.elem_count()];
    for row in spans(height, tile, margin) {
        for column in spans(width, tile, margin) {
            let square = image.narrow(2, row.seen[0], row.seen[1])?.narrow(3, column.seen[0], column.seen[1])?;
            let found = gradient(&square.contiguous()?)?;
            if found.dims() != [images, channels, row.seen[1], column.seen[1]] {
                let message = format!("a square's gradient has the shape {:?}", found.dims());
                return Err(Error::new(Kind::Internal, message));
            }
            let [top, left] = [row.seen[0] + row.used[0], column.seen[0] + column.used[0]];
            with_values(&found, |values| {
                let planes = values.chunks_exact(row.seen[1] * column.seen[1]);
                for (plane, whole) in planes.zip(whole.chunks_exact_mut(height * width)) {
                    let lines = plane.chunks_exact(column.seen[1]).skip(row.used[0]).take(row.used[1]);
                    for (line, whole) in lines.zip(whole.chunks_exact_mut(width).skip(top)) {
                        whole[left..][..column.used[1]].copy_from_slice(&line[column.used[0]..][..column.used[1]]);
                    }
                }
            })?;
        }
    }
    Ok(Tensor::from_vec(whole, image.shape(), &Device::Cpu)?)
}

/// A stretch of an axis that is looked at, and the part of it that is used: start and length, the latter within the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    seen: [usize; 2],
    used: [usize; 2],
}

/// The stretches that cover `length` pixels, each at most `tile` long with its margins, where these leave room for that.
fn spans(length: usize, tile: usize, margin: usize) -> Vec<Span> {
    if length <= tile {
        return vec![Span { seen: [0, length], used: [0, length] }];
    }
    let inner = tile.saturating_sub(2 * margin + ALIGNED).max(ALIGNED);
    (0..length)
        .step_by(inner)
        .map(|start| {
            let end = (start + inner).min(length);
            let first = start.saturating_sub(margin) / ALIGNED * ALIGNED;
            Span { seen: [first, (end + margin).min(length) - first], used: [start - first, end - start] }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{random, rng, values};

    #[test]
    fn every_pixel_is_covered_once_and_inside() {
        for length in (1..700).step_by(3) {
            for (tile, margin) in [(128, 32), (200, 32), (512, 40)] {
                let mut next = 0;
                for span in spans(length, tile, margin) {
                    assert_eq!(span.seen[0] + span.used[0], next);
                    assert!(span.used[0] + span.used[1] <= span.seen[1] && span.seen[0] + span.seen[1] <= length);
                    assert!(span.seen[1] <= tile && span.seen[0].is_multiple_of(ALIGNED));
                    next += span.used[1];
                }
                assert_eq!(next, length);
            }
        }
    }

    /// A gradient that needs no neighbours is the same in squares.
    #[test]
    fn squares_join_to_the_whole() {
        let image = random(&mut rng(1), (2, 3, 137, 250));
        let by = |part: &Tensor| Ok((part.sqr()? * 2.0)?);
        let whole = values(&by(&image).unwrap());
        assert_eq!(values(&tiled(&image, Some(128), by).unwrap()), whole);
        assert_eq!(values(&tiled(&image, Some(256), by).unwrap()), whole);
        assert_eq!(values(&tiled(&image, None, by).unwrap()), whole);
    }
}
