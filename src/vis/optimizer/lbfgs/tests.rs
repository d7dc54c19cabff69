//! Minima and the ways to them, compared with SciPy's (tools/golden/lbfgs.py), and what a run does between its
//! iterations.
#![allow(clippy::unwrap_used)]

use super::*;

type Pair = (f64, Vec<f64>);

fn rosenbrock(x: &[f64]) -> Result<Pair> {
    let (a, b) = (x[0], x[1]);
    let value = 100.0 * (b - a * a).powi(2) + (1.0 - a).powi(2);
    Ok((value, vec![-400.0 * a * (b - a * a) - 2.0 * (1.0 - a), 200.0 * (b - a * a)]))
}

/// ½ xᵀAx − bᵀx in 20 dimensions.
fn quadratic(x: &[f64]) -> Result<Pair> {
    let entry = |i: usize, j: usize| {
        let near = match i.abs_diff(j) {
            0 => 2.0 + 0.5 * i as f64,
            1 => -1.0,
            _ => 0.0,
        };
        0.05 * ((i + j) as f64).cos() + near
    };
    let bent: Vec<f64> = (0..20).map(|i| (0..20).map(|j| entry(i, j) * x[j]).sum()).collect();
    let wanted: Vec<f64> = (0..20).map(|i| 6.0 * (1.3 * f64::from(i)).sin()).collect();
    let value = x.iter().zip(bent.iter().zip(&wanted)).map(|(x, (bent, wanted))| x * (0.5 * bent - wanted)).sum();
    Ok((value, bent.iter().zip(&wanted).map(|(bent, wanted)| bent - wanted).collect()))
}

/// Rosenbrock's function, chained: that of the L-BFGS-B package's own example.
fn chained(x: &[f64]) -> Result<Pair> {
    let mut value = (x[0] - 1.0).powi(2);
    let mut gradient = vec![0.0; x.len()];
    gradient[0] = 2.0 * (x[0] - 1.0);
    for i in 1..x.len() {
        let inner = x[i] - x[i - 1] * x[i - 1];
        value += 4.0 * inner * inner;
        gradient[i] += 8.0 * inner;
        gradient[i - 1] -= 16.0 * x[i - 1] * inner;
    }
    Ok((value, gradient))
}

/// A box around Rosenbrock's valley that leaves its minimum outside.
fn boxed() -> Bounds {
    Bounds::Each(vec![-1.5, -0.5], vec![0.5, 2.0])
}

const GO_ON: fn(&Lbfgs) -> Result<ControlFlow<()>> = |_| Ok(ControlFlow::Continue(()));

/// A run to the end; the value after each iteration.
fn minimized(f: fn(&[f64]) -> Result<Pair>, start: Vec<f64>, bounds: Bounds) -> (Lbfgs, Vec<f64>) {
    let mut lbfgs = Lbfgs::new(start, bounds).unwrap();
    (lbfgs.gradient_tolerance, lbfgs.decrease_tolerance) = (1e-9, 0.0);
    let mut values = vec![];
    lbfgs
        .run(&mut { f }, 1000, &mut |lbfgs| {
            values.push(lbfgs.value().unwrap());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    (lbfgs, values)
}

fn assert_close(ours: &[f64], truth: &[f64], tolerance: f64) {
    assert!(ours.len() >= truth.len());
    for (a, b) in ours.iter().zip(truth) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} instead of {b} in {ours:?}");
    }
}

#[test]
fn rosenbrock_without_bounds_goes_scipys_way() {
    let (lbfgs, values) = minimized(rosenbrock, vec![-1.2, 1.0], Bounds::None);
    assert_close(lbfgs.point(), &[1.0, 1.0], 1e-9);
    assert!(lbfgs.value().unwrap() < 1e-18);
    let scipy =
        [4.225_209_188, 4.127_275_524, 4.120_517_097, 4.115_574_726, 4.087_545_016, 4.032_006_832, 3.917_841_468];
    assert_close(&values, &scipy, 1e-8);
    assert!((30..=46).contains(&lbfgs.iterations()) && lbfgs.looks() <= 60, "{} {}", lbfgs.iterations(), lbfgs.looks());
}

#[test]
fn rosenbrock_with_bounds_ends_at_one() {
    let (lbfgs, values) = minimized(rosenbrock, vec![-1.2, 1.0], boxed());
    assert_close(lbfgs.point(), &[0.5, 0.25], 1e-9);
    assert!((lbfgs.value().unwrap() - 0.25).abs() < 1e-12);
    assert_close(&values, &[6.767_073_63, 4.235_629_232, 4.161_917_591, 4.149_005_626], 1e-8);
    assert!(lbfgs.iterations() <= 30, "{}", lbfgs.iterations());
}

