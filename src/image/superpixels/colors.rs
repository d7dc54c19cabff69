//! What superpixels look at: the colours of each pixel in double precision, in CIELAB if wanted, and blurred.

use crate::image::{Image, WHITE};

/// A colour, whatever its three parts are.
pub type Parts = [f64; 3];

/// sRGB, made linear, to CIE XYZ (D65).
const XYZ: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
/// The XYZ of white under the illuminant D65, for an observer at 2°.
const D65: [f64; 3] = [0.95047, 1.0, 1.08883];

/// The red, green and blue of each pixel, row by row; a cut-out on white.
pub fn pixels(image: &Image) -> Vec<Parts> {
    let flat = image.flatten(WHITE);
    let [red, green, blue] = flat.channels();
    let colours = red.iter().zip(green).zip(blue);
    colours.map(|((r, g), b)| [f64::from(*r), f64::from(*g), f64::from(*b)]).collect()
}

/// The same colours, moved and scaled such that their least part is 0 and their greatest 1; a plain black image stays.
pub fn stretched(mut colors: Vec<Parts>) -> Vec<Parts> {
    let all = || colors.iter().flatten();
    let (least, greatest) =
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let range = if greatest > least { greatest - least } else { 1.0 };
    colors.iter_mut().flatten().for_each(|value| *value = (*value - least) / range);
    colors
}

/// A colour in CIELAB: lightness from 0 to 100, and two parts for its hue.
pub fn lab(rgb: &Parts) -> Parts {
    let linear = rgb.map(|c| if c > 0.04045 { ((c + 0.055) / 1.055).powf(2.4) } else { c / 12.92 });
    let mut curved = [0.0; 3];
    for ((part, row), white) in curved.iter_mut().zip(XYZ).zip(D65) {
        let value: f64 = row.iter().zip(linear).map(|(weight, c)| weight * c).sum::<f64>() / white;
        *part = if value > 0.008856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 };
    }
    let [x, y, z] = curved;
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The colours blurred with a Gaussian that reaches 4 σ far; the image is mirrored at its edges, edge pixels included, as
/// SciPy's `reflect`.
pub fn blurred(colors: Vec<Parts>, width: usize, sigma: f64) -> Vec<Parts> {
    let radius = (4.0 * sigma + 0.5) as usize;
    if sigma <= 0.0 || radius == 0 {
        return colors;
    }
    let weight = |tap: usize| (-0.5 * ((tap as f64 - radius as f64) / sigma).powi(2)).exp();
    let sum: f64 = (0..=2 * radius).map(weight).sum();
    let kernel: Vec<f64> = (0..=2 * radius).map(|tap| weight(tap) / sum).collect();
    let height = colors.len() / width.max(1);
    let down = along(&colors, &kernel, height, |place, other| other * width + place % width, |place| place / width);
    along(&down, &kernel, width, |place, other| place - place % width + other, |place| place % width)
}

/// Blurs along one axis of `length` places: `at(place, other)` is the pixel in line with `place` at `other`, and
/// `position(place)` where `place` itself stands on the axis.
fn along(
    colors: &[Parts],
    kernel: &[f64],
    length: usize,
    at: impl Fn(usize, usize) -> usize,
    position: impl Fn(usize) -> usize,
) -> Vec<Parts> {
    let radius = kernel.len() / 2;
    let period = 2 * length as i64;
    let mirrored = |place: i64| {
        let place = place.rem_euclid(period);
        place.min(period - 1 - place) as usize
    };
    (0..colors.len())
        .map(|place| {
            let mut sum = [0.0; 3];
            for (tap, weight) in kernel.iter().enumerate() {
                let color = colors[at(place, mirrored(position(place) as i64 + tap as i64 - radius as i64))];
                sum.iter_mut().zip(color).for_each(|(sum, part)| *sum += weight * part);
            }
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_is_light_and_has_no_hue() {
        let [lightness, a, b] = lab(&[1.0; 3]);
        assert!((lightness - 100.0).abs() < 1e-3 && a.abs() < 1e-2 && b.abs() < 2e-2, "{lightness} {a} {b}");
        assert_eq!(lab(&[0.0; 3])[0].round(), 0.0);
        assert!(lab(&[1.0, 0.0, 0.0])[1] > 70.0, "red");
        assert!(lab(&[0.0, 0.0, 1.0])[2] < -90.0, "blue");
    }

    #[test]
    fn blurring_keeps_the_sum_and_spreads_a_point() {
        let mut colors = vec![[0.0; 3]; 9 * 7];
        colors[3 * 9 + 4] = [1.0, 2.0, 3.0];
        let blurred = blurred(colors, 9, 0.8);
        for (channel, wanted) in [1.0, 2.0, 3.0].into_iter().enumerate() {
            let sum: f64 = blurred.iter().map(|color| color[channel]).sum();
            assert!((sum - wanted).abs() < 1e-12);
        }
        assert!((blurred[3 * 9 + 5][0] - blurred[2 * 9 + 4][0]).abs() < 1e-15, "as far across as down");
        assert!(blurred[3 * 9 + 4][0] < 0.3 && blurred[3 * 9 + 5][0] > 0.05);
    }
}
