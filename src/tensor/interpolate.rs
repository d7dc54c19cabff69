//! Other sizes of a tensor's planes: bilinear, bicubic and nearest, as PyTorch's `interpolate` does them.

use candle_core::Tensor;

use super::TensorValue;
use super::banded::{Banded, separable};
use super::planes::{plane_size, with_last};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, choices, function};

/// How [`interpolate`] finds values between the given ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterpolateMode {
    /// The value whose cell holds the place, rounded down.
    #[default]
    Nearest,
    /// Straight lines between neighbours: never leaves their range.
    Bilinear,
    /// Cubic convolution (Keys, 1981), a = −0.75, or −0.5 when antialiased: sharp, and may overshoot at edges.
    Bicubic,
}

choices!(InterpolateMode { "nearest" => Nearest, "bilinear" => Bilinear, "bicubic" => Bicubic });

/// `[..., H, W]` to `[..., height, width]`, as `torch.nn.functional.interpolate(x, (height, width), mode=mode,
/// align_corners=False, antialias=antialias)`: pixels are squares, and their middles keep their places.
///
/// With `antialias`, a filter that shrinks is stretched over all the pixels that become one, as in Pillow; without
/// it, it looks at two (bilinear) or four (bicubic) pixels a side whatever the scale.
///
/// # Errors
/// `x` has fewer than two axes or is empty, a size is 0 or the result too large, or `antialias` with
/// [`InterpolateMode::Nearest`].
pub fn interpolate(x: &Tensor, [height, width]: [usize; 2], mode: InterpolateMode, antialias: bool) -> Result<Tensor> {
    let (from_height, from_width) = plane_size(x, "interpolate")?;
    for (name, size) in [("height", height), ("width", width)] {
        if size == 0 {
            let message = format!("interpolate: the {name} must be at least 1, not 0");
            return Err(Error::new(Kind::Argument, message).at_argument("size"));
        }
    }
    if antialias && mode == InterpolateMode::Nearest {
        let message = "interpolate: the mode \"nearest\" cannot be antialiased";
        let hint = "mode=\"bilinear\" and mode=\"bicubic\" can";
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("antialias"));
    }
    // before the matrices are made: a side may be absurd
    with_last(x, 2, &[height, width], "interpolate").map_err(|error| error.at_argument("size"))?;
    let vertical = matrix(from_height, height, mode, antialias);
    let horizontal = matrix(from_width, width, mode, antialias);
    separable(x, vertical, horizontal, "interpolate")
}

/// What each of `to` values along an axis takes from the `from` there are.
fn matrix(from: usize, to: usize, mode: InterpolateMode, antialias: bool) -> Banded {
    let (support, kernel): (f64, fn(f64) -> f64) = match (mode, antialias) {
        (InterpolateMode::Nearest, _) => return nearest(from, to),
        (InterpolateMode::Bilinear, _) => (1.0, |x| (1.0 - x.abs()).max(0.0)),
        (InterpolateMode::Bicubic, false) => (2.0, |x| cubic(x, -0.75)),
        (InterpolateMode::Bicubic, true) => (2.0, |x| cubic(x, -0.5)),
    };
    let scale = from as f64 / to as f64;
    let stretch = if antialias { scale.max(1.0) } else { 1.0 };
    let last = from as isize - 1;
    let mut matrix = Banded::new(from);
    for place in 0..to {
        // in pixels of the input, whose middles are whole numbers
        let centre = (place as f64 + 0.5) * scale - 0.5;
        let first = (centre - support * stretch).ceil() as isize;
        let end = (centre + support * stretch).floor() as isize;
        let weight = |tap: isize| kernel((tap as f64 - centre) / stretch);
        if antialias {
            // what lies outside does not count
            let taps = first.max(0)..=end.min(last);
            let sum: f64 = taps.clone().map(weight).sum();
            matrix.push(taps.map(|tap| (tap as usize, weight(tap) / sum)));
        } else {
            // the border goes on outside
            matrix.push((first..=end).map(|tap| (tap.clamp(0, last) as usize, weight(tap))));
        }
    }
    matrix
}

/// In single precision, as PyTorch: where a place falls on a border, rounding decides.
fn nearest(from: usize, to: usize) -> Banded {
    let scale = from as f32 / to as f32;
    let mut matrix = Banded::new(from);
    for place in 0..to {
        let source = ((place as f32 * scale).floor() as usize).min(from - 1);
        matrix.push(std::iter::once((source, 1.0)));
    }
    matrix
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    } else {
        0.0
    }
}

/// Height and width as an argument: one integer for both, or a list of the two.
struct Size([usize; 2]);

impl FromValue for Size {
    const EXPECTED: &'static str = "an integer or a list [height, width]";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_int() {
            return usize::from_value(value).map(|side| Self([side, side]));
        }
        match *Vec::<usize>::from_value(value)?.as_slice() {
            [height, width] => Ok(Self([height, width])),
            ref sizes => Err(Reject::Because(
                format!("must hold 2 sizes, not {}", sizes.len()),
                Some("it is [height, width]".into()),
            )),
        }
    }
}

