//! Square: random squares of colour, kept where they help. It looks at the scores only.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::ball::{Ball, Norm, Reach, into_picture, length};
use super::fooled::Fooled;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};

/// Squares that are drawn from the same image and looked at together.
const TOGETHER: usize = 8;
/// The part of the image that squares have is halved after so many queries of 10,000.
const HALVED_AFTER: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
/// In L2, the smallest window, and how many stand along a side at first.
const SMALLEST: usize = 3;
const ALONG: usize = 5;

/// How Square searches.
#[derive(Clone, Debug, Options)]
pub struct SquareOptions {
    /// How many images the network looks at, at most.
    #[default(5000)]
    #[range(1..=10000000)]
    pub queries: usize,
    /// The part of the image that a square has at first; later ones are smaller.
    #[default(0.8)]
    #[range(0.0001..=1.0)]
    pub p: f64,
    /// The seed of what is drawn; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// Square attack: random squares of the image get other colours, and stay if the margin of the scores grew. It needs no
/// gradient, so a network that hides its gradients is not safe from it. It ends when the network is fooled.
///
/// Several squares are looked at together; what comes of it is what one after the other gives.
///
/// ```rhai
/// square_attack(photo("chelsea"), queries=100, seed=1)
/// ```
///
/// ```rhai
/// square_attack(photo("chelsea"), norm="l2", epsilon=4, queries=100, seed=1)
/// ```
#[function(source = "Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random \
              search, 2019, arXiv:1912.00049; defaults of torchattacks")]
pub fn square_attack(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] reach: &Reach,
    #[options] options: &SquareOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let (aimed, ball) = (aim.check(job)?, reach.ball()?);
    let victim = Victim::other_than_target(job.interrupt(), &aimed, image)?;
    let squares = Squares { victim: &victim, ball, options, seed: job.seed(options.seed) };
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Surest);
    let outcome = squares.run(job, &mut search);
    search.finish("Square", outcome)
}

/// The squares of one search: each follows from the seed, its number, and the image so far.
struct Squares<'a> {
    victim: &'a Victim,
    ball: Ball,
    options: &'a SquareOptions,
    seed: u64,
}

