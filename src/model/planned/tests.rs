//! The planned executor against the reference executor, on random graphs of all operations: random taps, starts, nodes
//! whose gradients are read, rules of nodes, and edits.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;

use super::Planned;
use crate::error::Result;
use crate::job::Interrupt;
use crate::model::sketch::{edit, graph, weights};
use crate::model::{
    BackwardRule, Executor, Graph, NodeId, Op, Operation, Reference, Retained, RetainedRun, Rule, Rules, Run, Scope,
    Weights,
};
use crate::tensor::testing::{assert_close, pick, random, rng, values};

/// Input times gradient: a rule that needs an operation's inputs, output and weights.
#[derive(Debug)]
struct InputTimesGradient;

impl BackwardRule for InputTimesGradient {
    fn name(&self) -> String {
        "input × gradient".to_owned()
    }

    fn acts_on(&self, op: &Op) -> bool {
        !matches!(op, Op::MaxPool2d(_))
    }

    fn backward(&self, at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
        let vars = at.inputs.iter().map(|x| Ok(Var::from_tensor(x)?)).collect::<Result<Vec<Var>>>()?;
        let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let value = at.value(&inputs, at.weights)?;
        assert_close(&values(&value), &values(at.output), 1e-5, "the operation's value");
        let gradients = (value * above)?.sum_all()?.backward()?;
        let gradient = |var: &Var| match gradients.get(var) {
            Some(gradient) => Ok((gradient * var.as_tensor().detach())?),
            None => Ok(var.zeros_like()?),
        };
        vars.iter().map(gradient).collect()
    }
}

/// What is asked of a graph.
struct Case {
    taps: Vec<NodeId>,
    from: Vec<NodeId>,
    /// With those of `from` in front where the run is compared with candle's tape, which has gradients there alone.
    gradients_at: Vec<NodeId>,
    rules: Rules,
    /// The values of `from`.
    x: Vec<Tensor>,
    /// The gradients of the taps.
    above: Vec<Tensor>,
}

impl Case {
    fn random(rng: &mut ChaCha8Rng, graph: &Graph, [channels, height, width]: [usize; 3]) -> Self {
        let ids: Vec<NodeId> = graph.ids().collect();
        let any = |rng: &mut ChaCha8Rng| ids[pick(rng, 0..=ids.len() - 1)];
        let mut taps = vec![graph.output()];
        (0..pick(rng, 0..=2)).for_each(|_| taps.push(any(rng)));
        // half of the runs are over the whole graph
        let cuts: Vec<NodeId> = (0..pick(rng, 0..=3).saturating_sub(1)).map(|_| any(rng)).collect();
        let from = starts(graph, &taps, &cuts);
        let (rules, interrupt) = (rules(rng, graph), Interrupt::never());
        let scope = Scope::new(graph, &Run { from: &from, ..Run::new(&taps, &rules, &interrupt) }).unwrap();
        let mut gradients_at = if pick(rng, 0..=1) == 0 { from.clone() } else { Vec::new() };
        gradients_at.extend(scope.ids().filter(|id| pick(rng, 0..=2) == 0 && !from.contains(id)));
        let shapes = graph.shapes([channels, height, width], graph.output()).unwrap();
        let batch = pick(rng, 1..=3);
        let mut values = |ids: &[NodeId]| {
            let shape = |id: &NodeId| [&[batch], shapes[id.index()].as_slice()].concat();
            ids.iter().map(|id| random(rng, shape(id).as_slice())).collect::<Vec<Tensor>>()
        };
        let (x, above) = (values(&from), values(&taps));
        Self { taps, from, gradients_at, rules, x, above }
    }

    /// Where there are gradients.
    fn gradients_at(&self) -> &[NodeId] {
        if self.gradients_at.is_empty() { &self.from } else { &self.gradients_at }
    }

