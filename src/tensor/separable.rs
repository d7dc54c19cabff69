//! Linear maps of planes that work along rows and columns alike, as values: with their adjoint, off the tape.

use candle_core::Tensor;

use super::banded::{Banded, separable};
use crate::error::{Error, Kind, Result};

/// One linear map along the columns of planes `[..., H, W]` and one along their rows, and the transposes of both.
#[derive(Clone, Debug)]
pub struct Separable {
    /// Height and width of the planes before and after.
    from: [usize; 2],
    to: [usize; 2],
    /// Along columns and along rows.
    there: [Banded; 2],
    back: [Banded; 2],
}

impl Separable {
    /// From planes of `from` [height, width] to planes of `to`. `row(size, place)` says what the number at a place
    /// takes from an axis that has `size` numbers: pairs of a place below `size` and a weight; repeated places add up.
    ///
    /// # Errors
    /// A size is 0, or a place lies outside.
    pub fn new(from: [usize; 2], to: [usize; 2], row: impl Fn(usize, usize) -> Vec<(usize, f64)>) -> Result<Self> {
        if from.contains(&0) || to.contains(&0) {
            let message = format!("planes of {}×{} cannot become planes of {}×{}", from[0], from[1], to[0], to[1]);
            return Err(Error::new(Kind::Tensor, message));
        }
        let (down, up) = matrices(from[0], to[0], &row)?;
        let (right, left) = matrices(from[1], to[1], &row)?;
        Ok(Self { from, to, there: [down, right], back: [up, left] })
    }

    /// The map of each plane, off the tape.
    ///
    /// # Errors
    /// The planes have another size.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        check(x, self.from)?;
        let [down, right] = self.there.clone();
        separable(&x.detach(), down, right, "separable")
    }

    /// The adjoint: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩.
    ///
    /// # Errors
    /// The planes have another size than those that [`apply`](Self::apply) makes.
    pub fn adjoint(&self, y: &Tensor) -> Result<Tensor> {
        check(y, self.to)?;
        let [up, left] = self.back.clone();
        separable(&y.detach(), up, left, "separable")
    }
}

fn check(x: &Tensor, size: [usize; 2]) -> Result<()> {
    if x.dims().ends_with(&size) {
        return Ok(());
    }
    let message = format!("a map of planes of {}×{} got a tensor of shape {:?}", size[0], size[1], x.dims());
    Err(Error::new(Kind::Tensor, message))
}

/// The matrix whose rows these are, and its transpose.
fn matrices(from: usize, to: usize, row: impl Fn(usize, usize) -> Vec<(usize, f64)>) -> Result<(Banded, Banded)> {
    let mut matrix = Banded::new(from);
    let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); from];
    for place in 0..to {
        let entries = row(from, place);
        for (at, weight) in &entries {
            let Some(column) = columns.get_mut(*at) else {
                return Err(Error::new(Kind::Internal, format!("place {at} lies outside an axis of {from}")));
            };
            column.push((place, *weight));
        }
        matrix.push(entries.into_iter());
    }
    let mut transposed = Banded::new(to);
    columns.into_iter().for_each(|column| transposed.push(column.into_iter()));
    Ok((matrix, transposed))
}

/// The place on an axis of `size` that a place on an endless one stands for, where the axis is mirrored at its first
/// and last number again and again.
pub fn mirrored(place: isize, size: usize) -> usize {
    let period = 2 * (size.max(1) - 1);
    if period == 0 {
        return 0;
    }
    // below the period
    let wrapped = place.rem_euclid(period as isize) as usize;
    wrapped.min(period - wrapped)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{Entry, assert_linear, pick, random, rng, stacked};
    use crate::tensor::with_backward;

    /// Some matrix, with places that repeat and rows that are empty.
    fn row(size: usize, place: usize) -> Vec<(usize, f64)> {
        (0..(place * 7) % 5).map(|tap| ((place * 3 + tap * 5) % size, 0.5 + tap as f64 - place as f64 * 0.25)).collect()
    }

    #[test]
    fn the_map_and_its_adjoint_equal_the_definition() {
        let mut rng = rng(81);
        for _ in 0..200 {
            let from = [pick(&mut rng, 1..=9), pick(&mut rng, 1..=20)];
            let to = [pick(&mut rng, 1..=9), pick(&mut rng, 1..=20)];
            let mut entries: Vec<Entry> = vec![];
            for (y, x) in (0..to[0]).flat_map(|y| (0..to[1]).map(move |x| (y, x))) {
                for (v, vertical) in row(from[0], y) {
                    for (u, horizontal) in row(from[1], x) {
                        entries.push((y * to[1] + x, v * from[1] + u, vertical * horizontal));
                    }
                }
            }
            let x = stacked(&mut rng, &from);
            let map = Separable::new(from, to, row).unwrap();
            assert_linear(&mut rng, &x, (2, &to), &entries, 0.0, &format!("{from:?} to {to:?}"), |x| {
                let back = map.clone();
                with_backward(x, map.apply(x)?, move |above| back.adjoint(above))
            });
        }
    }

    #[test]
    fn places_are_mirrored_again_and_again() {
        let places: Vec<usize> = (-5..6).map(|place| mirrored(place, 3)).collect();
        assert_eq!(places, [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(mirrored(-17, 1), 0);
        assert_eq!((mirrored(-3, 2), mirrored(4, 2)), (1, 0));
    }

    #[test]
    fn planes_of_other_sizes_are_refused() {
        let map = Separable::new([4, 6], [2, 3], |_, place| vec![(place, 1.0)]).unwrap();
        let [large, small] = [[1, 4, 6], [1, 2, 3]].map(|shape| random(&mut rng(1), &shape[..]));
        assert_eq!(map.apply(&large).unwrap().dims(), small.dims());
        assert_eq!(map.adjoint(&small).unwrap().dims(), large.dims());
        assert!(map.apply(&small).unwrap_err().message().contains("4×6"));
        assert!(map.adjoint(&large).unwrap_err().message().contains("2×3"));
        assert!(map.apply(&large.reshape((6, 4)).unwrap()).is_err());
    }

    #[test]
    fn empty_planes_and_places_outside_are_refused() {
        assert!(Separable::new([0, 3], [1, 1], row).is_err());
        assert!(Separable::new([2, 3], [1, 0], row).is_err());
        assert_eq!(Separable::new([2, 3], [2, 3], |size, _| vec![(size, 1.0)]).unwrap_err().kind(), Kind::Internal);
    }
}
