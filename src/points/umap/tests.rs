//! UMAP against its definition.

use rand::RngExt;

use super::*;

/// min_dist and spread, and what `umap.umap_.find_ab_params` (umap-learn 0.5.12) makes of them.
const CURVES: [(f64, f64, f64, f64); 6] = [
    (0.1, 1.0, 1.57694346046584, 0.8950608779639974),
    (0.0, 1.0, 1.9328083980052901, 0.7904949736958765),
    (0.5, 1.0, 0.5830300203968329, 1.3341669926352966),
    (0.3, 2.0, 0.37949468863916164, 0.9488152193905367),
    (0.99, 1.0, 0.11930530009434795, 1.9163904156842868),
    (0.1, 0.5, 5.069309324972921, 1.003005422393625),
];
const GO_ON: fn(usize, &[f32]) -> ControlFlow<()> = |_, _| ControlFlow::Continue(());

/// Groups of points, whose means are `apart` from each other.
fn groups(rows: usize, columns: usize, count: usize, apart: f32, seed: u64) -> Points {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let noise: f64 = StandardNormal.sample(&mut random);
            values.push(noise as f32 + if column % count == row % count { apart } else { 0.0 });
        }
    }
    Points::new(values, rows, columns).unwrap()
}

/// The graph as a dense matrix, from the definition.
fn dense(points: &Points, count: usize, metric: Metric) -> Vec<f64> {
    let rows = points.rows();
    let distance = |a: &[f32], b: &[f32]| -> f64 {
        let (mut square, mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0, 0.0);
        for (a, b) in a.iter().map(|a| f64::from(*a)).zip(b.iter().map(|b| f64::from(*b))) {
            square += (a - b) * (a - b);
            dot += a * b;
            aa += a * a;
            bb += b * b;
        }
        match metric {
            Metric::L2 => square.sqrt(),
            // equal points are at 0, without rounding
            Metric::Cosine if a == b => 0.0,
            Metric::Cosine => (1.0 - dot / (aa * bb).sqrt()).max(0.0),
        }
    };
    let mut all = vec![0.0; rows * rows];
    for row in 0..rows {
        let others = (0..rows).filter(|other| *other != row);
        let mut near: Vec<(f64, usize)> =
            others.map(|other| (distance(points.row(row), points.row(other)), other)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(count - 1);
        let nearest = near.iter().map(|(distance, _)| *distance).find(|distance| *distance > 0.0).unwrap();
        let member = |distance: f64, width: f64| (-(distance - nearest).max(0.0) / width).exp();
        let sum = |width: f64| near.iter().map(|(distance, _)| member(*distance, width)).sum::<f64>();
        let (mut low, mut high) = (1e-9f64, 1e9f64);
        for _ in 0..300 {
            let middle = (low * high).sqrt();
            if sum(middle) > (count as f64).log2() { high = middle } else { low = middle }
        }
        let width = low.max(1e-3 * near.iter().map(|(distance, _)| distance).sum::<f64>() / count as f64);
        near.iter().for_each(|(distance, other)| all[row * rows + other] = member(*distance, width));
    }
    (0..rows * rows).map(|at| (all[at], all[at % rows * rows + at / rows])).map(|(a, b)| a + b - a * b).collect()
}

#[test]
fn the_fuzzy_set_is_that_of_the_definition() {
    let mut values = groups(120, 5, 3, 3.0, 1).values().to_vec();
    // some are equal
    values.copy_within(0..50, 300);
    let points = Points::new(values, 120, 5).unwrap();
    for (count, metric) in [(15, Metric::L2), (5, Metric::L2), (15, Metric::Cosine)] {
        let truth = dense(&points, count, metric);
        let graph = fuzzy_set(&points, count, metric).unwrap();
        let mut ours = vec![0.0; 120 * 120];
        for row in 0..120 {
            let (others, weights) = graph.of(row);
            others.iter().zip(weights).for_each(|(other, w)| ours[row * 120 + *other as usize] = f64::from(*w));
        }
        let off = ours.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-4, "{off}");
    }
}