impl Squares<'_> {
    fn run(&self, job: &Job, search: &mut Search<'_>) -> Result<()> {
        let mut delta = self.beginning();
        let said = search.look(job, &self.ball.rounded(self.victim.pixels(), &delta))?;
        let (mut margin, mut done) = (self.victim.advantage(&said), 1);
        let progress = job.progress("Square", self.options.queries);
        while margin <= 0.0 && done < self.options.queries {
            let batch = done..self.options.queries.min(done + TOGETHER);
            let drawn: Vec<(Vec<f32>, Vec<f32>)> = batch
                .clone()
                .into_par_iter()
                .map(|query| {
                    let changed = self.square(query, &delta);
                    let pixels = self.ball.rounded(self.victim.pixels(), &changed);
                    (changed, pixels)
                })
                .collect();
            let images: Vec<f32> = drawn.iter().flat_map(|(_, pixels)| pixels.iter().copied()).collect();
            let said = self.victim.lens.says(job.interrupt(), images)?;
            let mut looked = 0;
            // those behind the first that helps were drawn from an image that is no longer the present one
            for (query, ((changed, pixels), said)) in batch.zip(drawn.into_iter().zip(said)) {
                looked += 1;
                let advantage = self.victim.advantage(&said);
                if advantage > margin {
                    (margin, delta) = (advantage, changed);
                    search.record_at(query + 1, &said);
                    search.offer(&pixels, &said);
                    break;
                }
            }
            done += looked;
            search.course.looks = done;
            progress.advance_showing(looked, &|| search.preview())?;
        }
        progress.end();
        Ok(())
    }

    /// The random numbers of a query.
    fn random(&self, query: usize) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(query as u64);
        random
    }

    fn size(&self) -> (usize, usize) {
        (self.victim.lens.width, self.victim.lens.height)
    }

    /// A random sign for each colour.
    fn signs(&self, random: &mut ChaCha8Rng) -> Vec<f32> {
        let signs = (0..self.victim.lens.colours()).map(|_| if random.random::<bool>() { 1.0 } else { -1.0 });
        self.victim.lens.of_colours(signs.collect())
    }

    /// What the search begins with: vertical stripes, or windows next to each other.
    fn beginning(&self) -> Vec<f32> {
        let (width, height) = self.size();
        let mut random = self.random(0);
        let mut delta = vec![0f32; self.victim.lens.length()];
        match self.ball.norm {
            Norm::LInf => {
                for column in 0..width {
                    let signs = self.signs(&mut random);
                    for (plane, sign) in delta.chunks_exact_mut(width * height).zip(signs) {
                        plane.iter_mut().skip(column).step_by(width).for_each(|change| *change = sign * self.most());
                    }
                }
            }
            Norm::L2 => {
                let side = (height.min(width) / ALONG).max(SMALLEST).min(height.min(width));
                for (top, left) in (0..height / side).flat_map(|row| (0..width / side).map(move |column| (row, column)))
                {
                    let pattern = pattern(side, random.random());
                    let signs = self.signs(&mut random);
                    let window = Window { top: top * side, left: left * side, side };
                    for (plane, sign) in delta.chunks_exact_mut(width * height).zip(signs) {
                        window.places(width).zip(&pattern).for_each(|(place, value)| plane[place] += sign * value);
                    }
                }
                self.to_radius(&mut delta);
            }
        }
        delta
    }

    /// The perturbation with the square of a query.
    fn square(&self, query: usize, delta: &[f32]) -> Vec<f32> {
        let (width, height) = self.size();
        let mut random = self.random(query);
        let area = part(self.options.p, query, self.options.queries) * (width * height) as f64;
        let side = area.sqrt().round() as usize;
        let mut changed = delta.to_vec();
        match self.ball.norm {
            Norm::LInf => {
                let window = Window::draw(side.clamp(1, width.min(height)), (width, height), &mut random);
                let signs = self.signs(&mut random);
                for (plane, sign) in changed.chunks_exact_mut(width * height).zip(signs) {
                    window.places(width).for_each(|place| plane[place] = sign * self.most());
                }
            }
            Norm::L2 => {
                // a middle is wanted
                let side = (side.max(SMALLEST) | 1).min(width.min(height));
                let to = Window::draw(side, (width, height), &mut random);
                let from = Window::draw(side, (width, height), &mut random);
                let pattern = pattern(side, random.random());
                let signs = self.signs(&mut random);
                self.carry(&mut changed, (&from, &to), &pattern, &signs);
                self.to_radius(&mut changed);
            }
        }
        changed
    }

    /// Takes what one window has away, and gives it, with what the whole has left, to another: the pattern and what was
    /// there.
    fn carry(&self, delta: &mut [f32], (from, to): (&Window, &Window), pattern: &[f32], signs: &[f32]) {
        let (width, height) = self.size();
        let left = (self.ball.epsilon.powi(2) - length(delta).powi(2)).max(0.0) / signs.len() as f64;
        for (plane, sign) in delta.chunks_exact_mut(width * height).zip(signs) {
            let square = |place: usize| f64::from(plane[place]).powi(2);
            let own: f64 = to.places(width).map(square).sum();
            let others: f64 = from.places(width).filter(|place| !to.holds(*place, width)).map(square).sum();
            let available = (own + others + left).sqrt();
            let scale = if own > 0.0 { 1.0 / own.sqrt() } else { 0.0 };
            let new: Vec<f64> = to
                .places(width)
                .zip(pattern)
                .map(|(place, value)| f64::from(sign * value) + f64::from(plane[place]) * scale)
                .collect();
            let long = new.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            from.places(width).for_each(|place| plane[place] = 0.0);
            to.places(width).zip(new).for_each(|(place, value)| plane[place] = (value / long * available) as f32);
        }
    }

    /// Makes a perturbation as long as it may be.
    fn to_radius(&self, delta: &mut [f32]) {
        let scale = (self.ball.epsilon / length(delta).max(f64::MIN_POSITIVE)) as f32;
        delta.iter_mut().for_each(|change| *change *= scale);
        into_picture(self.victim.pixels(), delta);
    }

    /// The greatest change of a value.
    fn most(&self) -> f32 {
        self.ball.epsilon as f32
    }
}

