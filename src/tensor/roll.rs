//! Shifting planes so that what leaves at one edge comes back at the other.

use candle_core::Tensor;
use rayon::prelude::*;

use super::planes::{compute, plane_size};
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// Rows that one task copies at least: less would not be worth sending it to another thread.
const ROWS: usize = 64;

/// `[..., H, W]` shifted by `[down, right]` with wrapping, as `torch.roll(x, [down, right], [-2, -1])`; negative
/// numbers shift up and left.
///
/// # Errors
/// `x` has fewer than two axes or is empty.
pub fn roll(x: &Tensor, [down, right]: [i64; 2]) -> Result<Tensor> {
    let size @ (height, width) = plane_size(x, "roll")?;
    let wrap = |shift: i64, size: usize| i128::from(shift).rem_euclid(size as i128) as usize;
    let (down, right) = (wrap(down, height), wrap(right, width));
    let y = rolled(x, size, down, right)?;
    with_backward(x, y, move |gradient| rolled(gradient, size, (height - down) % height, (width - right) % width))
}

/// The shifts are at least 0 and below the sizes.
fn rolled(x: &Tensor, (height, width): (usize, usize), down: usize, right: usize) -> Result<Tensor> {
    compute(x, x.dims().to_vec(), |from, to| {
        to.par_chunks_mut(width).with_min_len(ROWS).enumerate().for_each(|(row, to)| {
            let (plane, y) = (row / height, row % height);
            let source = plane * height + (y + height - down) % height;
            let (left, wrapped) = from[source * width..(source + 1) * width].split_at(width - right);
            let (start, rest) = to.split_at_mut(right);
            start.copy_from_slice(wrapped);
            rest.copy_from_slice(left);
        });
        Ok(())
    })
}

/// A tensor whose last two dimensions are shifted: what leaves at one edge comes back at the other.
///
/// ```rhai
/// tensor([[1, 2, 3], [4, 5, 6]]).roll([0, 1])
/// ```
#[function(name = "roll")]
fn roll_word(
    /// The tensor, [..., H, W].
    tensor: TensorValue,
    /// How far, [down, right]; negative numbers shift up and left.
    shift: Vec<i64>,
) -> Result<TensorValue> {
    let &[down, right] = shift.as_slice() else {
        let message = format!("roll: `shift` must hold 2 numbers, not {}", shift.len());
        return Err(Error::new(Kind::Argument, message).with_hint("it is [down, right]").at_argument("shift"));
    };
    Ok(roll(tensor.inner(), [down, right])?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_linear, pick, random, rng, stacked, values};

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(72);
        for _ in 0..300 {
            let (height, width) = (pick(&mut rng, 1..=9), pick(&mut rng, 1..=9));
            let shift = [pick(&mut rng, 0..=40) as i64 - 20, pick(&mut rng, 0..=40) as i64 - 20];
            let mut entries = vec![];
            for (y, x) in (0..height as i64).flat_map(|y| (0..width as i64).map(move |x| (y, x))) {
                let (to_y, to_x) = ((y + shift[0]).rem_euclid(height as i64), (x + shift[1]).rem_euclid(width as i64));
                entries.push(((to_y * width as i64 + to_x) as usize, (y * width as i64 + x) as usize, 1.0));
            }
            let x = stacked(&mut rng, &[height, width]);
            let what = format!("{height}×{width} by {shift:?}");
            assert_linear(&mut rng, &x, (2, &[height, width]), &entries, 0.0, &what, |x| roll(x, shift));
        }
    }

    #[test]
    fn the_furthest_shifts_wrap_too() {
        let x = random(&mut rng(2), (3, 5));
        let shifted = roll(&x, [i64::MIN, i64::MAX]).unwrap();
        let back = roll(&shifted, [-(i64::MIN % 3), -(i64::MAX % 5)]).unwrap();
        assert_eq!(values(&back), values(&x));
        assert!(roll(&x.flatten_all().unwrap(), [1, 1]).unwrap_err().message().contains("[15]"));
    }
}
