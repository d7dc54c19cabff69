//! Images with a changed rectangle, computed incrementally and as a whole, on random graphs of all operations.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::{Area, Planned};
use crate::error::Kind;
use crate::job::Interrupt;
use crate::model::sketch::{classifier, graph, weights};
use crate::model::{Executor, Graph, NodeId, Rules, Run, Weights};
use crate::tensor::testing::{assert_close, pick, random, rng, values};

/// A rectangle anywhere in an image, at its borders often.
fn area(rng: &mut ChaCha8Rng, height: usize, width: usize) -> Area {
    let mut side = |size: usize| {
        let count = pick(rng, 1..=size);
        let last = size - count;
        let start = match pick(rng, 0..=3) {
            0 => 0,
            1 => last,
            _ => pick(rng, 0..=last),
        };
        (start, count)
    };
    let ((top, height), (left, width)) = (side(height), side(width));
    Area { top, left, height, width }
}

/// Compares all taps, or the channels of them that are looked at, for random changes of a random image.
fn compare(
    rng: &mut ChaCha8Rng,
    (graph, weights): (Graph, Weights),
    [channels, height, width]: [usize; 3],
    taps: &[NodeId],
    looked_at: Option<&[usize]>,
    what: &str,
) {
    let planned = Planned::new(Arc::new(graph), Arc::new(weights));
    let x = random(rng, &[1, channels, height, width]);
    let areas: Vec<Area> = (0..pick(rng, 1..=9)).map(|_| area(rng, height, width)).collect();
    let made: Vec<Vec<f32>> =
        areas.iter().map(|area| values(&random(rng, &[channels, area.height, area.width]))).collect();
    let (rules, interrupt) = (Rules::default(), Interrupt::never());
    // either way of convolving
    let exact = pick(rng, 0..=2) > 0;
    let tolerance = if exact { 1e-6 } else { 1e-4 };
    let run = Run { exact, channels: looked_at, ..Run::new(taps, &rules, &interrupt) };
    let patches = planned.prepare(&x, &run, &areas, f64::INFINITY).unwrap().unwrap();
    let mut found: Vec<Option<Vec<Vec<f32>>>> = vec![None; areas.len()];
    patches
        .each(
            |index, pixels| {
                assert_eq!(pixels, areas[index].cut(&values(&x), [height, width]));
                pixels.copy_from_slice(&made[index]);
                Ok(())
            },
            |indices, taps| {
                for (place, index) in indices.iter().enumerate() {
                    let one = taps.iter().map(|tap| values(&tap.narrow(0, place, 1).unwrap())).collect();
                    assert!(found[*index].replace(one).is_none(), "image {index} came twice");
                }
                Ok(())
            },
        )
        .unwrap();
    for ((index, area), found) in areas.iter().enumerate().zip(found) {
        let mut changed = values(&x);
        area.paste(&made[index], &mut changed, [height, width]);
        let changed = Tensor::from_vec(changed, x.shape(), x.device()).unwrap();
        let run = Run { exact: true, ..run };
        for (whole, found) in planned.run(&[changed], &run).unwrap().iter().zip(found.unwrap()) {
            let truth = values(whole);
            let plane = truth.len() / whole.dim(1).unwrap();
            let chosen = |values: &[f32]| match looked_at {
                Some(channels) => channels.iter().flat_map(|c| values[c * plane..][..plane].to_vec()).collect(),
                None => values.to_vec(),
            };
            let (found, truth): (Vec<f32>, Vec<f32>) = (chosen(&found), chosen(&truth));
            assert_close(&found, &truth, tolerance, &format!("{what}, {area:?} of {height}×{width}"));
        }
    }
}

fn random_graphs(seed: u64, graphs: usize, size: usize) {
    let mut rng = rng(seed);
    for number in 0..graphs {
        let (graph, image) = graph(&mut rng, size);
        let weights = weights(&mut rng, &graph);
        let ids: Vec<NodeId> = graph.ids().collect();
        let mut taps = vec![graph.output()];
        (0..pick(&mut rng, 0..=2)).for_each(|_| taps.push(ids[pick(&mut rng, 0..=ids.len() - 1)]));
        let nodes: Vec<String> = graph.nodes().iter().map(|node| format!("{} <- {:?}", node.op, node.inputs)).collect();
        let what = format!("graph {number} of seed {seed}, taps {taps:?}: {nodes:#?}");
        compare(&mut rng, (graph, weights), image, &taps, None, &what);
    }
}

#[test]
fn changes_of_single_operations_are_those_of_whole_images() {
    random_graphs(11, 400, 1);
}

#[test]
fn changes_of_short_chains_are_those_of_whole_images() {
    random_graphs(12, 200, 4);
}

#[test]
fn changes_of_random_graphs_are_those_of_whole_images() {
    random_graphs(13, 150, 14);
}

#[test]
fn channels_that_are_looked_at_are_those_of_whole_images() {
    let mut rng = rng(14);
    for number in 0..60 {
        let (graph, image) = classifier(&mut rng, 6, 12, &|_| true);
        let weights = weights(&mut rng, &graph);
        let output = graph.output();
        let mut channels: Vec<usize> = (0..12).filter(|_| pick(&mut rng, 0..=3) == 0).collect();
        if channels.is_empty() {
            channels.push(pick(&mut rng, 0..=11));
        }
        let what = format!("graph {number}, channels {channels:?}");
        compare(&mut rng, (graph, weights), image, &[output], Some(&channels), &what);
    }
}

#[test]
fn an_area_outside_of_the_image_is_refused() {
    let mut rng = rng(15);
    let (graph, [channels, height, width]) = graph(&mut rng, 3);
    let weights = weights(&mut rng, &graph);
    let output = graph.output();
    let planned = Planned::new(Arc::new(graph), Arc::new(weights));
    let x = random(&mut rng, &[1, channels, height, width]);
    let areas = [Area { top: 1, left: 0, height, width: 1 }];
    let (rules, interrupt, taps) = (Rules::default(), Interrupt::never(), [output]);
    let refused = planned.patches(&x, &Run::new(&taps, &rules, &interrupt), &areas);
    assert_eq!(refused.err().unwrap().kind(), Kind::Internal);
}
