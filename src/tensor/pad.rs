//! More rows and columns around planes.

use candle_core::Tensor;
use rayon::prelude::*;

use super::planes::{compute, plane_size, with_last};
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::{choices, function};

/// What [`pad`] puts around a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Padding {
    /// One value everywhere; 0 is the usual one.
    Constant(f32),
    /// The plane mirrored at its outermost rows and columns, which are not repeated.
    Reflect,
}

/// `[..., H, W]` with `[top, bottom, left, right]` more rows and columns, as `torch.nn.functional.pad(x, [left,
/// right, top, bottom], mode)`.
///
/// # Errors
/// `x` has fewer than two axes or is empty, the result is too large, or [`Padding::Reflect`] with a margin that
/// is not smaller than the side it mirrors.
pub fn pad(x: &Tensor, margins: [usize; 4], padding: Padding) -> Result<Tensor> {
    let (height, width) = plane_size(x, "pad")?;
    let [top, bottom, left, right] = margins;
    if padding == Padding::Reflect {
        check_mirror("height", height, top.max(bottom))?;
        check_mirror("width", width, left.max(right))?;
    }
    let side = |size: usize, before: usize, after: usize| size.saturating_add(before).saturating_add(after);
    let (to_height, to_width) = (side(height, top, bottom), side(width, left, right));
    let shape = with_last(x, 2, &[to_height, to_width], "pad").map_err(|error| error.at_argument("pad"))?;

    let y = compute(x, shape, |from, to| {
        to.par_chunks_mut(to_width).enumerate().for_each(|(row, to)| {
            let (plane, y) = (row / to_height, row % to_height);
            match source(y, top, height, padding) {
                Some(y) => pad_row(&from[(plane * height + y) * width..][..width], left, padding, to),
                None => to.fill(constant(padding)),
            }
        });
        Ok(())
    })?;
    let dims = x.dims().to_vec();
    with_backward(x, y, move |gradient| {
        compute(gradient, dims.clone(), |from, to| {
            let planes = to.par_chunks_mut(height * width).zip(from.par_chunks(to_height * to_width));
            planes.for_each(|(to, from)| {
                for (y, row) in from.chunks_exact(to_width).enumerate() {
                    if let Some(y) = source(y, top, height, padding) {
                        gather_row(row, left, padding, &mut to[y * width..(y + 1) * width]);
                    }
                }
            });
            Ok(())
        })
    })
}

fn check_mirror(name: &str, size: usize, margin: usize) -> Result<()> {
    if margin < size {
        return Ok(());
    }
    let message = format!("pad: a margin of {margin} cannot mirror a tensor whose {name} is {size}");
    let hint = format!("at most {} there, or mode=\"constant\"", size - 1);
    Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("pad"))
}

/// Where along an axis of `size` a padded place has its value from; none if from outside.
fn source(place: usize, before: usize, size: usize, padding: Padding) -> Option<usize> {
    match (place.checked_sub(before), padding) {
        (Some(inside), _) if inside < size => Some(inside),
        (_, Padding::Constant(_)) => None,
        (None, Padding::Reflect) => Some(before - place),
        (Some(inside), Padding::Reflect) => Some(2 * (size - 1) - inside),
    }
}

fn constant(padding: Padding) -> f32 {
    match padding {
        Padding::Constant(value) => value,
        Padding::Reflect => 0.0,
    }
}

fn pad_row(from: &[f32], left: usize, padding: Padding, to: &mut [f32]) {
    let (start, rest) = to.split_at_mut(left);
    let (middle, end) = rest.split_at_mut(from.len());
    middle.copy_from_slice(from);
    match padding {
        Padding::Constant(value) => {
            start.fill(value);
            end.fill(value);
        }
        Padding::Reflect => {
            // from the edge outwards
            let after_the_edge = from.iter().skip(1);
            start.iter_mut().rev().zip(after_the_edge).for_each(|(to, from)| *to = *from);
            let before_the_edge = from.iter().rev().skip(1);
            end.iter_mut().zip(before_the_edge).for_each(|(to, from)| *to = *from);
        }
    }
}

/// The transpose of [`pad_row`]: adds each value of a padded row to the one it was made from.
fn gather_row(from: &[f32], left: usize, padding: Padding, to: &mut [f32]) {
    let (start, rest) = from.split_at(left);
    let (middle, end) = rest.split_at(to.len());
    to.iter_mut().zip(middle).for_each(|(to, from)| *to += from);
    if padding == Padding::Reflect {
        to.iter_mut().skip(1).zip(start.iter().rev()).for_each(|(to, from)| *to += from);
        to.iter_mut().rev().skip(1).zip(end).for_each(|(to, from)| *to += from);
    }
}

/// The name of a way to pad.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PadMode {
    Constant,
    Reflect,
}

choices!(PadMode { "constant" => Constant, "reflect" => Reflect });