/// The part of the image that the square of a query has.
fn part(p: f64, query: usize, queries: usize) -> f64 {
    let query = query as f64 / queries as f64 * 10_000.0;
    let halvings = HALVED_AFTER.iter().filter(|after| query > **after as f64).count();
    p / 2f64.powi(halvings as i32)
}

/// A square part of the image.
#[derive(Clone, Copy, Debug)]
struct Window {
    top: usize,
    left: usize,
    side: usize,
}

impl Window {
    /// A window anywhere in an image.
    fn draw(side: usize, (width, height): (usize, usize), random: &mut ChaCha8Rng) -> Self {
        let top = random.random_range(0..=height.saturating_sub(side));
        Self { top, left: random.random_range(0..=width.saturating_sub(side)), side }
    }

    /// Its places in a plane, row by row.
    fn places(&self, width: usize) -> impl Iterator<Item = usize> + use<> {
        let Self { top, left, side } = *self;
        (top..top + side).flat_map(move |row| (left..left + side).map(move |column| row * width + column))
    }

    fn holds(&self, place: usize, width: usize) -> bool {
        let (row, column) = (place / width, place % width);
        (self.top..self.top + self.side).contains(&row) && (self.left..self.left + self.side).contains(&column)
    }
}

/// Two mountains side by side, one up and one down, of length 1: the perturbation of a square in L2.
fn pattern(side: usize, across: bool) -> Vec<f32> {
    let mut pattern = vec![0f64; side * side];
    let upper = side / 2;
    for (start, rows, sign) in [(0, upper, 1.0), (upper, side - upper, -1.0)] {
        for (row, column) in (0..rows).flat_map(|row| (0..side).map(move |column| (row, column))) {
            // rings around the middle: each is a rectangle wider by 1 on every side, and adds 1 / number²
            let (middle, centre) = (rows / 2, side / 2);
            let ring = row.abs_diff(middle).max(column.abs_diff(centre));
            let height: f64 = (ring..=middle.max(centre)).map(|ring| 1.0 / ((ring + 1) as f64).powi(2)).sum();
            let place = if across { column * side + start + row } else { (start + row) * side + column };
            if let Some(value) = pattern.get_mut(place) {
                *value = sign * height;
            }
        }
    }
    let long = pattern.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    pattern.iter().map(|value| (value / long) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_become_smaller() {
        let parts: Vec<f64> =
            [1, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001].map(|query| part(0.8, query, 10_000)).to_vec();
        assert_eq!(parts, (0..10).map(|power| 0.8 / f64::from(1 << power)).collect::<Vec<_>>());
        // of fewer queries all are passed through too
        assert_eq!(part(0.8, 4001, 5000), 0.8 / 512.0);
    }

    #[test]
    fn a_pattern_is_of_length_1_and_has_two_opposite_halves() {
        for side in [3, 5, 9, 14] {
            let along = pattern(side, false);
            let long: f64 = along.iter().map(|value| f64::from(*value).powi(2)).sum();
            assert!((long - 1.0).abs() < 1e-5);
            let (upper, lower) = along.split_at(side / 2 * side);
            assert!(upper.iter().all(|value| *value > 0.0) && lower.iter().all(|value| *value < 0.0));
            let across = pattern(side, true);
            assert!((0..side * side).all(|place| across[place] == along[place % side * side + place / side]));
        }
    }

    #[test]
    fn windows_have_their_places() {
        let window = Window { top: 1, left: 2, side: 2 };
        assert_eq!(window.places(5).collect::<Vec<_>>(), [7, 8, 12, 13]);
        assert!((0..25).all(|place| window.holds(place, 5) == [7, 8, 12, 13].contains(&place)));
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert!((0..100).all(|_| {
            let window = Window::draw(3, (4, 7), &mut random);
            window.top + 3 <= 7 && window.left + 3 <= 4
        }));
    }
}