    /// Values of the taps, and the gradients of a combination of them at all nodes asked for.
    fn run(&self, executor: &dyn Executor) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let Self { taps, from, gradients_at, rules, x, above } = self;
        // either way of convolving
        let exact = above.len() % 2 == 0;
        let interrupt = Interrupt::never();
        let run = Run { from, gradients_at, exact, ..Run::new(taps, rules, &interrupt) };
        let vars: Vec<Var> = x.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let on_tape: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let plain = executor.run(x, &run).unwrap();
        let tracked = executor.run(&on_tape, &run).unwrap();
        for (value, detached) in tracked.iter().zip(&plain) {
            assert_close(&values(value), &values(detached), 1e-4, "with and without a gradient");
        }
        let parts = tracked.iter().zip(above).map(|(value, above)| (value * above).unwrap().sum_all().unwrap());
        let score = Tensor::stack(&parts.collect::<Vec<_>>(), 0).unwrap().sum_all().unwrap();
        let on_tape = score.backward().unwrap();

        let (direct, pullback) = executor.pullback(x, &run).unwrap();
        for (direct, plain) in direct.iter().zip(&plain) {
            assert_close(&values(direct), &values(plain), 1e-4, "values of a pullback");
        }
        let at = self.gradients_at();
        let all: Vec<Vec<f32>> = pullback.gradients(above, at).unwrap().iter().map(values).collect();
        for ((var, id), gradient) in vars.iter().zip(from).zip(&all).filter(|_| at.starts_with(from)) {
            let truth = on_tape.get(var).map_or_else(|| vec![0.0; var.elem_count()], values);
            assert_close(gradient, &truth, 1e-5, &format!("at {id:?} with and without candle's tape"));
        }
        for (id, gradient) in at.iter().zip(&all) {
            let alone = pullback.gradients(above, &[*id]).unwrap();
            assert_eq!(values(&alone[0]), *gradient, "the gradient at {id:?} alone");
        }
        assert_eq!(values(&pullback.gradient(above).unwrap()), all[0]);
        match executor.retained(x, &run) {
            Ok(retained) => check_retained(&retained, above, &direct, &all[0]),
            Err(_) => assert!(x[0].dims()[0] != 1 || above.iter().any(|above| above.rank() != 4)),
        }
        let weights: Vec<f32> = (0..x[0].dims()[0]).map(|image| 0.5 - image as f32).collect();
        let sum = values(&pullback.weighted_sum(above, &weights).unwrap());
        let images = all[0].chunks_exact(sum.len()).zip(&weights);
        let truth = images.fold(vec![0f32; sum.len()], |mut truth, (image, weight)| {
            truth.iter_mut().zip(image).for_each(|(truth, value)| *truth += weight * value);
            truth
        });
        assert_close(&sum, &truth, 1e-5, "a weighted sum");
        assert!(pullback.gradient(&[]).is_err(), "a gradient is missing");
        (plain.iter().map(values).collect(), all)
    }
}

/// What is read and written in place is what a pullback copies.
fn check_retained(retained: &RetainedRun, above: &[Tensor], taps: &[Tensor], truth: &[f32]) {
    let rows = |x: &Tensor| values(&x.permute((0, 2, 3, 1)).unwrap());
    let is_map = above.iter().all(|above| above.rank() == 4);
    if !is_map {
        return assert!((0..above.len()).any(|tap| retained.tap(tap).is_err()));
    }
    for (at, tap) in taps.iter().enumerate() {
        let Retained { view, channels, height, width } = retained.tap(at).unwrap();
        assert_eq!(tap.dims(), [1, channels, height, width]);
        assert_eq!(view.copied(height * width, channels), rows(tap));
    }
    assert!(retained.tap(taps.len()).is_err());
    let above: Vec<Vec<f32>> = above.iter().map(rows).collect();
    let gradient = retained.gradient(&|tap, value, out, accumulate| {
        let above = above[tap].chunks_exact(value.channels);
        for (row, above) in out.data.chunks_exact_mut(out.stride).zip(above) {
            for (out, above) in row[out.offset..][..value.channels].iter_mut().zip(above) {
                *out = if accumulate { *out + above } else { *above };
            }
        }
        Ok(())
    });
    assert_eq!(values(&gradient.unwrap()), truth);
}

