//! SLIC: k-means clusters of colour and place, each searched for only around its centre.

use super::colors::{Parts, blurred, lab, pixels, stretched};
use super::{Method, Superpixels};
use crate::error::Result;
use crate::image::Image;
use crate::job::Interrupt;

/// How often centres and clusters are computed from each other.
const ROUNDS: usize = 10;
/// Pieces smaller than this share of the mean size become part of a neighbour.
const LEAST: f64 = 0.5;
/// Pieces are cut at so many times the mean size.
const MOST: f64 = 3.0;

/// What SLIC needs besides the image.
#[derive(Clone, Copy, Debug)]
pub struct Slic {
    /// About how many superpixels.
    pub segments: usize,
    /// How much more place counts than colour, above 0.
    pub compactness: f64,
    /// Standard deviation of the blur before, in pixels.
    pub sigma: f64,
}

/// A cluster: where its centre is, and its mean colour.
#[derive(Clone, Copy, Default)]
struct Cluster {
    y: f64,
    x: f64,
    color: Parts,
}

/// SLIC superpixels (Achanta et al., 2012) in CIELAB, with the details of scikit-image: the image is stretched to the full
/// range first, clusters start on a regular grid, and every superpixel is connected in the end.
///
/// # Errors
/// The work was interrupted.
pub fn slic(image: &Image, options: &Slic, interrupt: &Interrupt) -> Result<Superpixels> {
    let (width, height) = (image.width(), image.height());
    let colors: Vec<Parts> = stretched(pixels(image)).iter().map(lab).collect();
    let mut colors = blurred(colors, width, options.sigma);
    // colours are scaled rather than distances, so that both have the weight that `compactness` gives them
    colors.iter_mut().flatten().for_each(|part| *part *= 1.0 / options.compactness);

    let (rows, columns) = grid(height, width, options.segments);
    let places = (rows.start..height).step_by(rows.step).flat_map(|y| {
        (columns.start..width).step_by(columns.step).map(move |x| Cluster { y: y as f64, x: x as f64, color: [0.0; 3] })
    });
    let mut clusters: Vec<Cluster> = places.collect();
    let step = rows.step.max(columns.step) as f64;
    let (window_rows, window_columns) = grid(height, width, clusters.len());
    let reach = (window_rows.step as f64, window_columns.step as f64);

    let mut nearest = vec![0u32; width * height];
    for _ in 0..ROUNDS {
        interrupt.check()?;
        assign(&mut nearest, &clusters, &colors, (width, height), reach, 1.0 / (step * step));
        update(&mut clusters, &nearest, &colors, width);
    }
    let size = (width * height) as f64 / clusters.len() as f64;
    let marks = connected(&nearest, width, (LEAST * size) as usize, (MOST * size) as usize);
    Ok(Superpixels::new(image, Method::Slic, &marks))
}

/// Regular places along one side.
#[derive(Clone, Copy)]
struct Places {
    start: usize,
    step: usize,
}

/// A grid of about `count` places, rows and columns: as far from each other across as down, unless a side is too short.
fn grid(height: usize, width: usize, count: usize) -> (Places, Places) {
    let area = (height * width) as f64;
    let whole = Places { start: 0, step: 1 };
    if area <= count as f64 {
        return (whole, whole);
    }
    // halves are rounded to even numbers
    let places = |step: f64| Places { start: (step / 2.0) as usize, step: (step.round_ties_even() as usize).max(1) };
    let (shorter, longer) = (height.min(width) as f64, height.max(width) as f64);
    let even = (area / count as f64).sqrt();
    let (short, long) = if even <= shorter { (even, even) } else { (shorter, (longer / count as f64).max(1.0)) };
    if height <= width { (places(short), places(long)) } else { (places(long), places(short)) }
}

/// Gives every pixel to the nearest of the clusters within reach of it: two steps of the grid.
fn assign(
    nearest: &mut [u32],
    clusters: &[Cluster],
    colors: &[Parts],
    (width, height): (usize, usize),
    reach: (f64, f64),
    weight: f64,
) {
    let mut distances = vec![f64::INFINITY; nearest.len()];
    let window = |centre: f64, reach: f64, length: usize| {
        let from = (centre - 2.0 * reach).max(0.0) as usize;
        from..((centre + 2.0 * reach + 1.0).min(length as f64) as usize)
    };
    for (number, cluster) in clusters.iter().enumerate() {
        for y in window(cluster.y, reach.0, height) {
            let down = (cluster.y - y as f64).powi(2);
            for x in window(cluster.x, reach.1, width) {
                let place = y * width + x;
                let color: f64 =
                    colors[place].iter().zip(cluster.color).map(|(part, mean)| (part - mean).powi(2)).sum();
                let distance = (down + (cluster.x - x as f64).powi(2)) * weight + color;
                if distance < distances[place] {
                    distances[place] = distance;
                    nearest[place] = number as u32;
                }
            }
        }
    }
}