#[test]
fn the_curve_is_that_of_umap_learn() {
    for (min_dist, spread, a, b) in CURVES {
        let curve = Curve::fit(min_dist, spread);
        let (off_a, off_b) = (f64::from(curve.a) / a - 1.0, f64::from(curve.b) / b - 1.0);
        assert!(off_a.abs() < 1e-4 && off_b.abs() < 1e-4, "{curve:?} instead of {a}, {b}");
    }
}

#[test]
fn steps_are_slopes_of_the_logarithms() {
    let curve = Curve::fit(0.1, 1.0);
    let (from, to) = ([1.0f32, 2.0, 0.5], [2.2f32, 0.7, -0.4]);
    let near = |axis: usize, step: f64| {
        let moved = |at: usize| f64::from(from[at]) - f64::from(to[at]) + if at == axis { step } else { 0.0 };
        let square: f64 = (0..3).map(|at| moved(at).powi(2)).sum();
        1.0 / (1.0 + f64::from(curve.a) * square.powf(f64::from(curve.b)))
    };
    for axis in 0..3 {
        let slope = |f: fn(f64) -> f64| (f(near(axis, 1e-5)) - f(near(axis, -1e-5))) / 2e-5;
        let attraction = f64::from(curve.attraction(&from, &to)[axis]);
        assert!((attraction / slope(f64::ln) - 1.0).abs() < 1e-4);
        // but for the 0.001 that keeps it finite
        let repulsion = f64::from(curve.repulsion(&from, &to)[axis]);
        assert!((repulsion / slope(|q| (1.0 - q).ln()) - 1.0).abs() < 1e-3);
    }
    assert_eq!(curve.attraction(&from, &from), [0.0; 3]);
    assert_eq!(curve.repulsion(&from, &from), [0.0; 3]);
}

/// The least part of a place's 5 nearest that belong to the same group.
fn together(places: &[f32], dimensions: usize, groups: usize) -> f64 {
    let places: Vec<&[f32]> = places.chunks_exact(dimensions).collect();
    let part = |row: usize| {
        let distance =
            |other: &usize| -> f32 { places[row].iter().zip(places[*other]).map(|(a, b)| (a - b).powi(2)).sum() };
        let mut others: Vec<usize> = (0..places.len()).filter(|other| *other != row).collect();
        others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        others.iter().take(5).filter(|other| *other % groups == row % groups).count() as f64 / 5.0
    };
    (0..places.len()).map(part).fold(1.0, f64::min)
}

#[test]
fn groups_stay_together_for_any_number_of_threads() {
    // connected ones, from eigenvectors, and such that are not
    for apart in [5.0, 60.0] {
        let points = groups(160, 8, 4, apart, 2);
        for (dimensions, metric) in [(2, Metric::L2), (3, Metric::L2), (2, Metric::Cosine)] {
            let options = UmapOptions { dimensions, metric, epochs: Some(300), ..UmapOptions::default() };
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| fit(&points, &options, &mut { GO_ON }).unwrap())
            };
            let map = run(1);
            assert_eq!(map, run(3));
            assert_eq!(together(map.values(), dimensions, 4), 1.0);
        }
    }
}

#[test]
fn eigenvectors_are_those_of_the_laplacian() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let points = Points::new((0..900).map(|_| random.random_range(-1.0..1.0)).collect(), 300, 3).unwrap();
    let graph = fuzzy_set(&points, 15, Metric::L2).unwrap();
    assert!(graph.is_connected());
    let mut laplacian = DMatrix::zeros(300, 300);
    let degree = |row: usize| graph.of(row).1.iter().map(|weight| f64::from(*weight)).sum::<f64>();
    for row in 0..300 {
        laplacian[(row, row)] = 1.0;
        for (other, weight) in graph.of(row).0.iter().zip(graph.of(row).1) {
            laplacian[(row, *other as usize)] -= f64::from(*weight) / (degree(row) * degree(*other as usize)).sqrt();
        }
    }
    let mut truth = laplacian.clone().symmetric_eigenvalues().as_slice().to_vec();
    truth.sort_by(f64::total_cmp);
    let ours = eigenvectors(&graph, 2, 0).unwrap().unwrap();
    for (column, value) in ours.column_iter().zip(&truth[1..]) {
        assert!((&laplacian * column - column * *value).norm() < 1e-3);
    }
}

