//! Regions after Felzenszwalb and Huttenlocher: the edges between pixels are gone through from the weakest to the strongest.

use super::colors::{Parts, blurred, pixels};
use super::{Method, Superpixels};
use crate::error::Result;
use crate::image::Image;
use crate::job::Interrupt;

/// What it needs besides the image.
#[derive(Clone, Copy, Debug)]
pub struct Felzenszwalb {
    /// The larger, the larger the regions: a region of n pixels may differ by `scale` / 255 / n more than it varies inside.
    pub scale: f64,
    /// Standard deviation of the blur before, in pixels.
    pub sigma: f64,
    /// Smaller regions are joined with a neighbour.
    pub min_size: usize,
}

/// Regions of an image (Felzenszwalb and Huttenlocher, 2004), with the details of scikit-image: eight neighbours, Euclidean
/// distances of colours from 0 to 1, and `scale` divided by 255.
///
/// # Errors
/// The work was interrupted.
pub fn felzenszwalb(image: &Image, options: &Felzenszwalb, interrupt: &Interrupt) -> Result<Superpixels> {
    let marks = regions(pixels(image), image.width(), options, interrupt)?;
    Ok(Superpixels::new(image, Method::Felzenszwalb, &marks))
}

/// The same for colours of any range.
fn regions(colors: Vec<Parts>, width: usize, options: &Felzenszwalb, interrupt: &Interrupt) -> Result<Vec<u32>> {
    let scale = options.scale / 255.0;
    let colors = blurred(colors, width, options.sigma);
    interrupt.check()?;
    let edges = edges(&colors, width);
    interrupt.check()?;
    let mut forest = Forest::new(colors.len());
    // what varies inside each region, kept at its root
    let mut inside = vec![0f64; colors.len()];
    for edge in &edges {
        let (one, other) = (forest.root(edge.one), forest.root(edge.other));
        if one == other {
            continue;
        }
        let limit = |root: u32| inside[root as usize] + scale / f64::from(forest.sizes[root as usize]);
        if edge.weight < limit(one).min(limit(other)) {
            let root = forest.join(one, other);
            inside[root as usize] = edge.weight;
        }
    }
    interrupt.check()?;
    for edge in &edges {
        let (one, other) = (forest.root(edge.one), forest.root(edge.other));
        let small = |root: u32| (forest.sizes[root as usize] as usize) < options.min_size;
        if one != other && (small(one) || small(other)) {
            forest.join(one, other);
        }
    }
    Ok((0..colors.len() as u32).map(|place| forest.root(place)).collect())
}

/// How much two neighbouring pixels differ.
struct Edge {
    weight: f64,
    one: u32,
    other: u32,
}

/// The edges between all neighbours, the weakest first.
fn edges(colors: &[Parts], width: usize) -> Vec<Edge> {
    let height = colors.len() / width.max(1);
    let mut edges = Vec::with_capacity(4 * colors.len());
    // right, down, down right and up right, as far as there are pixels
    for (down, right, up) in [(0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1)] {
        for y in up..height.saturating_sub(down) {
            for x in 0..width - right.min(width) {
                let (one, other) = (y * width + x, (y + down - up) * width + x + right);
                let square: f64 = colors[one].iter().zip(colors[other]).map(|(a, b)| (a - b).powi(2)).sum();
                edges.push(Edge { weight: square.sqrt(), one: one as u32, other: other as u32 });
            }
        }
    }
    edges.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    edges
}

/// Sets that are joined; the root of each is its first pixel.
struct Forest {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Forest {
    fn new(count: usize) -> Self {
        Self { parents: (0..count as u32).collect(), sizes: vec![1; count] }
    }

    fn root(&mut self, mut place: u32) -> u32 {
        while self.parents[place as usize] != place {
            // the way to the root is halved as it is gone
            let above = self.parents[self.parents[place as usize] as usize];
            self.parents[place as usize] = above;
            place = above;
        }
        place
    }

    /// Joins the sets of two roots, and returns the root of both.
    fn join(&mut self, one: u32, other: u32) -> u32 {
        let (root, child) = (one.min(other), one.max(other));
        self.parents[child as usize] = root;
        self.sizes[root as usize] += self.sizes[child as usize];
        root
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn two_plain_halves_are_two_regions() {
        let planes: Vec<f32> = (0..3 * 20 * 10).map(|i| if i % 20 < 9 { 0.2 } else { 0.8 }).collect();
        let image = Image::from_planes(20, 10, planes, None).unwrap();
        let options = Felzenszwalb { scale: 100.0, sigma: 0.0, min_size: 5 };
        let found = felzenszwalb(&image, &options, &Interrupt::never()).unwrap();
        assert_eq!(found.count(), 2);
        let labels = found.labels();
        assert!((0..200).all(|place| (labels[place] == labels[0]) == (place % 20 < 9)));
        // joined if the least size asks for it
        let options = Felzenszwalb { min_size: 100, ..options };
        assert_eq!(felzenszwalb(&image, &options, &Interrupt::never()).unwrap().count(), 1);
    }

    #[test]
    fn any_size_is_taken() {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2)] {
            let image = crate::image::noise(width, height, 1).unwrap();
            let options = Felzenszwalb { scale: 1.0, sigma: 0.8, min_size: 1 };
            let found = felzenszwalb(&image, &options, &Interrupt::never()).unwrap();
            assert_eq!(found.labels().len(), width * height);
        }
    }
}
