//! A round patch on an image, turned and scaled: a linear map of the patch's pixels, and its adjoint.

/// Where a patch lies on an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Where its centre is, in pixels of the image from the left.
    pub x: f32,
    /// The same from the top.
    pub y: f32,
    /// Its diameter in pixels of the image.
    pub diameter: f32,
    /// By how much it is turned, in degrees, clockwise.
    pub angle: f32,
}

/// A part of one pixel of an image: a place of the patch, and how much of it.
type Sample = (usize, f32);

impl Placement {
    /// Calls `f` for each pixel of a `width` × `height` image that lies in the patch of `side` × `side` pixels, with
    /// what it is made of. Where the patch is shrunk, a pixel is the mean of several places in it.
    fn each_pixel(&self, side: usize, (width, height): (usize, usize), mut f: impl FnMut(usize, &[Sample])) {
        let (radius, middle) = (0.5 * self.diameter, 0.5 * side as f32);
        let zoom = side as f32 / self.diameter;
        // places along each side of a pixel
        let fine = (zoom.ceil() as usize).max(1);
        let (sin, cos) = self.angle.to_radians().sin_cos();
        let range = |centre: f32, length: usize| {
            let low = (centre - radius - 1.0).max(0.0) as usize;
            low.min(length)..((centre + radius + 1.0).max(0.0) as usize).saturating_add(1).min(length)
        };
        let mut samples: Vec<Sample> = Vec::with_capacity(4 * fine * fine);
        for row in range(self.y, height) {
            for column in range(self.x, width) {
                let (right, down) = (column as f32 + 0.5 - self.x, row as f32 + 0.5 - self.y);
                if right * right + down * down > radius * radius {
                    continue;
                }
                samples.clear();
                let part = 1.0 / (fine * fine) as f32;
                for (i, j) in (0..fine).flat_map(|i| (0..fine).map(move |j| (i, j))) {
                    let within = |place: usize| (place as f32 + 0.5) / fine as f32 - 0.5;
                    let (right, down) = (right + within(j), down + within(i));
                    // turned back, in pixels of the patch
                    let u = (cos * right + sin * down) * zoom + middle - 0.5;
                    let v = (cos * down - sin * right) * zoom + middle - 0.5;
                    bilinear(u, v, side, |place, weight| samples.push((place, weight * part)));
                }
                f(row * width + column, &samples);
            }
        }
    }

    /// Puts a patch, of `3 · side²` values, onto an image of `3 · width · height`.
    pub fn put(&self, patch: &[f32], side: usize, image: &mut [f32], size: (usize, usize)) {
        let area = size.0 * size.1;
        self.each_pixel(side, size, |pixel, samples| {
            for (plane, colours) in image.chunks_exact_mut(area).zip(patch.chunks_exact(side * side)) {
                if let Some(value) = plane.get_mut(pixel) {
                    *value = samples.iter().map(|(place, weight)| weight * colours[*place]).sum();
                }
            }
        });
    }

    /// Adds to the gradient for the patch what comes of that for the image.
    pub fn adjoint(&self, gradient: &[f32], size: (usize, usize), patch: &mut [f32], side: usize) {
        let area = size.0 * size.1;
        self.each_pixel(side, size, |pixel, samples| {
            for (plane, colours) in gradient.chunks_exact(area).zip(patch.chunks_exact_mut(side * side)) {
                if let Some(slope) = plane.get(pixel) {
                    samples.iter().for_each(|(place, weight)| colours[*place] += weight * slope);
                }
            }
        });
    }
}

/// The four places around a point, and their parts; at the edge the nearest.
fn bilinear(u: f32, v: f32, side: usize, mut f: impl FnMut(usize, f32)) {
    let last = side.saturating_sub(1) as f32;
    let (u, v) = (u.clamp(0.0, last), v.clamp(0.0, last));
    let (left, top) = (u.floor(), v.floor());
    let (across, down) = (u - left, v - top);
    let (left, top) = (left as usize, top as usize);
    let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
    f(top * side + left, (1.0 - across) * (1.0 - down));
    f(top * side + right, across * (1.0 - down));
    f(bottom * side + left, (1.0 - across) * down);
    f(bottom * side + right, across * down);
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_adjoint_is_that_of_the_map() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for (side, diameter) in [(9, 20.0), (30, 8.0), (16, 16.0)] {
            let mut drawn = |count: usize| -> Vec<f32> { (0..count).map(|_| random.random::<f32>() - 0.5).collect() };
            let (patch, gradient) = (drawn(3 * side * side), drawn(3 * 24 * 18));
            let at = Placement { x: 13.0, y: 8.5, diameter, angle: 17.0 };
            let mut image = vec![0f32; 3 * 24 * 18];
            at.put(&patch, side, &mut image, (24, 18));
            let mut back = vec![0f32; patch.len()];
            at.adjoint(&gradient, (24, 18), &mut back, side);
            let product = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum() };
            let (there, here) = (product(&image, &gradient), product(&patch, &back));
            assert!((there - here).abs() < 1e-4 && there != 0.0, "{there} {here}");
        }
    }

    #[test]
    fn a_plain_patch_is_a_plain_disc() {
        let mut image = vec![0f32; 3 * 40 * 40];
        Placement { x: 20.0, y: 20.0, diameter: 20.0, angle: 30.0 }.put(&[0.5; 3 * 49], 7, &mut image, (40, 40));
        let covered = image.iter().filter(|value| **value != 0.0).count();
        assert!(image.iter().all(|value| *value == 0.0 || (value - 0.5).abs() < 1e-5));
        assert!((covered as f32 / 3.0 - 314.0).abs() < 12.0, "{covered}");
        // at the corner a part of it is outside
        let mut image = vec![0f32; 3 * 40 * 40];
        Placement { x: 0.0, y: 40.0, diameter: 20.0, angle: 0.0 }.put(&[0.5; 3 * 49], 7, &mut image, (40, 40));
        assert!(image[39 * 40] > 0.4 && image[39] == 0.0);
    }

    /// Turned by a quarter, what is at the top comes to the right.
    #[test]
    fn angles_are_clockwise() {
        let side = 21;
        let mut patch = vec![0f32; 3 * side * side];
        patch[2 * side + 10] = 1.0;
        let mut image = vec![0f32; 3 * side * side];
        Placement { x: 10.5, y: 10.5, diameter: 21.0, angle: 90.0 }.put(&patch, side, &mut image, (side, side));
        assert!(image[10 * side + 18] > 0.99, "{}", image[10 * side + 18]);
    }
}