/// Moves each cluster to the mean of its pixels; one without pixels stays where it is.
fn update(clusters: &mut [Cluster], nearest: &[u32], colors: &[Parts], width: usize) {
    let mut sums = vec![(Cluster::default(), 0f64); clusters.len()];
    for (place, (number, color)) in nearest.iter().zip(colors).enumerate() {
        let (sum, count) = &mut sums[*number as usize];
        sum.y += (place / width) as f64;
        sum.x += (place % width) as f64;
        sum.color.iter_mut().zip(color).for_each(|(sum, part)| *sum += part);
        *count += 1.0;
    }
    for (cluster, (sum, count)) in clusters.iter_mut().zip(sums) {
        if count > 0.0 {
            *cluster = Cluster { y: sum.y / count, x: sum.x / count, color: sum.color.map(|part| part / count) };
        }
    }
}

/// Connected pieces of the clusters, found from top to bottom: pieces below `least` pixels become part of a neighbour that
/// was found before, and none has more than `most`.
fn connected(clusters: &[u32], width: usize, least: usize, most: usize) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut pieces = vec![NONE; clusters.len()];
    let mut next = 0;
    let mut piece = Vec::new();
    for start in 0..clusters.len() {
        if pieces[start] != NONE {
            continue;
        }
        let mut neighbour = None;
        piece.clear();
        piece.push(start);
        pieces[start] = next;
        let mut visited = 0;
        while visited < piece.len() && piece.len() < most {
            let place = piece[visited];
            let column = place % width;
            let around = [
                (column + 1 < width).then(|| place + 1),
                (column > 0).then(|| place - 1),
                (place + width < clusters.len()).then(|| place + width),
                (place >= width).then(|| place - width),
            ];
            for other in around.into_iter().flatten() {
                if pieces[other] == NONE && clusters[other] == clusters[start] {
                    pieces[other] = next;
                    piece.push(other);
                    if piece.len() >= most {
                        break;
                    }
                } else if pieces[other] != NONE && pieces[other] != next {
                    neighbour = Some(pieces[other]);
                }
            }
            visited += 1;
        }
        match neighbour {
            Some(neighbour) if piece.len() < least => piece.iter().for_each(|place| pieces[*place] = neighbour),
            // the first one has no neighbour that was found before: it becomes part of the next
            None if piece.len() < least => {}
            _ => next += 1,
        }
    }
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;

    #[test]
    fn every_superpixel_is_connected_and_not_tiny() {
        let image = photo("coffee").unwrap().resize(150, 100).unwrap();
        let options = Slic { segments: 40, compactness: 10.0, sigma: 0.0 };
        let found = slic(&image, &options, &Interrupt::never()).unwrap();
        assert!((20..=60).contains(&found.count()), "{}", found.count());
        let labels = found.labels();
        for pixels in found.pixels() {
            // as many pixels are reached from the first one as there are
            let mut reached = vec![pixels[0] as usize];
            let mut seen = vec![false; labels.len()];
            seen[reached[0]] = true;
            let mut at = 0;
            while let Some(&place) = reached.get(at) {
                at += 1;
                let neighbours = [
                    (place % 150 > 0).then(|| place - 1),
                    (place % 150 < 149).then(|| place + 1),
                    place.checked_sub(150),
                    (place + 150 < labels.len()).then(|| place + 150),
                ];
                for other in neighbours.into_iter().flatten() {
                    if !seen[other] && labels[other] == labels[place] {
                        seen[other] = true;
                        reached.push(other);
                    }
                }
            }
            assert_eq!(reached.len(), pixels.len());
            assert!(pixels.len() > 20, "{}", pixels.len());
        }
    }

    #[test]
    fn any_size_and_number_is_taken() {
        for (width, height, segments) in [(1, 1, 50), (1, 40, 7), (300, 2, 50), (5, 5, 10_000), (64, 48, 1)] {
            let image = crate::image::noise(width, height, 1).unwrap();
            let options = Slic { segments, compactness: 10.0, sigma: 1.0 };
            let found = slic(&image, &options, &Interrupt::never()).unwrap();
            assert_eq!(found.labels().len(), width * height);
            assert!(found.count() >= 1 && found.labels().iter().all(|label| (*label as usize) < found.count()));
            assert!(found.pixels().iter().all(|pixels| !pixels.is_empty()));
        }
    }
}