/// A tensor in another size: its last two dimensions are the height and the width.
///
/// The numbers are those of PyTorch's `interpolate` with `align_corners=False`. Differentiable.
///
/// ```rhai
/// tensor([[0, 1], [2, 3]]).interpolate([3, 5], mode="bilinear");
/// interpolate(randn([3, 8, 8], seed=1), 2, mode="bicubic", antialias=true)
/// ```
#[function(name = "interpolate")]
fn interpolate_function(
    /// The tensor, [..., H, W].
    tensor: TensorValue,
    /// The new size, [height, width], each at least 1; one integer for both.
    size: Size,
    /// How values between the given ones are found: `"nearest"` repeats them, `"bilinear"` and `"bicubic"` blend 2
    /// or 4 of them in each direction.
    #[default("nearest")]
    mode: InterpolateMode,
    /// Whether a filter that shrinks looks at all the numbers that become one; not for `"nearest"`.
    #[default(false)]
    antialias: bool,
) -> Result<TensorValue> {
    Ok(interpolate(tensor.inner(), size.0, mode, antialias)?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::tensor::testing::{Entry, assert_linear, pick, random, rng, stacked};

    /// The definition along one axis: the share of input pixel `j` in output pixel `i`.
    fn share(i: usize, j: usize, from: usize, to: usize, filter: InterpolateMode, antialias: bool) -> f64 {
        let scale = from as f64 / to as f64;
        let source = (i as f64 + 0.5) * scale - 0.5;
        if filter == InterpolateMode::Nearest {
            let source = (i as f32 * (from as f32 / to as f32)) as usize;
            return f64::from(u8::from(source.min(from - 1) == j));
        }
        let kernel = |x: f64| {
            let (x, a) = (x.abs(), if antialias { -0.5 } else { -0.75 });
            match (filter, x) {
                (InterpolateMode::Bilinear, _) => (1.0 - x).max(0.0),
                (_, 0.0..1.0) => (a + 2.0) * x.powi(3) - (a + 3.0) * x.powi(2) + 1.0,
                (_, 1.0..2.0) => a * x.powi(3) - 5.0 * a * x.powi(2) + 8.0 * a * x - 4.0 * a,
                _ => 0.0,
            }
        };
        if antialias {
            let weight = |j: usize| kernel((j as f64 - source) / scale.max(1.0));
            return weight(j) / (0..from).map(weight).sum::<f64>();
        }
        // every pixel of an endless image whose border goes on that is this one inside
        (-4..from as isize + 4)
            .filter(|tap| (*tap).clamp(0, from as isize - 1) as usize == j)
            .map(|tap| kernel(tap as f64 - source))
            .sum()
    }

    fn slow(from: (usize, usize), to: (usize, usize), filter: InterpolateMode, antialias: bool) -> Vec<Entry> {
        let mut entries = vec![];
        for (y, x) in (0..to.0).flat_map(|y| (0..to.1).map(move |x| (y, x))) {
            for (v, u) in (0..from.0).flat_map(|v| (0..from.1).map(move |u| (v, u))) {
                let weight =
                    share(y, v, from.0, to.0, filter, antialias) * share(x, u, from.1, to.1, filter, antialias);
                entries.push((y * to.1 + x, v * from.1 + u, weight));
            }
        }
        entries
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        use InterpolateMode::{Bicubic, Bilinear, Nearest};
        let mut rng = rng(71);
        for (filter, antialias) in
            [(Bilinear, false), (Bilinear, true), (Bicubic, false), (Bicubic, true), (Nearest, false)]
        {
            for _ in 0..250 {
                let from = (pick(&mut rng, 1..=13), pick(&mut rng, 1..=21));
                let to = (pick(&mut rng, 1..=13), pick(&mut rng, 1..=35));
                let x = stacked(&mut rng, &[from.0, from.1]);
                let what = format!("{filter:?} antialias {antialias} {from:?} to {to:?}");
                assert_linear(&mut rng, &x, (2, &[to.0, to.1]), &slow(from, to, filter, antialias), 0.0, &what, |x| {
                    interpolate(x, [to.0, to.1], filter, antialias)
                });
            }
        }
    }

    #[test]
    fn a_flat_image_stays_flat_at_any_size() {
        let x = (Tensor::ones((1, 37, 53), DType::F32, &Device::Cpu).unwrap() * 0.25).unwrap();
        for antialias in [false, true] {
            for filter in [InterpolateMode::Bilinear, InterpolateMode::Bicubic] {
                let y = interpolate(&x, [7, 400], filter, antialias).unwrap();
                assert!(crate::tensor::testing::values(&y).iter().all(|v| (v - 0.25).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let x = random(&mut rng(1), (2, 3, 4));
        let run = |height, width| interpolate(&x, [height, width], InterpolateMode::Bilinear, false).unwrap_err();
        assert_eq!(run(0, 3).argument(), Some("size"));
        assert_eq!(run(3, 0).argument(), Some("size"));
        assert!(run(1 << 40, 1 << 40).message().contains("too large"));
        let error = interpolate(&x, [2, 2], InterpolateMode::Nearest, true).unwrap_err();
        assert_eq!(error.argument(), Some("antialias"));
        let line = random(&mut rng(1), 4);
        let error = interpolate(&line, [2, 2], InterpolateMode::Bilinear, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "interpolate: a tensor of shape [4] has no height and width (it takes [..., height, width])"
        );
        let empty = Tensor::zeros((2, 0, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(interpolate(&empty, [2, 2], InterpolateMode::Bilinear, false).is_err());
        let none = Tensor::zeros((0, 2, 3), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(interpolate(&none, [4, 5], InterpolateMode::Bilinear, false).unwrap().dims(), [0, 4, 5]);
    }
}