/// A tensor with more rows and columns around its last two dimensions. Differentiable.
///
/// ```rhai
/// tensor([[1, 2, 3], [4, 5, 6]]).pad([0, 2, 1, 1]);
/// pad(tensor([[1, 2, 3], [4, 5, 6]]), [2, 2], mode="reflect")
/// ```
#[function(name = "pad")]
fn pad_function(
    /// The tensor, [..., H, W].
    tensor: TensorValue,
    /// How many columns and rows, [left, right, top, bottom], or [left, right] alone; each at least 0, and with
    /// `"reflect"` less than the side that is mirrored.
    pad: Vec<usize>,
    /// What is put there: `"constant"` is one value, `"reflect"` mirrors the tensor at its outermost rows and
    /// columns.
    #[default("constant")]
    mode: PadMode,
    /// The value of `"constant"`; 0 if not given.
    #[default]
    value: Option<f64>,
) -> Result<TensorValue> {
    let (left, right, top, bottom) = match *pad.as_slice() {
        [left, right] => (left, right, 0, 0),
        [left, right, top, bottom] => (left, right, top, bottom),
        _ => {
            let message = format!("pad: `pad` must hold 2 or 4 numbers, not {}", pad.len());
            let hint = "it is [left, right] or [left, right, top, bottom]";
            return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("pad"));
        }
    };
    let padding = match (mode, value) {
        (PadMode::Constant, value) => Padding::Constant(value.unwrap_or(0.0) as f32),
        (PadMode::Reflect, None) => Padding::Reflect,
        (PadMode::Reflect, Some(_)) => {
            let message = "pad: the mode \"reflect\" takes no value";
            return Err(Error::new(Kind::Argument, message).with_hint("mode=\"constant\" does").at_argument("value"));
        }
    };
    Ok(self::pad(tensor.inner(), [top, bottom, left, right], padding)?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{Entry, assert_linear, pick, random, rng, stacked};

    /// The definition: the plane is repeated endlessly, every other time mirrored, or stands in emptiness.
    fn slow((height, width): (usize, usize), margins: [usize; 4], reflect: bool) -> Vec<Entry> {
        let [top, bottom, left, right] = margins;
        let to_width = left + width + right;
        let source = |place: usize, before: usize, size: usize| -> Option<usize> {
            let place = place as i64 - before as i64;
            let period = 2 * (size as i64 - 1);
            let mirrored = if period == 0 { 0 } else { place.rem_euclid(period) };
            let place = if reflect { mirrored.min(period - mirrored) } else { place };
            usize::try_from(place).ok().filter(|place| *place < size)
        };
        let mut entries = vec![];
        for (y, x) in (0..top + height + bottom).flat_map(|y| (0..to_width).map(move |x| (y, x))) {
            if let (Some(v), Some(u)) = (source(y, top, height), source(x, left, width)) {
                entries.push((y * to_width + x, v * width + u, 1.0));
            }
        }
        entries
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(73);
        for reflect in [false, true] {
            for _ in 0..300 {
                let size @ (height, width) = (pick(&mut rng, 1..=8), pick(&mut rng, 1..=8));
                let most = |side: usize| if reflect { side - 1 } else { 9 };
                let vertical = [pick(&mut rng, 0..=most(height)), pick(&mut rng, 0..=most(height))];
                let horizontal = [pick(&mut rng, 0..=most(width)), pick(&mut rng, 0..=most(width))];
                let margins = [vertical[0], vertical[1], horizontal[0], horizontal[1]];
                let padding = if reflect { Padding::Reflect } else { Padding::Constant(-0.75) };

                let entries = slow(size, margins, reflect);
                let to = [height + vertical[0] + vertical[1], width + horizontal[0] + horizontal[1]];
                let x = stacked(&mut rng, &[height, width]);
                let what = format!("{padding:?} {size:?} by {margins:?}");
                // what has no source holds the constant
                let outside = f64::from(constant(padding));
                assert_linear(&mut rng, &x, (2, &to), &entries, outside, &what, |x| pad(x, margins, padding));
            }
        }
    }

    #[test]
    fn margins_that_cannot_be_mirrored_are_refused() {
        let x = random(&mut rng(3), (2, 3, 5));
        let error = pad(&x, [3, 0, 0, 0], Padding::Reflect).unwrap_err();
        assert_eq!(error.message(), "pad: a margin of 3 cannot mirror a tensor whose height is 3");
        assert!(error.hint().unwrap().contains("at most 2"));
        assert!(pad(&x, [0, 0, 1, 5], Padding::Reflect).unwrap_err().message().contains("width is 5"));
        assert_eq!(pad(&x, [2, 2, 4, 4], Padding::Reflect).unwrap().dims(), [2, 7, 13]);
        assert!(pad(&x, [usize::MAX; 4], Padding::Constant(0.0)).unwrap_err().message().contains("too large"));
    }
}