/// The first of `cuts` on every way back from the taps, or the input where there is none.
fn starts(graph: &Graph, taps: &[NodeId], cuts: &[NodeId]) -> Vec<NodeId> {
    let (mut found, mut open) = (Vec::new(), taps.to_vec());
    while let Some(id) = open.pop() {
        if cuts.contains(&id) || id == NodeId::INPUT {
            found.push(id);
        } else {
            open.extend(&graph.node(id).inputs);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn rules(rng: &mut ChaCha8Rng, graph: &Graph) -> Rules {
    let gate = |rng: &mut ChaCha8Rng| {
        [Rule::Derivative, Rule::Guided, Rule::Deconvnet, Rule::Redirected, Rule::Pass][pick(rng, 0..=4)].clone()
    };
    let default = gate(rng);
    let mut by_node = BTreeMap::new();
    if pick(rng, 0..=1) == 0 {
        for id in graph.ids().skip(1) {
            match pick(rng, 0..=7) {
                0 => by_node.insert(id, Rule::Custom(Arc::new(InputTimesGradient))),
                1..=3 => by_node.insert(id, gate(rng)),
                _ => None,
            };
        }
    }
    Rules { default, by_node }
}

/// The graph as text, for messages.
fn describe(graph: &Graph) -> String {
    let inputs = |inputs: &[NodeId]| inputs.iter().map(|input| input.index()).collect::<Vec<_>>();
    let nodes = graph.nodes().iter().enumerate();
    nodes.map(|(i, node)| format!("{i}: {} <- {:?}\n", node.op, inputs(&node.inputs))).collect()
}

fn compare(seed: u64, graphs: usize, size: usize) {
    let mut rng = rng(seed);
    for number in 0..graphs {
        let (graph, image) = graph(&mut rng, size);
        let weights = Arc::new(weights(&mut rng, &graph));
        let graph = Arc::new(graph);
        let planned = Planned::new(graph.clone(), weights.clone());
        let agree = |planned: &Planned, graph: Arc<Graph>, weights: Arc<Weights>, case: &Case| {
            let Case { taps, from, gradients_at, rules, .. } = case;
            let what = format!(
                "graph {number} of seed {seed}, {rules:?}, taps {taps:?}, from {from:?}, at {gradients_at:?}:\n{}",
                describe(&graph)
            );
            let ours = case.run(planned);
            let truth = case.run(&Reference::new(graph, weights));
            for (ours, truth) in ours.0.iter().zip(&truth.0) {
                assert_close(ours, truth, 1e-4, &what);
            }
            for ((ours, truth), id) in ours.1.iter().zip(&truth.1).zip(case.gradients_at()) {
                assert_close(ours, truth, 1e-3, &format!("gradient at {id:?}: {what}"));
            }
        };
        agree(&planned, graph.clone(), weights.clone(), &Case::random(&mut rng, &graph, image));

        // an edited graph shares what was prepared
        let node = graph.ids().nth(pick(&mut rng, 0..=graph.nodes().len() - 1)).unwrap();
        let shapes = graph.shapes(image, graph.output()).unwrap();
        let op = edit(&mut rng, "edit", &shapes[node.index()]);
        let parameters = op.parameters().into_iter().map(|p| (p.name, random(&mut rng, p.shape.as_slice())));
        let weights = Arc::new(weights.with(parameters.collect::<Vec<_>>()));
        let graph = Arc::new(graph.inserted(node, "edit", op).unwrap().0);
        let case = Case::random(&mut rng, &graph, image);
        agree(&planned.edited(graph.clone(), weights.clone()), graph, weights, &case);
    }
}

#[test]
fn single_operations_are_the_references() {
    compare(1, 600, 1);
}

#[test]
fn short_chains_are_the_references() {
    compare(2, 300, 4);
}

#[test]
fn random_graphs_are_the_references() {
    compare(3, 200, 14);
}
