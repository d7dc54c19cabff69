//! t-SNE against its definition.

use rand::RngExt;

use super::*;

const GO_ON: fn(usize, &[f32]) -> ControlFlow<()> = |_, _| ControlFlow::Continue(());

/// Groups around corners of a cube.
fn groups(rows: usize, columns: usize, count: usize, seed: u64) -> Points {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let noise: f64 = StandardNormal.sample(&mut random);
            values.push(noise as f32 * 0.3 + if column % count == row % count { 4.0 } else { 0.0 });
        }
    }
    Points::new(values, rows, columns).unwrap()
}

fn scattered<const D: usize>(rows: usize, seed: u64) -> Vec<[f32; D]> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..rows).map(|_| [(); D].map(|()| random.random_range(-3.0..3.0))).collect()
}

/// The divergence from its definition, over all pairs.
fn divergence<const D: usize>(similarities: &Graph, places: &[[f64; D]]) -> f64 {
    let q = |a: &[f64; D], b: &[f64; D]| 1.0 / (1.0 + (0..D).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>());
    let pairs =
        || places.iter().enumerate().flat_map(|(i, a)| places.iter().enumerate().map(move |(j, b)| (i, a, j, b)));
    let total: f64 = pairs().filter(|(i, _, j, _)| i != j).map(|(_, a, _, b)| q(a, b)).sum();
    let mut sum = 0.0;
    for (row, place) in places.iter().enumerate() {
        let (others, weights) = similarities.of(row);
        for (other, p) in others.iter().zip(weights) {
            let p = f64::from(*p);
            sum += p * (p / (q(place, &places[*other as usize]) / total)).ln();
        }
    }
    sum
}

/// 4 Σ (e pᵢⱼ − qᵢⱼ) (yᵢ − yⱼ) / (1 + ‖yᵢ − yⱼ‖²) over all pairs.
fn gradient<const D: usize>(similarities: &Graph, places: &[[f32; D]], exaggeration: f64) -> Vec<[f64; D]> {
    let q = |a: &[f32; D], b: &[f32; D]| 1.0 / (1.0 + square(a, b));
    let count = places.len();
    let mut p = vec![0.0; count * count];
    for row in 0..count {
        let (others, weights) = similarities.of(row);
        others.iter().zip(weights).for_each(|(other, w)| p[row * count + *other as usize] = f64::from(*w));
    }
    let mut total = 0.0;
    for (i, a) in places.iter().enumerate() {
        total += places.iter().enumerate().filter(|(j, _)| i != *j).map(|(_, b)| q(a, b)).sum::<f64>();
    }
    let mut gradient = vec![[0.0; D]; count];
    for i in 0..count {
        for j in 0..count {
            let near = q(&places[i], &places[j]);
            let factor = 4.0 * (exaggeration * p[i * count + j] - near / total) * near;
            for axis in 0..D {
                gradient[i][axis] += factor * (f64::from(places[i][axis]) - f64::from(places[j][axis]));
            }
        }
    }
    gradient
}

/// The gradient that a run goes down.
fn own_gradient<const D: usize>(run: &mut Run<D>, exaggeration: f64) -> Vec<[f64; D]> {
    let total = run.forces();
    let mut gradient = vec![[0.0; D]; run.places.len()];
    for (place, index) in run.tree.order().iter().enumerate() {
        gradient[*index as usize] = std::array::from_fn(|axis| {
            let (attraction, repulsion) = (run.attraction[place][axis], run.repulsion[place][axis]);
            4.0 * (exaggeration * f64::from(attraction) - f64::from(repulsion) / total)
        });
    }
    gradient
}