#[test]
fn a_bounded_quadratic_function_has_scipys_minimum() {
    let (lbfgs, values) = minimized(quadratic, vec![0.0; 20], Bounds::All(-1.0, 1.0));
    let scipy = [
        [0.452_708_022_6, 1.0, 1.0, -1.0, -1.0],
        [0.286_005_559_5, 1.0, 0.350_525_438_0, -0.899_542_771_6, -0.770_715_986_7],
        [0.385_554_821_2, 0.856_109_780_7, 0.090_929_615_0, -0.708_325_065_8, -0.440_981_760_3],
        [0.405_318_675_7, 0.602_104_500_1, -0.054_570_252_9, -0.572_493_263_9, -0.277_025_243_3],
    ];
    assert_close(lbfgs.point(), scipy.as_flattened(), 2e-8);
    assert!((lbfgs.value().unwrap() + 31.355_906_285_824_954).abs() < 1e-12);
    assert_close(&values, &[-16.058_299_08, -30.683_642, -31.221_644_64, -31.295_412_8, -31.344_272_33], 1e-7);
    // what is at a bound is there exactly
    let held: Vec<usize> = (0..20).filter(|i| lbfgs.point()[*i].abs() == 1.0).collect();
    assert_eq!(held, [1, 2, 3, 4, 6]);

    let (lbfgs, _) = minimized(quadratic, vec![0.5; 20], Bounds::All(f64::NEG_INFINITY, 0.25));
    assert!((lbfgs.value().unwrap() + 23.587_085_313_891_933).abs() < 1e-12);
    assert_close(&lbfgs.point()[..4], &[0.073_927_290_6, 0.25, 0.25, -1.567_347_958], 2e-8);
}

#[test]
fn some_bounds_above_and_some_below() {
    let least = (0..25).map(|i| if i % 2 == 0 { 1.0 } else { -100.0 }).collect();
    let (lbfgs, values) = minimized(chained, vec![3.0; 25], Bounds::Each(least, vec![100.0; 25]));
    assert!(lbfgs.value().unwrap() < 1e-12, "{:?}", lbfgs.value());
    assert_close(&values, &[2_397.689_625, 143.805_565_8, 72.816_082_04, 16.030_762_63, 5.187_247_7], 1e-7);
    assert!(lbfgs.iterations() < 80, "{}", lbfgs.iterations());
}

/// Many numbers, of which thousands meet a bound in one iteration; the sums are of several parts.
#[test]
fn many_numbers_at_their_bounds() {
    let count = 30_000;
    let wanted = |i: usize| 1.5 * (0.7 * i as f64).sin();
    let weight = |i: usize| 1.0 + (i % 7) as f64;
    let mut f = |x: &[f64]| -> Result<Pair> {
        let away = |i: usize| x[i] - wanted(i);
        let value = (0..count).map(|i| 0.5 * weight(i) * away(i).powi(2)).sum();
        Ok((value, (0..count).map(|i| weight(i) * away(i)).collect()))
    };
    let mut lbfgs = Lbfgs::new(vec![0.0; count], Bounds::All(-1.0, 1.0)).unwrap();
    lbfgs.decrease_tolerance = 0.0;
    let stopped = lbfgs.run(&mut f, 200, &mut { GO_ON }).unwrap();
    assert!([Stopped::Flat, Stopped::Settled, Stopped::Stuck].contains(&stopped), "{stopped:?}");
    for (i, value) in lbfgs.point().iter().enumerate() {
        assert!((value - wanted(i).clamp(-1.0, 1.0)).abs() < 1e-5, "{i}: {value}");
    }
}