#[test]
fn a_run_can_be_ended() {
    let points = groups(50, 4, 2, 3.0, 4);
    let mut shown = vec![];
    let map = fit(&points, &UmapOptions::default(), &mut |epoch, places| {
        shown = places.to_vec();
        if epoch == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(map.unwrap().values(), shown);
}

#[test]
fn new_points_come_to_their_groups() {
    let old = groups(160, 8, 4, 8.0, 5);
    let new = groups(41, 8, 4, 8.0, 6);
    for dimensions in [2, 3] {
        let options = UmapOptions { dimensions, ..UmapOptions::default() };
        let map = fit(&old, &options, &mut { GO_ON }).unwrap();
        let placed = place(&new, &old, &map, &options, &mut { GO_ON }).unwrap();
        assert_eq!(together(&[map.values(), placed.values()].concat(), dimensions, 4), 1.0);
        let first = Points::new(new.values()[..24].to_vec(), 3, 8).unwrap();
        let alone = place(&first, &old, &map, &options, &mut { GO_ON }).unwrap();
        assert_eq!(alone.values(), &placed.values()[..3 * dimensions]);
        let mut calls = 0;
        let stopped = place(&new, &old, &map, &options, &mut |_, _| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(stopped.is_ok() && calls == 1);
    }
    assert!(place(&new, &old, &new, &UmapOptions::default(), &mut { GO_ON }).is_err());
    assert!(place(&new, &old, &old, &UmapOptions::default(), &mut { GO_ON }).is_err());
}

#[test]
fn degenerate_points_have_maps() {
    let same = Points::new(vec![1.0; 40], 20, 2).unwrap();
    let zeros = Points::new(vec![0.0; 40], 20, 2).unwrap();
    let line = Points::new((0..20).map(|i| i as f32).collect(), 20, 1).unwrap();
    let four = Points::new(vec![0.0, 0.0, 1.0, 5.0], 4, 1).unwrap();
    let far = Points::new([vec![0.0; 20], vec![1e30; 20]].concat(), 20, 2).unwrap();
    for points in [same, zeros, line, four, far] {
        for (dimensions, metric) in [(2, Metric::L2), (3, Metric::Cosine)] {
            for neighbors in [2, 4] {
                let options = UmapOptions { dimensions, metric, neighbors, epochs: Some(50), ..UmapOptions::default() };
                let map = fit(&points, &options, &mut { GO_ON }).unwrap();
                place(&points, &points, &map, &options, &mut { GO_ON }).unwrap();
            }
        }
    }
}

#[test]
fn what_cannot_be_is_an_error() {
    let points = groups(10, 3, 2, 1.0, 7);
    let message = |options: UmapOptions| fit(&points, &options, &mut { GO_ON }).unwrap_err().message().to_owned();
    assert_eq!(message(UmapOptions::default()), "neighbourhoods have 15 points; for 10 points it is 2 to 10");
    let base = || UmapOptions { neighbors: 10, epochs: Some(3), ..UmapOptions::default() };
    assert!(fit(&points, &base(), &mut { GO_ON }).is_ok());
    assert!(fit(&points, &UmapOptions { epochs: Some(0), negatives: 0, ..base() }, &mut { GO_ON }).is_ok());
    assert!(fit(&points, &UmapOptions { negatives: 0, ..base() }, &mut { GO_ON }).is_ok());
    assert!(message(UmapOptions { neighbors: 1, ..base() }).contains("at least 2"));
    assert!(message(UmapOptions { dimensions: 1, ..base() }).contains("2 or 3 dimensions"));
    assert!(message(UmapOptions { min_dist: f64::NAN, ..base() }).contains("min_dist"));
    assert!(message(UmapOptions { min_dist: 1.5, ..base() }).contains("min_dist"));
    assert!(message(UmapOptions { spread: 0.0, ..base() }).contains("spread"));
    let three = Points::new(vec![1.0, 2.0, 3.0], 3, 1).unwrap();
    assert!(fit(&three, &base(), &mut { GO_ON }).unwrap_err().message().to_owned().contains("at least 4 points"));
}