fn largest<const D: usize>(gradient: &[[f64; D]]) -> f64 {
    gradient.as_flattened().iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn assert_gradient<const D: usize>() {
    let similarities = similarities(&groups(203, 9, 3, 1), 12.0).unwrap();
    let places = scattered::<D>(203, 2);
    let truth = gradient(&similarities, &places, 12.0);
    let off = |theta: f64| {
        let ours = own_gradient(&mut Run::from(similarities.clone(), places.clone(), theta), 12.0);
        let differences: Vec<f64> =
            ours.as_flattened().iter().zip(truth.as_flattened()).map(|(a, b)| (a - b).abs()).collect();
        differences.into_iter().fold(0.0, f64::max) / largest(&truth)
    };
    assert!(off(0.0) < 1e-5, "{}", off(0.0));
    assert!(off(0.5) < 0.02, "{}", off(0.5));
}

#[test]
fn the_gradient_is_that_of_all_pairs() {
    assert_gradient::<2>();
    assert_gradient::<3>();
}

fn assert_slopes<const D: usize>() {
    let similarities = similarities(&groups(40, 6, 3, 3), 5.0).unwrap();
    let places = scattered::<D>(40, 4);
    let truth = gradient(&similarities, &places, 1.0);
    let exact: Vec<[f64; D]> = places.iter().map(|place| place.map(f64::from)).collect();
    for row in [0, 7, 39] {
        for axis in 0..D {
            let at = |step: f64| {
                let mut moved = exact.clone();
                moved[row][axis] += step;
                divergence(&similarities, &moved)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - truth[row][axis]).abs() < 1e-6 * largest(&truth).max(1.0), "{slope}");
        }
    }
    let mut run = Run::from(similarities.clone(), places, 0.0);
    assert!((run.divergence() - divergence(&similarities, &exact)).abs() < 1e-5);
}

#[test]
fn the_gradient_is_the_slope_of_the_divergence() {
    assert_slopes::<2>();
    assert_slopes::<3>();
}

#[test]
fn the_perplexity_is_reached() {
    let points = groups(300, 8, 4, 5);
    for perplexity in [1.5, 5.0, 30.0, 90.0] {
        let neighbors = Edges::within(&points, (3.0 * perplexity) as usize + 1, Metric::L2).unwrap();
        for row in conditional(&neighbors, perplexity).chunks_exact(neighbors.count) {
            let entropy: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((entropy.exp() / perplexity - 1.0).abs() < 2e-5);
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn similarities_are_symmetric_and_sum_to_1() {
    let graph = similarities(&groups(120, 5, 3, 6), 10.0).unwrap();
    assert!((graph.weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() - 1.0).abs() < 1e-6);
    for row in 0..120 {
        for (other, weight) in graph.of(row).0.iter().zip(graph.of(row).1) {
            let (back, weights) = graph.of(*other as usize);
            let at = back.binary_search(&(row as u32)).unwrap();
            assert!(weights[at] == *weight && *other as usize != row);
        }
    }
}

/// How often the nearest other place belongs to the same group.
fn together(places: &[f32], dimensions: usize, groups: usize) -> f64 {
    let places: Vec<&[f32]> = places.chunks_exact(dimensions).collect();
    let nearest = |row: usize| {
        let distance =
            |other: &usize| -> f32 { places[row].iter().zip(places[*other]).map(|(a, b)| (a - b).powi(2)).sum() };
        (0..places.len()).filter(|other| *other != row).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
    };
    (0..places.len()).filter(|row| nearest(*row) % groups == row % groups).count() as f64 / places.len() as f64
}

#[test]
fn groups_stay_together_for_any_number_of_threads() {
    let points = groups(200, 8, 4, 7);
    for dimensions in [2, 3] {
        let options = TsneOptions { dimensions, iterations: 400, perplexity: 15.0, ..TsneOptions::default() };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&points, &options, &mut { GO_ON }).unwrap())
        };
        let map = run(1);
        assert_eq!(map, run(3));
        assert_eq!(map.iterations, 400);
        assert_eq!(together(map.places.values(), dimensions, 4), 1.0);
        assert!(map.divergence > 0.0 && map.divergence < 1.0, "{}", map.divergence);
    }
}