#[test]
fn a_run_in_pieces_is_the_run_in_one() {
    for bounds in [Bounds::None, boxed()] {
        let (whole, _) = minimized(rosenbrock, vec![-1.2, 1.0], bounds.clone());
        let mut pieces = Lbfgs::new(vec![-1.2, 1.0], bounds).unwrap();
        (pieces.gradient_tolerance, pieces.decrease_tolerance) = (1e-9, 0.0);
        assert_eq!(pieces.run(&mut rosenbrock, 3, &mut { GO_ON }).unwrap(), Stopped::Finished);
        assert_eq!(pieces.iterations(), 3);
        let told = pieces.run(&mut rosenbrock, 100, &mut |lbfgs| {
            Ok(if lbfgs.iterations() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        assert_eq!((told.unwrap(), pieces.iterations()), (Stopped::Told, 5));
        let mut copy = pieces.clone();
        for lbfgs in [&mut pieces, &mut copy] {
            lbfgs.run(&mut rosenbrock, 1000, &mut { GO_ON }).unwrap();
            assert_eq!(lbfgs.point(), whole.point());
            assert_eq!((lbfgs.iterations(), lbfgs.looks()), (whole.iterations(), whole.looks()));
        }
    }
}

/// Interrupted at every look, one after the other, a run still takes the same way.
#[test]
fn an_interrupted_run_goes_on_as_if_it_had_not_been() {
    for bounds in [Bounds::None, boxed()] {
        let (whole, values) = minimized(rosenbrock, vec![-1.2, 1.0], bounds.clone());
        let mut broken = Lbfgs::new(vec![-1.2, 1.0], bounds).unwrap();
        (broken.gradient_tolerance, broken.decrease_tolerance) = (1e-9, 0.0);
        let mut found = vec![];
        for patience in 0.. {
            let mut left = patience % 7;
            let mut f = |x: &[f64]| {
                if left == 0 {
                    return Err(Error::interrupted());
                }
                left -= 1;
                rosenbrock(x)
            };
            let outcome = broken.run(&mut f, 1000, &mut |lbfgs| {
                found.push(lbfgs.value().unwrap());
                Ok(ControlFlow::Continue(()))
            });
            match outcome {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), Kind::Interrupted),
            }
        }
        assert_eq!(found, values);
        assert_eq!(broken.point(), whole.point());
    }
}

#[test]
fn where_the_function_has_no_value_steps_are_shorter() {
    // −ln x + x has none below 0
    let mut f = |x: &[f64]| -> Result<Pair> { Ok((x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]])) };
    let mut lbfgs = Lbfgs::new(vec![9.0], Bounds::None).unwrap();
    lbfgs.run(&mut f, 100, &mut { GO_ON }).unwrap();
    assert!((lbfgs.point()[0] - 1.0).abs() < 1e-4, "{:?}", lbfgs.point());
}

#[test]
fn a_minimum_is_known_at_once() {
    let mut lbfgs = Lbfgs::new(vec![1.0, 1.0], Bounds::None).unwrap();
    assert_eq!(lbfgs.run(&mut rosenbrock, 10, &mut { GO_ON }).unwrap(), Stopped::Flat);
    // in a corner, where all slopes point outwards
    let mut lbfgs = Lbfgs::new(vec![5.0], Bounds::All(2.0, 5.0)).unwrap();
    let mut f = |x: &[f64]| -> Result<Pair> { Ok((-x[0], vec![-1.0])) };
    assert_eq!(lbfgs.run(&mut f, 10, &mut { GO_ON }).unwrap(), Stopped::Flat);
    assert_eq!((lbfgs.iterations(), lbfgs.looks()), (0, 1));
}

#[test]
fn a_wrong_gradient_ends_in_no_lower_point() {
    let mut f = |x: &[f64]| -> Result<Pair> { Ok((x[0] * x[0], vec![-2.0 * x[0]])) };
    let mut lbfgs = Lbfgs::new(vec![3.0], Bounds::None).unwrap();
    assert_eq!(lbfgs.run(&mut f, 10, &mut { GO_ON }).unwrap(), Stopped::Stuck);
    assert_eq!(lbfgs.point(), [3.0]);
}

#[test]
fn impossible_calls_are_refused() {
    let fault = |start: Vec<f64>, bounds| Lbfgs::new(start, bounds).unwrap_err();
    assert!(fault(vec![f64::NAN], Bounds::None).message().contains("NaN"));
    assert_eq!(fault(vec![0.0], Bounds::All(1.0, 0.0)).argument(), Some("bounds"));
    assert_eq!(fault(vec![0.0], Bounds::All(f64::NAN, 1.0)).argument(), Some("bounds"));
    assert_eq!(fault(vec![0.0], Bounds::All(f64::INFINITY, f64::INFINITY)).argument(), Some("bounds"));
    assert!(fault(vec![0.0], Bounds::Each(vec![], vec![])).message().contains("0 and 0 bounds for 1"));
    assert_eq!(Lbfgs::new(vec![7.0], Bounds::All(0.0, 1.0)).unwrap().point(), [1.0]);
    let mut lbfgs = Lbfgs::new(vec![0.0], Bounds::None).unwrap();
    assert!(lbfgs.run(&mut |_| Ok((0.0, vec![])), 1, &mut { GO_ON }).unwrap_err().message().contains("has 0"));
    assert!(lbfgs.run(&mut |_| Ok((f64::NAN, vec![0.0])), 1, &mut { GO_ON }).is_err());
    assert_eq!(lbfgs.run(&mut |x| Ok((x[0], vec![1.0])), 0, &mut { GO_ON }).unwrap(), Stopped::Finished);
}