#[test]
fn a_run_can_be_ended() {
    let points = groups(50, 4, 2, 8);
    let mut shown = vec![];
    let options = TsneOptions { perplexity: 5.0, ..TsneOptions::default() };
    let map = fit(&points, &options, &mut |iteration, places| {
        shown = places.to_vec();
        if iteration == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let map = map.unwrap();
    assert_eq!((map.iterations, map.places.values()), (7, &shown[..]));
}

#[test]
fn new_points_come_to_their_groups() {
    let old = groups(200, 8, 4, 9);
    let new = groups(41, 8, 4, 10);
    for dimensions in [2, 3] {
        let options = TsneOptions { dimensions, iterations: 500, perplexity: 15.0, ..TsneOptions::default() };
        let map = fit(&old, &options, &mut { GO_ON }).unwrap().places;
        let placed = place(&new, &old, &map, &mut { GO_ON }).unwrap();
        let all = [map.values(), placed.values()].concat();
        assert_eq!(together(&all, dimensions, 4), 1.0);
        // alone it is placed where it is placed among others
        let one = Points::new(new.row(5).to_vec(), 1, 8).unwrap();
        assert_eq!(place(&one, &old, &map, &mut { GO_ON }).unwrap().values(), placed.row(5));
        let calls = &mut 0;
        place(&new, &old, &map, &mut |_, _| {
            *calls += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(*calls, 1);
    }
    assert!(place(&new, &old, &new, &mut { GO_ON }).is_err());
    assert!(place(&new, &old, &old, &mut { GO_ON }).is_err());
}

#[test]
fn degenerate_points_have_maps() {
    let options = TsneOptions { perplexity: 1.0, iterations: 300, ..TsneOptions::default() };
    let same = Points::new(vec![1.0; 40], 20, 2).unwrap();
    let line = Points::new((0..20).map(|i| i as f32).collect(), 20, 1).unwrap();
    let four = Points::new(vec![0.0, 0.0, 1.0, 5.0], 4, 1).unwrap();
    let twice = Points::new([groups(10, 2, 2, 11).values(), groups(10, 2, 2, 11).values()].concat(), 20, 2).unwrap();
    let far = Points::new([vec![0.0; 20], vec![1e30; 20]].concat(), 20, 2).unwrap();
    for points in [same, line, four, twice, far] {
        for dimensions in [2, 3] {
            let options = TsneOptions { dimensions, ..options.clone() };
            let map = fit(&points, &options, &mut { GO_ON }).unwrap();
            assert!(map.divergence.is_finite());
            place(&points, &points, &map.places, &mut { GO_ON }).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let points = groups(20, 3, 2, 12);
    let message = |options: TsneOptions| fit(&points, &options, &mut { GO_ON }).unwrap_err().message().to_owned();
    assert_eq!(message(TsneOptions::default()), "the perplexity is 30; for 20 points it is 1 to 6.3");
    let base = || TsneOptions { perplexity: 6.3, ..TsneOptions::default() };
    assert!(fit(&points, &TsneOptions { iterations: 3, ..base() }, &mut { GO_ON }).is_ok());
    assert!(message(TsneOptions { perplexity: f64::NAN, ..base() }).contains("perplexity"));
    assert!(message(TsneOptions { dimensions: 4, ..base() }).contains("2 or 3 dimensions"));
    assert!(message(TsneOptions { theta: -1.0, ..base() }).contains("theta"));
    assert!(message(TsneOptions { exaggeration: f64::INFINITY, ..base() }).contains("exaggeration"));
    assert!(message(TsneOptions { learning_rate: Some(0.0), ..base() }).contains("learning rate"));
    let three = Points::new(vec![1.0, 2.0, 3.0], 3, 1).unwrap();
    let few = fit(&three, &TsneOptions::default(), &mut { GO_ON }).unwrap_err().message().to_owned();
    assert_eq!(few, "t-SNE needs at least 4 points, not 3");
}
